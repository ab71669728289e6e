"""What flat arrays of the host hold, measured so that the passes stay in the cache.

A block alone is measured by `Gauge` in some ten passes over what the cache holds: most
arrays hold no zero and nothing bad, and what is needed for these is left out then.
Many short arrays are laid side by side and measured at once, by `segments`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import Host
from jaxdbg.trees import finiteness

BLOCK = 1 << 15
"""Elements measured at once: what is made of them stays in the L2 cache."""

_ROW = 1 << 13
"""Elements that BLAS sums in one go: for so few it starts no threads."""

_APART = 1e-6
"""The share of the squares from which the squares of the mean are taken off them."""


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


class Gauge:
    """Measures flat arrays of a dtype, block by block, in memory that it uses again."""

    def __init__(self, dtype: Any):
        self._normal = smallest_normal(dtype)
        self._type = computable(np.empty(0, dtype)).dtype
        self._magnitudes = np.empty(0, np.abs(np.empty(0, self._type)).dtype)
        self._doubles = np.empty(0)
        # Without their sign, the bits of an IEEE number are in the order of its size.
        self._bits = np.dtype(f"u{self._magnitudes.itemsize}")

    @staticmethod
    def fits(dtype: Any) -> bool:
        """Whether it can measure a dtype: not what is longer than a double."""
        return bool(dtype.itemsize <= (16 if dtype.kind == "c" else 8))

    def measured(self, values: Host) -> Measured:
        """What a flat array holds."""
        whole = Measured()
        for start in range(0, len(values), BLOCK):
            whole.add(self._block(values[start : start + BLOCK]), start)
        return whole

    def _block(self, values: Host) -> Measured:
        size = len(values)
        if len(self._magnitudes) < size:
            self._magnitudes = np.empty(size, self._magnitudes.dtype)
            self._doubles = np.empty(size)
        values = computable(values)
        magnitudes = np.abs(values, out=self._magnitudes[:size])
        found = Measured(size, largest=float(np.maximum.reduce(magnitudes)))
        bad = None
        if not found.largest < math.inf:
            bad = ~np.isfinite(values)
            self._count(bad, values, found)
            if not found.good:
                return found
            values = np.where(bad, values.dtype.type(0), values)
            np.abs(values, out=magnitudes)
            found.largest = float(np.maximum.reduce(magnitudes))
        found.smallest = float(np.minimum.reduce(magnitudes))
        if found.smallest < self._normal:
            zeros = int(np.count_nonzero(magnitudes == 0))
            below = int(np.count_nonzero(magnitudes < self._normal))
            found.zeros, found.subnormals = zeros - found.bad, below - zeros
            found.smallest = self._above_zero(magnitudes)
        if values.dtype.kind == "c":
            found.mean = found.squares = math.nan
        else:
            self._spread(values, bad, found)
        return found

    def _count(self, bad: Host, values: Host, found: Measured) -> None:
        """Counts what is not finite; a complex number may only be too long."""
        if bad.any():
            counts = [int(np.count_nonzero(kind)) for kind in finiteness.kinds(values)]
            found.nan, found.posinf, found.neginf = counts
            found.first = int(bad.argmax())
            found.largest = -1.0

    def _above_zero(self, magnitudes: Host) -> float:
        """The smallest magnitude that is not 0; overwrites the magnitudes."""
        bits = magnitudes.view(self._bits)
        np.subtract(bits, 1, out=bits)  # so that 0 is the largest
        least = np.minimum.reduce(bits) + self._bits.type(1)
        return float(least.view(magnitudes.dtype)) if least else math.inf

    def _spread(self, values: Host, bad: Host | None, found: Measured) -> None:
        """Mean and squares; of `values` the bad ones are 0."""
        doubles = values
        if values.dtype != np.float64:
            doubles = self._doubles[: len(values)]
            np.copyto(doubles, values)
        found.mean = float(np.add.reduce(doubles)) / found.good
        squares = _squares(doubles)
        found.squares = squares - found.mean * found.mean * found.good
        # Little is left of them where the mean is far from 0, or where they overflow.
        if not found.squares > squares * _APART:
            doubles = np.subtract(doubles, found.mean, out=self._doubles[: len(values)])
            if bad is not None:
                doubles[bad] = 0
            found.squares = _squares(doubles)


def _squares(values: Host) -> float:
    rows = range(0, len(values), _ROW)
    return float(sum(np.dot(r, r) for r in (values[i : i + _ROW] for i in rows)))


def segments(values: Host, lengths: Sequence[int]) -> list[Measured]:
    """What the segments of a flat array hold; none of their lengths is 0."""
    normal = smallest_normal(values.dtype)
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
    counts = [count(kind).tolist() for kind in finiteness.kinds(values)]
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
def smallest_normal(dtype: Any) -> float:
    """The smallest normal number of a dtype; 1 where it holds no fractions."""
    if not jnp.issubdtype(dtype, np.inexact):
        return 1.0
    limits: Any = jnp.finfo
    return float(limits(dtype).smallest_normal)
