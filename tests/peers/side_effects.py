"""How often each function of a test module runs: JAX runs one again to trace it again.

The functions of the module are changed as it is imported: each counts itself first.
"""

from __future__ import annotations

import ast
import builtins
import importlib.abc
import importlib.machinery
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_COUNT = "__peers_ran__"


def count_runs(file: Path) -> Counter[str]:
    """Counts the runs of the functions of a file that is not imported yet."""
    ran: Counter[str] = Counter()

    def count(function: str) -> None:
        ran[function] += 1

    setattr(builtins, _COUNT, count)
    sys.meta_path.insert(0, _Finder(file))
    return ran


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, file: Path):
        self._file = file

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.rpartition(".")[2] != self._file.stem:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or Path(spec.origin) != self._file:
            return None
        spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        code: CodeType = compile(_Counting().visit(tree), path, "exec")
        return code


class _Counting(ast.NodeTransformer):
    """Puts a call of the counter at the beginning of each function."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        first = int(ast.get_docstring(node) is not None)
        here = node.body[min(first, len(node.body) - 1)]
        node.body.insert(first, _placed(ast.Expr(_call(node.name, node)), here))
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        # The counter returns None, so the value is that of the body.
        either = ast.BoolOp(ast.Or(), [_call("lambda", node), node.body])
        node.body = _placed(either, node.body)
        return node


def _call(name: str, node: ast.expr | ast.stmt) -> ast.Call:
    counter = ast.Name(_COUNT, ast.Load())
    return ast.Call(counter, [ast.Constant(f"{name}:{node.lineno}")], [])


def _placed(new: Any, where: ast.AST) -> Any:
    for node in ast.walk(new):
        if "lineno" in node._attributes and not hasattr(node, "lineno"):
            ast.copy_location(node, where)
    return new
