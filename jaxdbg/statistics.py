"""What arrays hold: counts of what is not finite, magnitudes, mean and spread.

Three things make it quick. The small arrays of one dtype are laid side by side and
measured together, so that 10,000 leaves cost as little as their bytes. A large array is
read block by block where it lies, and several threads read at once. And an array that
is elsewhere than on the CPU is measured on its devices, shard by shard, in what was
compiled once for its shape and dtype; only a few numbers come back.

Where only finiteness is asked for, a finite sum proves an array finite; see
`jaxdbg.finite`, which answers what a sum leaves open.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg import finite
from jaxdbg.finite import Host

_R = TypeVar("_R")

_BLOCK = 1 << 16
"""Elements measured at once: what is made of them stays in the L2 cache."""

_PIECE = 1 << 20
"""Elements that a thread is handed at a time."""

_SUMMED_AT_ONCE = 1 << 22
"""Elements that a thread sums at a time; adding is so quick that more pays."""

_IN_THREADS = 4
"""From how many tasks on threads are worth their start."""

_MAX_THREADS = 8
"""The memory is no faster for more."""


@dataclass(slots=True)
class Measured:
    """What an array holds, or some part of it.

    Attributes:
        size: how many elements were read.
        nan, posinf, neginf: how many are NaN, +Inf and -Inf.
        zeros: how many are 0.
        subnormals: how many are not, and below the type's smallest normal number.
        smallest: the smallest nonzero magnitude of a finite element; Inf for none.
        largest: the largest magnitude of a finite element; -1 for none.
        mean: of the finite elements; NaN for complex numbers.
        squares: sum of the squared distances of the finite elements from their mean.
        first: the first bad element's index in C order; -1 for none.
    """

    size: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    zeros: int = 0
    subnormals: int = 0
    smallest: float = math.inf
    largest: float = -1.0
    mean: float = 0.0
    squares: float = 0.0
    first: int = -1

    @property
    def bad(self) -> int:
        """How many elements are not finite."""
        return self.nan + self.posinf + self.neginf

    @property
    def good(self) -> int:
        """How many elements are finite."""
        return self.size - self.bad

    def add(self, other: Measured, offset: int = 0) -> None:
        """Takes in another part, which begins `offset` elements into the whole."""
        if other.good:
            # Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
            # computing sample variances" (1979).
            apart, share = other.mean - self.mean, other.good / (self.good + other.good)
            self.squares += other.squares + apart * apart * self.good * share
            self.mean += apart * share
        if other.first >= 0 and not 0 <= self.first < other.first + offset:
            self.first = other.first + offset
        self.size += other.size
        self.nan += other.nan
        self.posinf += other.posinf
        self.neginf += other.neginf
        self.zeros += other.zeros
        self.subnormals += other.subnormals
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)


@lru_cache(maxsize=256)
def is_number(dtype: Any) -> bool:
    """Whether elements of a dtype can be measured; keys, texts and objects cannot."""
    return jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_)


@lru_cache(maxsize=256)
def is_float(dtype: Any) -> bool:
    """Whether elements of a dtype can be NaN or infinite."""
    return dtype is not None and jnp.issubdtype(dtype, np.inexact)


def suspects(arrays: Sequence[Any]) -> list[int]:
    """Indices of the arrays that hold NaN or Inf; as `finite.suspects`, in threads."""
    large = [i for i, array in enumerate(arrays) if _is_worth_threads(array)]
    tasks = [
        (i, piece)
        for i in large
        for _, part in finite.parts(arrays[i])
        for _, piece in _pieces(part, _SUMMED_AT_ONCE)
    ]
    proved = _mapped(_sum_is_finite, [piece for _, piece in tasks])
    unproved = [t for t, proof in zip(tasks, proved, strict=True) if not proof]
    bad = {i for i, piece in unproved if finite.suspects([piece])}
    rest = [*arrays]
    for i in large:
        rest[i] = None
    return sorted(bad.union(finite.suspects(rest)))


def peaks(arrays: Sequence[Any]) -> list[float]:
    """The largest magnitude of each of some float arrays; NaN or Inf where one is bad.

    Some microseconds for a small array on the CPU; a tenth of what `measured` costs for
    a large one. Of an empty array it is -1.
    """
    # All that are elsewhere are asked before the first is waited for.
    asked = [
        [_peak_there(part) for _, part in finite.shards(array) if part.size]
        if finite.is_remote(array)
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
    return _highest([_peak(part) for _, part in finite.parts(array)])


def _highest(peaks: Sequence[float]) -> float:
    bad = next((p for p in peaks if math.isnan(p)), None)
    return bad if bad is not None else max(peaks, default=-1.0)


@jax.jit
def _peak_there(x: jax.Array) -> jax.Array:
    return jnp.max(jnp.abs(x))


def _peak(part: Host) -> float:
    if not part.size:
        return -1.0
    if part.size <= _BLOCK:
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
    return (flat[i : i + _BLOCK] for i in range(0, part.size, _BLOCK))


def measured(arrays: Sequence[Any]) -> list[Measured]:
    """What each of some arrays holds; blocks until they are computed.

    Arguments:
        arrays: of numbers (`is_number`), of any shape and sharding, none deleted. Of
            an array that spans processes, the part in this process is measured.
    """
    found = [Measured() for _ in arrays]
    places = [(i, *s) for i, array in enumerate(arrays) for s in finite.shards(array)]
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
        told = (*counts[:5].tolist(), *numbers.tolist(), int(counts[5]))
        found.append(Measured(shard.size, *told))
    return found


@jax.jit
def _measure_there(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """NaN, +Inf, -Inf, zeros, subnormals and the first bad; then the magnitudes."""
    normal = _smallest_normal(x.dtype)
    if not is_float(x.dtype) or x.dtype.itemsize < 4:
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

_Piece = tuple[int, int, Host]
"""Of which part, where it begins in it, and its elements, as a flat array."""


def _parts_measured(parts: Sequence[Host]) -> list[Measured]:
    found = [Measured() for _ in parts]
    batches = [*_batches(parts)]
    for batch, measures in zip(batches, _mapped(_measure, batches), strict=True):
        for (i, offset, _), measure in zip(batch, measures, strict=True):
            found[i].add(measure, offset)
    return found


def _batches(parts: Sequence[Host]) -> Iterator[list[_Piece]]:
    """Pieces that are measured together: small ones of a dtype, or one large piece."""
    waiting: dict[Any, list[_Piece]] = defaultdict(list)
    lengths: dict[Any, int] = defaultdict(int)
    for i, part in enumerate(parts):
        if part.size > _BLOCK // 2:
            yield from ([(i, offset, piece)] for offset, piece in _pieces(part))
        elif part.size:
            dtype = part.dtype
            waiting[dtype].append((i, 0, part.reshape(-1)))
            lengths[dtype] += part.size
            if lengths[dtype] > _BLOCK // 2:
                yield waiting.pop(dtype)
                del lengths[dtype]
    yield from waiting.values()


def _pieces(part: Host, length: int = _PIECE) -> Iterator[tuple[int, Host]]:
    """An array as flat pieces in C order, each with where it begins."""
    # Slices of `.flat` are copies, but no longer than a piece.
    flat: Any = part.reshape(-1) if part.flags.c_contiguous else part.flat
    for start in range(0, part.size, length):
        yield start, flat[start : start + length]


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


def _is_worth_threads(array: Any) -> bool:
    """Whether an array is large, and NumPy sums it at the speed of memory."""
    if math.prod(getattr(array, "shape", ())) <= _PIECE:
        return False
    return array.dtype in _SUMMED and not finite.is_remote(array)


_SUMMED = frozenset(map(np.dtype, ("f4", "f8", "c8", "c16")))


def _sum_is_finite(piece: Host) -> bool:
    return bool(np.isfinite(np.add.reduce(piece)))


def _measure(batch: Sequence[_Piece]) -> list[Measured]:
    if len(batch) > 1:
        lengths = [len(piece) for _, _, piece in batch]
        return _segments(np.concatenate([piece for _, _, piece in batch]), lengths)
    whole, (_, _, piece) = Measured(), batch[0]
    for start in range(0, len(piece), _BLOCK):
        block = piece[start : start + _BLOCK]
        whole.add(_segments(block, [len(block)])[0], start)
    return [whole]


def _segments(values: Host, lengths: Sequence[int]) -> list[Measured]:
    """What the segments of a flat array hold; none of their lengths is 0."""
    normal = _smallest_normal(values.dtype)
    values = computable(values)
    sizes = np.asarray(lengths)
    starts = np.cumsum(sizes) - sizes

    def count(which: Host) -> Host:
        return np.add.reduceat(which, starts, dtype=np.int64)

    good = np.isfinite(values)
    if all_good := bool(good.all()):
        bad = [(0, 0, 0, -1)] * len(sizes)
    else:
        bad = _bad(values, ~good, starts, count)
        values = np.where(good, values, values.dtype.type(0))
    magnitude = np.abs(values)
    tiny, zero = magnitude < normal, magnitude == 0
    zeros = count(zero)
    subnormals = count(tiny) - zeros
    largest = np.maximum.reduceat(magnitude, starts)
    magnitude[zero] = np.inf
    smallest = np.minimum.reduceat(magnitude, starts)
    number = sizes if all_good else count(good)
    mean, squares = _moments(values, None if all_good else good, starts, sizes, number)
    return [
        Measured(size, nan, positive, negative, z - size + n, s, low, high, m, q, first)
        if n
        else Measured(size, nan, positive, negative, first=first)
        for size, (nan, positive, negative, first), n, z, s, low, high, m, q in zip(
            lengths,
            bad,
            *(c.tolist() for c in (number, zeros, subnormals)),
            *(c.tolist() for c in (smallest, largest, mean, squares)),
            strict=True,
        )
    ]


def _bad(
    values: Host, bad: Host, starts: Host, count: Callable[[Host], Host]
) -> list[tuple[int, int, int, int]]:
    """For each segment: NaN, +Inf, -Inf, and where the first of any is, else -1."""
    counts = [count(kind).tolist() for kind in finite.kinds(values)]
    where = np.append(np.flatnonzero(bad), len(bad))
    first = where[np.searchsorted(where, starts)]
    ends = np.append(starts[1:], len(bad))
    firsts = np.where(first < ends, first - starts, -1).tolist()
    return [*zip(*counts, firsts, strict=True)]


def _moments(
    values: Host, good: Host | None, starts: Host, sizes: Host, number: Host
) -> tuple[Host, Host]:
    """Mean of the good elements, and the sum of the squared distances from it."""
    if values.dtype.kind == "c":
        return np.full(len(sizes), np.nan), np.full(len(sizes), np.nan)
    mean = np.add.reduceat(values, starts, dtype=np.float64) / np.maximum(number, 1)
    apart = values - (np.repeat(mean, sizes) if len(sizes) > 1 else mean)
    if good is not None:
        apart[~good] = 0
    return mean, np.add.reduceat(np.square(apart, out=apart), starts)


def computable(values: Host) -> Host:
    """The values in a type in which NumPy computes at speed, without rounding them."""
    dtype = values.dtype
    if dtype.kind in "fc" and dtype.itemsize >= 4:
        return values if dtype.isnative else values.astype(dtype.newbyteorder("="))
    if jnp.issubdtype(dtype, np.inexact):
        return values.astype(np.float32)
    return values.astype(np.float64)


@lru_cache(maxsize=64)
def _smallest_normal(dtype: Any) -> float:
    if not jnp.issubdtype(dtype, np.inexact):
        return 1.0
    limits: Any = jnp.finfo
    return float(limits(dtype).smallest_normal)
