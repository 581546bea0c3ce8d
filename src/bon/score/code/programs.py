"""The program of an answer to a coding prompt: a whole one, or the rest of the function that the prompt began; pure."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

from bon.answers.programs import fences, program

__all__ = ["helpers", "program_of"]

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def program_of(text: str, *, stub: str = "", entry_point: str = "") -> str | None:
    """The whole program of an answer, or None where the answer holds none.

    `stub` is the code that the prompt gave: imports, helpers, and the head of the function `entry_point`. An answer
    that defines the function runs after the stub; one that does not continues it, with or without its docstring. Where
    the last block shows how the function is used, the last one that defines it counts.
    """
    code = program(text)
    if not entry_point:
        return code
    if code is not None and entry_point not in _defined(code):
        blocks = [textwrap.dedent("\n".join(lines)) for _, lines in fences(text)]
        code = next((block for block in reversed(blocks) if entry_point in _defined(block)), code)
    if code is not None and entry_point in _defined(code):
        future = [line for line in code.splitlines() if line.startswith("from __future__ ")]  # they stand at the top
        others = [line for line in code.splitlines() if not line.startswith("from __future__ ")]
        whole = "\n".join([*future, stub, "", *others])
        return whole if _tree(stub) and _tree(whole) else code
    for rest in dict.fromkeys((text, code or "")):
        for head in (stub, _without_docstring(stub, entry_point)):
            for body in _bodies(rest):
                if _continues(head, body, entry_point):
                    return f"{head.rstrip()}\n{body}"
    return code


def helpers(stub: str, entry_point: str) -> str:
    """What the prompt's code defines whole, without the function under test and without other heads."""
    tree = _tree(stub)
    if tree is None:
        return ""
    lines, kept = stub.splitlines(), list[str]()
    for node in tree.body:
        if not (isinstance(node, _FUNCTIONS) and (node.name == entry_point or _bare(node))):
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            kept += lines[first - 1 : node.end_lineno]
    return "\n".join(kept)


def _bodies(rest: str) -> Iterator[str]:
    """The lines of a function's body at the start of a text; the first may have lost its indentation."""
    lines = rest.strip("\n").splitlines()
    for first in dict.fromkeys((lines[0], f"    {lines[0].strip()}")) if lines else ():
        body = [first]
        for line in lines[1:]:
            if line.strip() and not line[0].isspace():
                break
            body.append(line)
        yield "\n".join(body) + "\n"


def _continues(head: str, body: str, entry_point: str) -> bool:
    """Whether a function's head and a text are a function with a body."""
    tree = _tree(f"{head.rstrip()}\n{body}")
    if tree is None:
        return False
    functions = [node for node in tree.body if isinstance(node, _FUNCTIONS) and node.name == entry_point]
    return bool(functions) and not _bare(functions[-1])


def _without_docstring(stub: str, entry_point: str) -> str:
    tree = _tree(stub)
    for node in tree.body if tree else ():
        if isinstance(node, _FUNCTIONS) and node.name == entry_point and ast.get_docstring(node) is not None:
            lines, text = stub.splitlines(), node.body[0]
            return "\n".join([*lines[: text.lineno - 1], *lines[text.end_lineno :]])
    return stub


def _bare(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function has no body but a docstring, `pass` or `...`."""
    return all(
        isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in node.body
    )


def _defined(code: str) -> set[str]:
    """The names that a program binds at its top level."""
    tree = _tree(code)
    names = set[str]()
    for node in tree.body if tree else ():
        if isinstance(node, ast.ClassDef) or (isinstance(node, _FUNCTIONS) and not _bare(node)):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _tree(code: str) -> ast.Module | None:
    """The program's tree, None where it is no Python. Escapes are masked: the parser would warn of each invalid one."""
    try:
        return ast.parse(re.sub(r"\\[^\n]", "__", code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
