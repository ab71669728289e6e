"""The lengths in which an argument came, and the few that all could be padded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jaxdbg.records.compile_event import Reason

_Best = dict[int, tuple[int, tuple[int, ...]]]
"""Of the first so many lengths: the least padded total, and the buckets for it."""

MAX_LENGTHS = 300
"""Of how many lengths buckets are looked for: that takes the square of it."""

MAX_BUCKETS = 4
"""How many buckets are proposed."""

LITTLE = 0.15
"""The share of padding that is little: no more buckets are proposed for less."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Lengths that others are padded to.

    Attributes:
        lengths: each, from the shortest.
        padding: the share of all elements that is padding, where every length that is
            padded is as frequent.
    """

    lengths: tuple[int, ...]
    padding: float


def lengths(reasons: Sequence[Reason]) -> tuple[int, ...]:
    """The lengths of the one axis in which an argument differs; none of several."""
    types = [t for r in reasons for t in (r.before_type, r.after_type)]
    shapes = {t.shape for t in types if t is not None}
    if None in types or len({len(s) for s in shapes}) != 1:
        return ()
    axes = [set(axis) for axis in zip(*shapes, strict=True)]
    different = [axis for axis in axes if len(axis) > 1]
    if len(different) != 1:
        return ()
    found = [n for n in different[0] if isinstance(n, int) and n > 0]
    return tuple(sorted(found)) if len(found) == len(different[0]) else ()


@lru_cache(maxsize=64)
def buckets(found: tuple[int, ...]) -> Buckets | None:
    """The fewest buckets with little padding; None for too few or too many lengths."""
    if not MAX_BUCKETS < len(found) <= MAX_LENGTHS:
        return None
    each = sorted(found)
    best: _Best = {0: (0, ())}
    best |= {n: (each[n - 1] * n, (each[n - 1],)) for n in range(1, len(each) + 1)}
    proposed: Buckets | None = None
    for _ in range(1, MAX_BUCKETS):
        best = _one_more(each, best)
        total, chosen = best[len(each)]
        proposed = Buckets(chosen, 1 - sum(each) / total)
        if proposed.padding <= LITTLE:
            break
    return proposed


def _one_more(each: Sequence[int], best: _Best) -> _Best:
    """The best with one more bucket, which holds the last of the lengths."""
    found: _Best = {0: (0, ())}
    for end in range(1, len(each) + 1):
        top = each[end - 1]
        options = (
            (best[start][0] + top * (end - start), (*best[start][1], top))
            for start in range(end)
        )
        found[end] = min(options)
    return found
