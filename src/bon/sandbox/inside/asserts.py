"""Tests as trees: each assert a case of its own, and the names that tests use without saying what they are; pure."""

from __future__ import annotations

import ast

__all__ = ["cased", "unknown"]


def cased(text: str, first: int) -> tuple[ast.Module, list[str]]:
    """A text of tests with `with __case__(number):` around every assert, counted from `first`; and what each says."""
    cases = _Cases(first)
    return ast.fix_missing_locations(cases.visit(ast.parse(text))), cases.texts


class _Cases(ast.NodeTransformer):
    def __init__(self, first: int) -> None:
        self.texts: list[str] = []
        self.first = first

    def visit_Assert(self, node: ast.Assert) -> ast.AST:  # ast's own name
        number = self.first + len(self.texts)
        self.texts.append(_shown(node.test))
        call = ast.Call(ast.Name("__case__", ast.Load()), [ast.Constant(number)], [])
        return ast.copy_location(ast.With([ast.withitem(call)], [node]), node)


def _shown(test: ast.expr) -> str:
    """A test as people would write it: comparisons that are calls of ours as ==."""
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in ("__same__", "__shown__"):
        value, wanted = test.args
        said = (
            str(wanted.value)
            if test.func.id == "__shown__" and isinstance(wanted, ast.Constant)
            else ast.unparse(wanted)
        )
        return f"{ast.unparse(value)} == {said}"
    return ast.unparse(test)


def unknown(tree: ast.Module) -> list[str]:
    """The names that tests read and nowhere bind, in their order."""
    nodes = list(ast.walk(tree))
    made = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    made |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    made |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    made |= {
        alias.asname or alias.name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return [node.id for node in nodes if isinstance(node, ast.Name) and node.id not in made]
