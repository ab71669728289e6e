"""What arrays hold: counts of what is not finite, magnitudes, mean and spread.

Three things make it quick. The small arrays of one dtype are laid side by side and
measured together, so that 10,000 leaves cost as little as their bytes. A large array is
read block by block where it lies, and several threads read at once. And an array that
is elsewhere than on the CPU is measured on its devices, shard by shard, in what was
compiled once for its shape and dtype; only a few numbers come back.

Where only finiteness is asked for, `jaxdbg.trees.finiteness` answers, on several pieces
at once.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import Host, has_non_finite
from jaxdbg.trees import finiteness
from jaxdbg.trees.measuring import (
    BLOCK,
    Gauge,
    Measured,
    computable,
    segments,
    smallest_normal,
)

_R = TypeVar("_R")

_PIECE = 1 << 20
"""Elements that a thread is handed at a time."""

_SHORT = 1 << 11
"""Elements up to which arrays are laid side by side: more are worth the calls."""

_TOGETHER = 1 << 8
"""How many of these are read together to see whether they are finite."""

_READ_AT_ONCE = 1 << 22
"""Elements of which a thread sees at a time whether they are finite: that is quick."""

_IN_THREADS = 4
"""From how many tasks on threads are worth their start."""

_MAX_THREADS = 8
"""The memory is no faster for more."""


@lru_cache(maxsize=256)
def is_number(dtype: Any) -> bool:
    """Whether elements of a dtype can be measured; keys, texts and objects cannot."""
    return jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_)


def suspects(arrays: Sequence[Any]) -> list[int]:
    """Indices of the arrays with NaN or Inf; as `finiteness.suspects`, in threads."""
    bad: list[int] = []
    left: list[int] = []
    pieces: list[_Piece] = []
    short: dict[Any, list[tuple[int, Host]]] = defaultdict(list)
    for i, array in enumerate(arrays):
        part = finiteness.here(array)
        if part is None:
            left.append(i)
        elif not has_non_finite(part.dtype):
            continue
        elif part.size <= _SHORT:
            alike = short[part.dtype]
            alike.append((i, part))
            if len(alike) == _TOGETHER:
                bad += _bad_ones(short.pop(part.dtype))
        elif part.size > _PIECE:
            pieces += _pieces(i, part, _READ_AT_ONCE)
        elif finiteness.is_bad(part):
            bad.append(i)
    for alike in short.values():
        bad += _bad_ones(alike)
    good = _mapped(_is_good, pieces)
    bad += [p.array for p, is_good in zip(pieces, good, strict=True) if not is_good]
    bad += [left[k] for k in finiteness.suspects([arrays[i] for i in left])]
    return sorted({*bad})


def _bad_ones(arrays: Sequence[tuple[int, Host]]) -> list[int]:
    """Which of some short arrays of a dtype hold NaN or Inf; all are read at once."""
    if not finiteness.is_bad(np.concatenate([a for _, a in arrays], axis=None)):
        return []
    return [i for i, a in arrays if finiteness.is_bad(a)]


def peaks(arrays: Sequence[Any]) -> list[float]:
    """The largest magnitude of each of some float arrays; NaN or Inf where one is bad.

    Some microseconds for a small array on the CPU; a tenth of what `measured` costs for
    a large one. Of an empty array it is -1.
    """
    # All that are elsewhere are asked before the first is waited for.
    asked = [
        [_peak_there(part) for _, part in finiteness.shards(array) if part.size]
        if finiteness.is_remote(array)
        else None
        for array in arrays
    ]
    return [
        _peak_here(array)
        if there is None
        else _highest([float(peak) for peak in jax.device_get(there)])
        for array, there in zip(arrays, asked, strict=True)
    ]


def _peak_here(array: Any) -> float:
    if isinstance(array, np.ndarray) or array.is_fully_replicated:
        return _peak(np.asarray(array))  # no copy, on the CPU
    return _highest([_peak(part) for _, part in finiteness.parts(array)])


def _highest(peaks: Sequence[float]) -> float:
    bad = next((p for p in peaks if math.isnan(p)), None)
    return bad if bad is not None else max(peaks, default=-1.0)


@jax.jit
def _peak_there(x: jax.Array) -> jax.Array:
    return jnp.max(jnp.abs(x))


def _peak(part: Host) -> float:
    if not part.size:
        return -1.0
    if part.size <= BLOCK:
        return _peak_of_block(part)
    return _highest([_peak_of_block(block) for block in _blocks(part)])


def _peak_of_block(block: Host) -> float:
    dtype = block.dtype
    if dtype.char in "fd":
        # Both keep a NaN that they meet, and then nothing is greater.
        high = float(np.maximum.reduce(block, axis=None))
        low = -float(np.minimum.reduce(block, axis=None))
        return high if high >= low else low
    if dtype.itemsize == 2:
        # Without their sign, the bits of an IEEE number are in the order of its size.
        bits = int((block.view(np.uint16) & 0x7FFF).max())
        return float(np.uint16(bits).view(dtype))
    with np.errstate(all="ignore"):
        return float(np.abs(computable(block)).max())


def _blocks(part: Host) -> Iterator[Host]:
    flat: Any = part.reshape(-1) if part.flags.c_contiguous else part.flat
    return (flat[i : i + BLOCK] for i in range(0, part.size, BLOCK))


def measured(arrays: Sequence[Any]) -> list[Measured]:
    """What each of some arrays holds; blocks until they are computed.

    Arguments:
        arrays: of numbers (`is_number`), of any shape and sharding, none deleted. Of
            an array that spans processes, the part in this process is measured.
    """
    found = [Measured() for _ in arrays]
    places = [
        (i, *s) for i, array in enumerate(arrays) for s in finiteness.shards(array)
    ]
    far = [k for k, (_, _, shard) in enumerate(places) if isinstance(shard, jax.Array)]
    near = [
        k for k, (_, _, shard) in enumerate(places) if isinstance(shard, np.ndarray)
    ]
    held = dict(zip(near, _parts_measured([places[k][2] for k in near]), strict=True))
    held.update(zip(far, _shards_measured([places[k][2] for k in far]), strict=True))
    for k, (i, origin, shard) in enumerate(places):
        measure = held[k]
        if measure.first >= 0:
            shape = np.shape(arrays[i])
            measure.first = _in_the_whole(measure.first, origin, shard.shape, shape)
        found[i].add(measure)
    return found


def _in_the_whole(
    first: int, origin: tuple[int, ...], part: tuple[int, ...], whole: tuple[int, ...]
) -> int:
    """The index in an array of an element of a part of it; both flat, in C order."""
    inside = np.unravel_index(first, part)
    index = [a + int(b) for a, b in zip(origin, inside, strict=True)]
    return int(np.ravel_multi_index(index, whole)) if index else first


# -- on devices ------------------------------------------------------------------------


def _shards_measured(shards: Sequence[jax.Array]) -> list[Measured]:
    """What shards hold that are elsewhere: some numbers come back, and no elements.

    Compiled once for each shape and dtype. All are asked before the first is waited
    for, and the answers come in one transfer.
    """
    answers = jax.device_get([_measure_there(shard) for shard in shards])
    found = []
    for shard, (counts, numbers) in zip(shards, answers, strict=True):
        measured = (*counts[:5].tolist(), *numbers.tolist(), int(counts[5]))
        found.append(Measured(shard.size, *measured))
    return found


@jax.jit
def _measure_there(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """NaN, +Inf, -Inf, zeros, subnormals and the first bad; then the magnitudes."""
    normal = smallest_normal(x.dtype)
    if not has_non_finite(x.dtype) or x.dtype.itemsize < 4:
        x = x.astype(jnp.float32)
    is_complex = jnp.issubdtype(x.dtype, jnp.complexfloating)
    nan, infinite = jnp.isnan(x), jnp.isinf(x)
    positive = (x.real == jnp.inf) | (is_complex & (x.imag == jnp.inf))
    good = ~(nan | infinite)
    magnitude = jnp.where(good, jnp.abs(x), 0)
    counts = [
        nan.sum(),
        (infinite & positive & ~nan).sum(),
        (infinite & ~positive & ~nan).sum(),
        (good & (magnitude == 0)).sum(),
        ((magnitude > 0) & (magnitude < normal)).sum(),
        jnp.where(good.all(), -1, jnp.argmin(good)),
    ]
    mean = squares = jnp.full((), jnp.nan, magnitude.dtype)
    if not is_complex:
        n = jnp.maximum(good.sum(), 1)
        mean = jnp.where(good, x, 0).sum() / n
        squares = jnp.where(good, jnp.square(x - mean), 0).sum()
    numbers = [
        jnp.where(magnitude > 0, magnitude, jnp.inf).min(initial=jnp.inf),
        jnp.where(good, magnitude, -1).max(initial=-1),
        mean,
        squares,
    ]
    return jnp.stack(counts), jnp.stack(numbers)


# -- on the host -----------------------------------------------------------------------


class _Piece(NamedTuple):
    """A part of an array, or a piece of one, by the elements in C order.

    Attributes:
        array: which of a list it is of.
        part: the array; start, size: which of its elements.
    """

    array: int
    part: Host
    start: int
    size: int

    def values(self) -> Host:
        """The elements, flat: a copy only where they do not lie in this order."""
        part = self.part
        flat: Any = part.reshape(-1) if part.flags.c_contiguous else part.flat
        values: Host = flat[self.start : self.start + self.size]
        return values


def _parts_measured(parts: Sequence[Host]) -> list[Measured]:
    found = [Measured() for _ in parts]
    batches = [*_batches(enumerate(parts), _PIECE)]
    for batch, measures in zip(batches, _mapped(_measure, batches), strict=True):
        for piece, measure in zip(batch, measures, strict=True):
            found[piece.array].add(measure, piece.start)
    return found


def _batches(parts: Iterable[tuple[int, Host]], longest: int) -> Iterator[list[_Piece]]:
    """Pieces for a thread: of one dtype, and all of them short or none."""
    waiting: dict[Any, list[_Piece]] = defaultdict(list)
    lengths: dict[Any, int] = defaultdict(int)
    for i, part in parts:
        short = _is_short(part)
        key = part.dtype, short
        for piece in _pieces(i, part, longest):
            waiting[key].append(piece)
            lengths[key] += piece.size
            if lengths[key] >= (BLOCK if short else longest):
                yield waiting.pop(key)
                del lengths[key]
    yield from waiting.values()


def _is_short(part: Host) -> bool:
    return part.size <= _SHORT or not Gauge.fits(part.dtype)


def _pieces(array: int, part: Host, longest: int) -> Iterator[_Piece]:
    size = part.size
    for start in range(0, size, longest):
        yield _Piece(array, part, start, min(longest, size - start))


def _mapped(function: Callable[[Any], _R], tasks: Sequence[Any]) -> list[_R]:
    """The function of each task; in threads where that pays."""
    with np.errstate(all="ignore"):
        if len(tasks) < _IN_THREADS:
            return [function(task) for task in tasks]
    with ThreadPoolExecutor(_cores(), "jaxdbg", np.seterr, ("ignore",)) as threads:
        return [*threads.map(function, tasks)]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, _MAX_THREADS)


def _measure(batch: Sequence[_Piece]) -> list[Measured]:
    if _is_short(batch[0].part):
        values = np.concatenate([piece.part for piece in batch], axis=None)
        return segments(values, [piece.size for piece in batch])
    gauge = Gauge(batch[0].part.dtype)
    return [gauge.measured(piece.values()) for piece in batch]


def _is_good(piece: _Piece) -> bool:
    return not finiteness.is_bad(piece.values())
