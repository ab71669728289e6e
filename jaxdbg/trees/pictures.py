"""The elements of an array as a picture: tiles, each of which says if any is bad.

An array of 4096x4096 elements does not fit on a screen; in a picture of 256x256 tiles
the tile with the single NaN still shows it, since a tile is as bad as the worst of its
elements. An array is read band by band: no second copy of a large one is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdbg.errors import UsageError
from jaxdbg.jax_internals.arrays import Host
from jaxdbg.trees import finiteness
from jaxdbg.trees.measuring import computable

Slices = Sequence[slice | int]

MAX_TILES = 256
"""Most rows and columns of a picture."""

NAN, POSINF, NEGINF = 1, 2, 4
"""The flags of a tile, of which several may be set."""

_BAND = 1 << 20
"""Elements that are read at a time, or one row of tiles where that is more."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture of an array, or of a part of it.

    Attributes:
        path: of the leaf, as the user would type it.
        shape: of the whole array.
        axes: which axes run down and across; -1 for none, in arrays of fewer axes.
        window: for each axis where the picture begins and ends. What is not shown of
            the other axes is put into the tiles too.
        tile: how many elements a tile is high and wide; the last ones may be smaller.
        flags: uint8[rows, columns], of `NAN`, `POSINF` and `NEGINF`.
        largest: float64[rows, columns], largest magnitude of a finite element; -1 for
            none.
        values: float64[rows, columns] where each tile is one element, else None.
    """

    path: str
    shape: tuple[int, ...]
    axes: tuple[int, int]
    window: tuple[tuple[int, int], ...]
    tile: tuple[int, int]
    flags: Host
    largest: Host
    values: Host | None = None

    @property
    def worst(self) -> Host:
        """By tile: 0 for good, 1 for infinite, 2 for NaN."""
        return _WORST[self.flags]


_WORST = np.array([0, *(2 if flags & NAN else 1 for flags in range(1, 8))])
"""By the flags of a tile, how bad it is."""


def picture(
    path: str,
    array: Any,
    window: Slices | None = None,
    axes: Sequence[int] | None = None,
    most: int = MAX_TILES,
) -> Picture:
    """The picture of an array.

    Arguments:
        path: what the array is called.
        array: of numbers, of any number of axes.
        window: for each axis a slice without a step, or an index; for axes that are
            not given, and by default, all of it.
        axes: the axis that runs down and the one that runs across, by default the last
            two; all others are put into the tiles.
        most: at most how many tiles the picture is high and wide.

    Raises:
        UsageError: the window or the axes do not fit the array.
    """
    shape = tuple(array.shape)
    bounds = _bounds(path, shape, window or ())
    down, across = _axes(path, len(shape), axes)
    tall, wide = _length(bounds, down), _length(bounds, across)
    tile = (max(1, math.ceil(tall / most)), max(1, math.ceil(wide / most)))
    counts = (math.ceil(tall / tile[0]), math.ceil(wide / tile[1]))
    flags, largest = np.zeros(counts, np.uint8), np.full(counts, -1.0)
    whole = math.prod(end - start for start, end in bounds)
    one_each = tile == (1, 1) and whole == tall * wide and array.dtype.kind != "c"
    values = np.zeros(counts) if one_each else None
    with np.errstate(all="ignore"):
        for row, column, block in _blocks(array, bounds, (down, across), tile[0]):
            rows = _cuts(row, len(block), tile[0])
            columns = _cuts(column, block.shape[1], tile[1])
            at = np.s_[rows.first : rows.last, columns.first : columns.last]
            bad, high = _reduced(block, rows.starts, columns.starts)
            flags[at] |= bad
            largest[at] = np.maximum(largest[at], high)
            if values is not None:
                values[at] = block.reshape(block.shape[:2])
    return Picture(path, shape, (down, across), bounds, tile, flags, largest, values)


def _bounds(
    path: str, shape: tuple[int, ...], window: Slices
) -> tuple[tuple[int, int], ...]:
    if len(window) > len(shape):
        raise UsageError(
            f"{path} has {len(shape)} axes, the window {len(window)}: {list(window)}."
        )
    whole = [slice(None)] * (len(shape) - len(window))
    found = []
    for axis, (length, part) in enumerate(zip(shape, [*window, *whole], strict=True)):
        if not isinstance(part, slice):
            i = int(part)
            if not -length <= i < length:
                raise UsageError(
                    f"Index {i} is outside axis {axis} of {path}, of length {length}."
                )
            part = slice(i % length, i % length + 1)
        start, end, step = part.indices(length)
        if step != 1:
            raise UsageError(
                f"A window is whole: expected a slice without a step for axis {axis} "
                f"of {path}, not {part}."
            )
        found.append((start, max(start, end)))
    return tuple(found)


def _axes(path: str, ndim: int, axes: Sequence[int] | None) -> tuple[int, int]:
    if axes is None:
        return (ndim - 2 if ndim > 1 else -1, ndim - 1)
    wanted = [axis + ndim if axis < 0 else axis for axis in axes]
    if len({*wanted}) != 2 or not {*wanted} <= {*range(ndim)}:
        raise UsageError(
            f"axes is {tuple(axes)}. Expected two axes of {path}, which has {ndim}."
        )
    return wanted[0], wanted[1]


def _length(bounds: Sequence[tuple[int, int]], axis: int) -> int:
    return bounds[axis][1] - bounds[axis][0] if axis >= 0 else 1


def _blocks(
    array: Any,
    bounds: Sequence[tuple[int, int]],
    axes: tuple[int, int],
    tile: int,
) -> Iterator[tuple[int, int, Host]]:
    """The elements in the window, in bands of whole rows of tiles.

    Yields:
        Row and column of the block in the picture, in elements, and the block: its
        first two axes are those that run down and across.
    """
    for origin, shard in finiteness.shards(array):
        ends = (o + n for o, n in zip(origin, shard.shape, strict=True))
        window = [
            (max(start, o) - o, min(end, e) - o)
            for (start, end), o, e in zip(bounds, origin, ends, strict=True)
        ]
        if any(start >= end for start, end in window):
            continue
        first = [
            origin[axis] + window[axis][0] - bounds[axis][0] if axis >= 0 else 0
            for axis in axes
        ]
        for row, band in _bands(window, axes[0], first[0], tile):
            block = computable(_cut(shard, band))
            kept = [axis for axis in axes if axis >= 0]
            block = np.moveaxis(block, kept, range(len(kept)))
            yield row, first[1], block.reshape((1,) * (2 - len(kept)) + block.shape)


def _bands(
    window: Sequence[tuple[int, int]], down: int, first: int, tile: int
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    if down < 0:
        yield 0, [*window]
        return
    start, end = window[down]
    in_a_row = math.prod(e - s for s, e in window) // (end - start)
    height = tile * max(1, _BAND // (in_a_row * tile))
    at = start
    while at < end:
        row = first + at - start
        stop = min(end, at + height - row % tile)  # a band ends where a tile does
        yield row, [(at, stop) if a == down else w for a, w in enumerate(window)]
        at = stop


def _cut(shard: Any, window: Sequence[tuple[int, int]]) -> Host:
    if isinstance(shard, jax.Array):
        # Where to begin is an operand, so that one compilation does for all bands.
        starts, sizes = [s for s, _ in window], [e - s for s, e in window]
        return np.asarray(jax.lax.dynamic_slice(shard, starts, sizes))
    return np.asarray(shard[tuple(slice(*w) for w in window)])


class _Cuts(NamedTuple):
    """Where the tiles begin in a block: the first and last tile, and their starts."""

    first: int
    last: int
    starts: Host


def _cuts(begin: int, length: int, tile: int) -> _Cuts:
    first, last = begin // tile, -(-(begin + length) // tile)
    starts = np.arange(first, last) * tile - begin
    starts[0] = 0
    return _Cuts(first, last, starts)


def _reduced(block: Host, rows: Host, columns: Host) -> tuple[Host, Host]:
    """Flags and largest magnitude of the tiles of a block."""
    rest = tuple(range(2, block.ndim))
    good = np.isfinite(block)
    flags = np.zeros((len(rows), len(columns)), np.uint8)
    magnitude = np.abs(block)
    if not good.all():
        nan, positive, negative = finiteness.kinds(block)
        kinds = nan * np.uint8(NAN) | positive * np.uint8(POSINF)
        kinds |= negative * np.uint8(NEGINF)
        kinds = np.bitwise_or.reduce(kinds, axis=rest)
        flags = _tiled(np.bitwise_or, kinds, rows, columns)
        magnitude[~good] = -1
    largest = _tiled(np.maximum, magnitude.max(axis=rest), rows, columns)
    return flags, largest


def _tiled(reduce: np.ufunc, elements: Host, rows: Host, columns: Host) -> Host:
    if len(rows) < len(elements):
        elements = reduce.reduceat(elements, rows, axis=0)
    if len(columns) < elements.shape[1]:
        elements = reduce.reduceat(elements, columns, axis=1)
    return elements
