"""What a program raises, as its tests see it: an exception of Python's own, or one that has no class here; pure."""

from __future__ import annotations

import builtins
import reprlib

__all__ = ["Foreign", "Gone", "exception", "said", "spelled"]


class Gone(BaseException):
    """The program's process has ended: no test can go on. Not an Exception, so that tests do not catch it."""


class Foreign(Exception):
    """An exception of the program that has no class of its own here."""


def exception(names: list[str], says: str) -> Exception:
    """The nearest exception of Python's own. Those that end loops in silence would hide asserts: they are foreign."""
    for name in names:
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception) and found is not Exception:
            if issubclass(found, StopIteration | StopAsyncIteration):
                break
            try:
                return found(says)
            except TypeError:  # UnicodeDecodeError wants more than a text
                continue
    return Foreign(f"{names[0] if names else 'an exception'}: {says}")


def said(error: BaseException) -> str:
    """An exception in words."""
    if isinstance(error, Gone):
        return "the program's process has ended"
    name = "" if isinstance(error, Foreign) else type(error).__name__
    try:
        says = str(error)[:300]
    except Exception:  # noqa: BLE001
        says = ""
    return f"{name}: {says}" if name and says else name or says


def spelled(value: object) -> str:
    """The beginning of a value in words, whatever it is."""
    try:
        return reprlib.repr(value)
    except Exception as error:  # noqa: BLE001  # a number of more digits than Python writes out
        return f"a value of type {type(value).__name__} that cannot be shown ({type(error).__name__})"
