"""The bad results of a failing call, which nothing else holds.

A failure keeps the results of the call out, so the user's model has its last good
values, and where in a leaf the bad elements are could be seen nowhere. So a finding
keeps, of each bad result, what it holds (`Finding.outputs`), and of the first ones a
picture (`Finding.pictures`); both are plain data, and stay. The arrays themselves are
kept as long as `jaxdbg.checks.afterwards.kept_calls` says.

All of this is done when a call has failed, and never before. It is bounded: in what is
kept, and in time, which is that of reading the bad results a few times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxdbg.jax_internals.arrays import REF
from jaxdbg.records import LeafPicture, LeafStats
from jaxdbg.trees import pictures
from jaxdbg.trees.leaf_stats import ARRAYS, stats_of
from jaxdbg.trees.leaves import Leaf

GROUP = "results"
"""Where such leaves belong; a tree that holds the leaf knows better."""

SIDE = 64
"""Most tiles of a picture down and across: it takes some kilobytes."""

PICTURES = 8
"""Most pictures of one finding."""

PICTURE_SECONDS = 1.0
"""After so long no further picture is begun; the worst leaf always has one."""


@dataclass(frozen=True, slots=True)
class Bad:
    """The bad results of a call.

    Attributes:
        leaves: what each holds, in the order they are made.
        values: the arrays, or numbers.
        of_origin: indices of those that come from the origin, where that is known.
    """

    leaves: tuple[LeafStats, ...]
    values: tuple[Any, ...]
    of_origin: tuple[int, ...] = ()

    @property
    def order(self) -> list[int]:
        """Their indices, the worst first and the others as they come."""
        of_origin = self.of_origin or range(len(self.leaves))
        first = min(of_origin, key=lambda i: rank(self.leaves[i]))
        return [first, *(i for i in range(len(self.leaves)) if i != first)]

    @property
    def worst(self) -> LeafStats:
        """The leaf that is named first."""
        return self.leaves[self.order[0]]

    @property
    def arrays(self) -> dict[str, Any]:
        """The values by path, the worst first."""
        return {self.leaves[i].path: self.values[i] for i in self.order}


def rank(leaf: LeafStats) -> int:
    """A NaN comes before an Inf, and an Inf before a -Inf, which may be a mask."""
    return 0 if leaf.nan else 1 if leaf.posinf else 2


def bad_of(results: Sequence[tuple[str, Any]], of_origin: Sequence[int] = ()) -> Bad:
    """What some results hold that are known to be bad; each with what it is called."""
    # A Ref is written to again; what it holds now is to be kept.
    values = [value[...] if isinstance(value, REF) else value for _, value in results]
    leaves = [
        Leaf(path, GROUP, value)
        for (path, _), value in zip(results, values, strict=True)
    ]
    return Bad(stats_of(leaves), tuple(values), tuple(of_origin))


@dataclass(slots=True)
class Limits:
    """How much more a region keeps of the results of its failing calls.

    Attributes:
        leaves: for how many more bad leaves statistics are kept; when used up, only
            those of the worst leaf of each finding.
        pictures: how many more pictures are kept.
    """

    leaves: int = 200_000
    pictures: int = 64

    def of(self, bad: Bad) -> tuple[LeafStats, ...]:
        """What is kept of what bad results hold."""
        if len(bad.leaves) > self.leaves:
            return (bad.worst,)
        self.leaves -= len(bad.leaves)
        return bad.leaves

    def pictures_of(self, bad: Bad) -> tuple[LeafPicture, ...]:
        """Pictures of the first of some bad results, the worst before all others.

        A leaf that is bad throughout needs none: all of it looks the same.
        """
        began = time.perf_counter()
        found: list[LeafPicture] = []
        for i in bad.order:
            late = time.perf_counter() - began > PICTURE_SECONDS
            if len(found) >= min(PICTURES, self.pictures) or (found and late):
                break
            if _is_bad_in_part(bad.leaves[i]) and isinstance(bad.values[i], ARRAYS):
                found.append(_picture(bad.leaves[i].path, bad.values[i]))
        self.pictures -= len(found)
        return tuple(found)


def _is_bad_in_part(leaf: LeafStats) -> bool:
    return 0 < leaf.bad < leaf.size


def _picture(path: str, value: Any) -> LeafPicture:
    taken = pictures.picture(path, value, most=SIDE)
    rows, columns = taken.flags.shape
    return LeafPicture(
        path,
        taken.shape,
        taken.axes,
        taken.tile,
        rows,
        columns,
        "".join(map(str, taken.worst.ravel().tolist())),
        tuple(_rounded(v) for v in taken.largest.ravel().tolist()),
    )


def _rounded(magnitude: float) -> float | None:
    return float(f"{magnitude:.4g}") if magnitude >= 0 else None
