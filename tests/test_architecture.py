"""What the house promises about itself, held by machine: names, docstrings, sizes, fast imports, no stray tasks."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import bon

SOURCE = Path(bon.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
NAMES = [m.name for m in pkgutil.walk_packages(bon.__path__, "bon.") if m.name != "bon.__main__"]


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def test_every_exported_name_is_there_and_has_a_docstring() -> None:
    for name in bon.__all__:
        thing = getattr(bon, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert inspect.getdoc(thing), f"bon.{name} has no docstring"
    assert set(bon.__all__) == {*bon._HOME, "__version__"}
    assert set(bon.__all__) <= set(dir(bon))


def test_the_names_shown_to_type_checkers_are_the_names_there_are() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    shown = {
        (node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert shown == {(module, name) for name, module in bon._HOME.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bon.nothing  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_public_modules_say_what_they_offer_and_document_it(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == name:
            assert thing.__doc__, f"{name}.{public} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_open_with_a_sentence_and_stay_small(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    documentation = ast.get_docstring(tree) or ""
    sentence = documentation.partition("\n\n")[0].rstrip()
    assert len(sentence) > 20, "a module says what it is for"
    assert sentence.endswith((".", ":")), "a module opens with a sentence"
    assert text.count("\n") <= 330, "a module stays under about 300 lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 65, f"{node.name} is too long"
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            counted = [argument for argument in given if argument.arg not in ("self", "cls")]
            assert len(counted) <= 9, f"{node.name} has {len(counted)} parameters"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_left_unfinished(path: Path) -> None:
    text = path.read_text()
    assert not any(mark in text for mark in ("TODO", "FIXME", "XXX", "raise NotImplementedError"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_classes_are_not_made_to_be_inherited(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            assert not node.name.startswith(("Abstract", "Base"))


def test_importing_bon_loads_nothing_heavy() -> None:
    code = "import sys, bon; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "torch", "transformers", "openvino", "aiohttp", "msgspec", "click", "rich", "asyncio"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("args", [["--help"], ["ask", "--help"], ["list"]])
def test_the_command_loads_no_model_library_to_speak(args: list[str]) -> None:
    code = (
        f"import sys\nfrom bon.cli import main\ntry: main({args!r})\nexcept SystemExit: pass\nprint('|', *sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"torch", "transformers", "openvino", "openvino_genai", "gguf", "xllamacpp"}
    assert not heavy & set(said.rpartition("|")[2].split())
