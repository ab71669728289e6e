"""What a function closes over, by name."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any


def closed_over(fun: FunctionType) -> dict[str, Any]:
    """The values a function closes over; none for a variable that is not set yet."""
    found = {}
    for name, cell in cells(fun).items():
        with contextlib.suppress(ValueError):  # not set yet
            found[name] = cell.cell_contents
    return found


def cells(fun: FunctionType) -> dict[str, CellType]:
    """The cells of the variables that a function closes over."""
    return dict(zip(fun.__code__.co_freevars, fun.__closure__ or (), strict=False))


def without_closure(fun: FunctionType) -> FunctionType:
    """The same function again, with none of its variables set."""
    code, name = fun.__code__, fun.__name__
    new_cells = tuple(CellType() for _ in code.co_freevars)
    new = FunctionType(code, fun.__globals__, name, None, new_cells)
    new.__qualname__ = fun.__qualname__
    return new


def close_over(fun: FunctionType, values: Mapping[str, Any]) -> None:
    """Sets variables that a function closes over."""
    for name, cell in cells(fun).items():
        if name in values:
            cell.cell_contents = values[name]
