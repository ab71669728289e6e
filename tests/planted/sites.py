"""Where a bug can be planted in a library's source, and how it is planted there.

A site is an expression of one line whose value is an array of floats when the model
runs. The code of the functions is replaced by that of a rewritten copy of their file;
line numbers stay as they are.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import linecache
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import jax
import jax.numpy as jnp

PROBE = "__probe__"
_ABOUT = frozenset({"dtype", "ndim", "shape", "size"})
_EPS = re.compile(r"(^|[._])(eps|epsilon|jitter)(_|$)")


@dataclass(frozen=True)
class Site:
    """An expression in a file, by its place: lines from 1, columns from 0."""

    file: Path
    line: int
    column: int
    end: int

    @property
    def text(self) -> str:
        """What is written there."""
        return self.file.read_text().splitlines()[self.line - 1][self.column : self.end]


def reached(files: Iterable[Path], run: Callable[[], object]) -> list[Site]:
    """The sites that a run reaches with an array of floats."""
    found: dict[Site, None] = {}
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.enter_context(_probed(file, found))
        run()
    return sorted(found, key=lambda s: (str(s.file), s.line, s.column, s.end))


@contextlib.contextmanager
def _probed(file: Path, found: dict[Site, None]) -> Iterator[None]:
    tree = _Probing().visit(ast.parse(file.read_text()))
    code = compile(ast.fix_missing_locations(tree), str(file), "exec")

    def probe(value: Any, line: int, column: int, end: int) -> Any:
        is_array = isinstance(value, jax.Array) and value.ndim and value.size > 1
        if is_array and jnp.issubdtype(value.dtype, jnp.floating):
            found[Site(file, line, column, end)] = None
        return value

    with replaced(file, code, {PROBE: probe}):
        yield


class _Probing(ast.NodeTransformer):
    """Wraps each expression that may be an array in a call of the probe."""

    def __init__(self) -> None:
        self._inside = 0

    def _function(self, node: Any) -> Any:
        self._inside += 1
        node.body = [self.visit(line) for line in node.body]
        self._inside -= 1
        return node

    visit_FunctionDef = _function

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def _expression(self, node: Any) -> Any:
        self.generic_visit(node)
        is_load = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if not self._inside or not is_load or node.lineno != node.end_lineno:
            return node
        place = [node.lineno, node.col_offset, node.end_col_offset]
        name = ast.Name(PROBE, ast.Load())
        call = ast.Call(name, [node, *map(ast.Constant, place)], [])
        return ast.copy_location(call, node)

    visit_Name = visit_BinOp = visit_Call = visit_Subscript = _expression

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        # A bug in `x` of `x.shape` changes nothing.
        return node if node.attr in _ABOUT else self.generic_visit(node)


def eps_sites(file: Path) -> list[tuple[Site, str]]:
    """The sums with an eps, and the term that is left without it."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
            continue
        if node.lineno != node.end_lineno:
            continue
        for eps, other in ((node.left, node.right), (node.right, node.left)):
            if _EPS.search(ast.unparse(eps)) and not isinstance(eps, ast.BinOp):
                site = Site(file, node.lineno, node.col_offset, node.end_col_offset)
                found.append((site, ast.unparse(other)))
    return found


@contextlib.contextmanager
def planted(site: Site, text: str, copy: Path) -> Iterator[None]:
    """With a file's functions as they are in a copy, where a site has another text."""
    lines = site.file.read_text().splitlines(keepends=True)
    line = lines[site.line - 1]
    lines[site.line - 1] = line[: site.column] + text + line[site.end :]
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text("".join(lines))
    linecache.checkcache(str(copy))
    code = compile("".join(lines), str(copy), "exec")
    with replaced(site.file, code, {"jnp": jnp, "jax": jax}):
        yield


@contextlib.contextmanager
def replaced(file: Path, code: CodeType, names: dict[str, Any]) -> Iterator[None]:
    """With the code of all functions of a file replaced, and names they may use.

    What JAX has traced before, it does not trace again: see `jax.clear_caches`.
    """
    new = {(c.co_qualname, c.co_firstlineno): c for c in _codes(code)}
    before: list[tuple[FunctionType, CodeType]] = []
    for function in gc.get_objects():
        if isinstance(function, FunctionType):
            old = function.__code__
            made = new.get((old.co_qualname, old.co_firstlineno))
            if old.co_filename != str(file) or made is None:
                continue
            if made.co_freevars == old.co_freevars:
                before.append((function, old))
                for name, value in names.items():
                    function.__globals__.setdefault(name, value)
                    if name == PROBE:
                        function.__globals__[name] = value
                function.__code__ = made
    try:
        yield
    finally:
        for function, old in before:
            function.__code__ = old


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
