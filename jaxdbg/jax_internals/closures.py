"""What a function closes over, by name."""

from __future__ import annotations

import contextlib
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
