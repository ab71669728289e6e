"""Rows that a line takes out of the user's data, `X[idx]`, and which rows these are."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxdbg.jax_internals.arrays import spans_processes
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.static_values import UNKNOWN, StaticValues

_ARRAYS = (jax.Array, np.ndarray)


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Rows of an array.

    Attributes:
        name: of the array, as the line says.
        data: the array.
        rows: which of its rows are taken, in order.
    """

    name: str
    data: Any
    rows: Sequence[int]

    def row_of(self, passed: Any, row: int) -> int | None:
        """Which row of the data a row of what is passed is; None where it is not."""
        if not 0 <= row < len(self.rows) or is_gone(self.data):
            return None
        if spans_processes(passed) or spans_processes(self.data):
            return None  # to read a row would be a program of all processes
        at = int(self.rows[row])
        size = self.data.shape[0]
        at = at + size if at < 0 else at
        if not 0 <= at < size:  # JAX takes another in its place
            return None
        mine, theirs = np.asarray(passed[row]), np.asarray(self.data[at])
        same = mine.shape == theirs.shape and mine.dtype == theirs.dtype
        return at if same and mine.tobytes() == theirs.tobytes() else None


def taken(node: ast.expr, text: str, values: StaticValues) -> Taken | None:
    """The rows that an expression takes; None where that is not known.

    Arguments:
        node, text: what a line passes.
        values: of the line.
    """
    if not isinstance(node, ast.Subscript):
        return None
    data = values.of(node.value)
    if not isinstance(data, _ARRAYS) or isinstance(data, jax.core.Tracer):
        return None
    rows = _rows(node.slice, values, len(data)) if data.ndim else None
    return None if rows is None else Taken(_text(node, text), data, rows)


def _text(node: ast.Subscript, text: str) -> str:
    """Of the array, as it is written."""
    if node.value.end_lineno != node.lineno or node.value.end_col_offset is None:
        return ast.unparse(node.value)
    length = node.value.end_col_offset - node.col_offset  # in bytes
    return text.encode()[:length].decode()


def _rows(key: ast.expr, values: StaticValues, size: int) -> Sequence[int] | None:
    if isinstance(key, ast.Slice):
        parts = [_number(part, values) for part in (key.lower, key.upper, key.step)]
        return None if UNKNOWN in parts else range(size)[slice(*parts)]
    index = values.of(key)
    if not isinstance(index, _ARRAYS) or isinstance(index, jax.core.Tracer):
        return None
    array = np.asarray(index)
    if array.dtype.kind == "b":
        array = array.nonzero()[0] if array.shape == (size,) else array
    if array.ndim != 1 or array.dtype.kind not in "iu":
        return None
    rows: list[int] = array.tolist()
    return rows


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _number(node: ast.expr | None, values: StaticValues) -> Any:
    """A bound of a slice; `UNKNOWN` for all but whole numbers and sums of these."""
    match node:
        case None:
            return None
        case ast.Constant(value=value):
            pass
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            value = -value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            one, other = _number(left, values), _number(right, values)
            is_known = type(one) is int and type(other) is int
            value = _OPERATORS[type(op)](one, other) if is_known else UNKNOWN
        case _:
            value = values.of(node)
    return value if type(value) is int else UNKNOWN
