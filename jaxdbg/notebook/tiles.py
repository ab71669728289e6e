"""A leaf as a picture of at most 256 × 256 cells in which a single NaN is seen.

`jaxdbg.trees.pictures` reduces it; here it becomes the answer that the panel asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdbg.jax_internals.arrays import Host
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.trees import finiteness, statistics
from jaxdbg.trees.pictures import MAX_TILES, picture
from jaxdbg.views.panel.columns import column

SIDE = MAX_TILES
"""Most cells down and across."""

MOST_VALUES = 4096
"""Up to so many elements are sent themselves, where each has a cell."""

Window = Sequence[Sequence[int]]


class Grid(NamedTuple):
    """How a window on an array is cut into cells.

    Attributes:
        shape: of the array, with axes of length 1 before it to make it two at least.
        window: for each axis the range of elements.
        step: how many elements a cell takes, down and across.
        cells: how many cells there are, down and across.
    """

    shape: tuple[int, ...]
    window: tuple[tuple[int, int], ...]
    step: tuple[int, int]
    cells: tuple[int, int]


def tile(array: Any, window: Window = ()) -> dict[str, Any]:
    """A window on an array, reduced; the answer that `TileAnswer` types in the panel.

    Arguments:
        array: of any shape and sharding; an array of the host, or a number.
        window: for each axis the range `(from, to)` of elements; the whole by default.

    Raises:
        ValueError: the array holds no numbers, or the window does not lie in it.
    """
    shape = tuple(int(n) for n in np.shape(array))
    if not _holds_numbers(array):
        raise ValueError(f"A leaf of type {_name(array)} has no elements to show.")
    grid = _grid(shape, window)
    values: list[str] = []
    with our_own_work():
        hidden = len(grid.shape) - len(shape)
        inside = [slice(*ends) for ends in grid.window[hidden:]]
        reduced = picture("leaf", np.asarray(array) if not shape else array, inside)
        if _is_each(grid):
            values = _values(grid, array)
    largest = [v if v >= 0 else None for v in reduced.largest.ravel().tolist()]
    return {
        "error": "",
        "rows": grid.cells[0],
        "columns": grid.cells[1],
        "axes": [len(shape) - 2 if len(shape) > 1 else -1, len(shape) - 1],
        "step": list(grid.step),
        "shape": list(shape),
        "window": [list(ends) for ends in grid.window[hidden:]],
        "largest": column(largest),
        "worst": column(reduced.worst.ravel().tolist()),
        "values": values,
    }


def _grid(shape: tuple[int, ...], window: Window) -> Grid:
    asked = [tuple(map(int, ends)) for ends in window] or [(0, n) for n in shape]
    fits = len(asked) == len(shape) and all(
        len(ends) == 2 and 0 <= ends[0] < ends[1] <= n
        for ends, n in zip(asked, shape, strict=False)
    )
    if not fits:
        what = "is empty" if 0 in shape else f"has no window {asked}"
        raise ValueError(f"An array of shape {shape} {what}.")
    hidden = max(0, 2 - len(shape))
    ends = tuple((a, b) for a, b in [(0, 1)] * hidden + asked)
    sizes = [b - a for a, b in ends[-2:]]
    step = [math.ceil(size / SIDE) for size in sizes]
    cells = [math.ceil(size / s) for size, s in zip(sizes, step, strict=True)]
    return Grid((1,) * hidden + shape, ends, (step[0], step[1]), (cells[0], cells[1]))


def _two_at_least(origin: tuple[int, ...], part: Host) -> tuple[tuple[int, ...], Host]:
    hidden = max(0, 2 - part.ndim)
    return (0,) * hidden + origin, part.reshape((1,) * hidden + part.shape)


def _is_each(grid: Grid) -> bool:
    counts = [b - a for a, b in grid.window]
    alone = grid.step == (1, 1) and all(n == 1 for n in counts[:-2])
    return alone and math.prod(counts) <= MOST_VALUES


def _values(grid: Grid, array: Any) -> list[str]:
    """The elements of a window in which each has a cell, as text."""
    found = [[""] * grid.cells[1] for _ in range(grid.cells[0])]
    for place, data in finiteness.parts(array):
        origin, part = _two_at_least(place, data)
        for row in range(grid.cells[0]):
            for across in range(grid.cells[1]):
                index = [a for a, _ in grid.window]
                index[-2] += row
                index[-1] += across
                here = [i - o for i, o in zip(index, origin, strict=True)]
                if all(0 <= i < n for i, n in zip(here, part.shape, strict=True)):
                    found[row][across] = str(part[tuple(here)])
    return [text for row in found for text in row]


def _holds_numbers(array: Any) -> bool:
    dtype = getattr(array, "dtype", None)
    return statistics.is_number(np.asarray(array).dtype if dtype is None else dtype)


def _name(array: Any) -> str:
    return str(getattr(array, "dtype", type(array).__name__))
