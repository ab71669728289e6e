"""A tree in parts: what its text, its HTML and its figure have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxdbg.records import LeafStats, TreeStats
from jaxdbg.views import words
from jaxdbg.views.words import count

MAX_BAD = 20
"""How many bad leaves are listed."""

MAX_PARTS = 24
"""How many parts of the tree are listed."""

_STEP = re.compile(r"""\.\w+|\[(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\]"'])*\]""")


def headline(tree: TreeStats) -> str:
    """`✗ model: 2 of 14 leaves are not finite · 1,234 elements, 4.9 kB · ...`."""
    n, bad = len(tree.leaves), len(tree.bad)
    if all(leaf.kind in ("other", "none") for leaf in tree.leaves):
        return f"{tree.name} holds no arrays: there is nothing to look at"
    if bad:
        state = f"{bad:,} of {count(n, 'leaf')} not finite"
    else:
        state = "finite" if n == 1 else f"all {n:,} leaves finite"
    elements = count(sum(leaf.size for leaf in tree.leaves), "element")
    took = words.seconds(tree.seconds)
    mark = "✗" if bad else "✓"
    return (
        f"{mark} {tree.name}: {state} · {elements}, {_nbytes(tree.leaves)} · read in "
        f"{took}"
    )


def bad_line(leaf: LeafStats) -> str:
    """`model.head.kernel  float32[64,10]: 12 NaN, 1 Inf of 640, first at [3, 7]`."""
    counts = f"{badness(leaf)} of {leaf.size:,}"
    first = f", first at {list(leaf.first_bad)}" if leaf.first_bad else ""
    return f"{leaf.path}  {typed(leaf)}: {counts}{first}"


def badness(leaf: LeafStats) -> str:
    """`12 NaN, 1 Inf`; empty for a leaf that is finite."""
    return words.nonfinite(leaf.nan, leaf.posinf, leaf.neginf)


def typed(leaf: LeafStats) -> str:
    """`float32[64,64]`, or the kind of what is no array."""
    if not leaf.dtype:
        return leaf.kind
    kind = f" ({leaf.kind})" if leaf.kind in ("abstract", "deleted") else ""
    return words.array(leaf.dtype, leaf.shape) + kind


@dataclass(frozen=True, slots=True)
class Part:
    """Leaves under one path."""

    path: str
    leaves: tuple[LeafStats, ...]

    @property
    def bad(self) -> int:
        """How many of them are bad."""
        return sum(bool(leaf.bad) for leaf in self.leaves)

    @property
    def largest(self) -> float | None:
        """The largest finite magnitude."""
        known = [x.largest for x in self.leaves if x.largest is not None]
        return max(known, default=None)

    @property
    def smallest(self) -> float | None:
        """The smallest magnitude but 0."""
        known = [x.smallest for x in self.leaves if x.smallest is not None]
        return min(known, default=None)

    @property
    def headroom(self) -> float | None:
        """Bits to the limit of the type, where there are fewest."""
        floats = (x for x in self.leaves if x.kind in ("float", "complex"))
        return min((x.headroom for x in floats if x.headroom is not None), default=None)


def parts(tree: TreeStats) -> list[Part]:
    """The tree in parts that fit in a table, as deep as they do, in its order."""
    ends = [len(tree.name)] * len(tree.leaves)
    found: dict[str, list[LeafStats]] = {}
    while True:
        deeper, ends = _one_step_deeper(tree, ends)
        if found and (len(deeper) > MAX_PARTS or deeper.keys() == found.keys()):
            return [Part(path, tuple(leaves)) for path, leaves in found.items()]
        if not deeper:
            return []
        found = deeper


def _one_step_deeper(
    tree: TreeStats, ends: Sequence[int]
) -> tuple[dict[str, list[LeafStats]], list[int]]:
    """The leaves by the part of the path that ends one step after where it ended."""
    grouped: dict[str, list[LeafStats]] = {}
    after = []
    for leaf, end in zip(tree.leaves, ends, strict=True):
        step = _STEP.match(leaf.path, end)
        after.append(step.end() if step else end)
        grouped.setdefault(leaf.path[: after[-1]], []).append(leaf)
    return grouped, after


def rows(tree: TreeStats) -> list[tuple[str, ...]]:
    """A head, and a row for each part; the bad ones come first if not all fit."""
    return [_HEAD, *(_row(part) for part in shown(parts(tree)))]


def left_out(tree: TreeStats) -> int:
    """How many parts are not listed."""
    return max(0, len(parts(tree)) - MAX_PARTS)


def shown(all_parts: Sequence[Part]) -> list[Part]:
    """The parts that are listed."""
    bad = [p for p in all_parts if p.bad][:MAX_PARTS]
    good = [p for p in all_parts if not p.bad][: MAX_PARTS - len(bad)]
    paths = {p.path for p in (*bad, *good)}
    return [p for p in all_parts if p.path in paths]


_HEAD = ("", "", "size", "smallest", "largest", "headroom", "")


def _row(part: Part) -> tuple[str, ...]:
    n = len(part.leaves)
    headroom = f"{part.headroom:.0f} bits" if part.headroom is not None else ""
    return (
        part.path,
        typed(part.leaves[0]) if n == 1 else count(n, "leaf"),
        _nbytes(part.leaves),
        _number(part.smallest),
        _number(part.largest),
        headroom,
        part_badness(part),
    )


def part_badness(part: Part) -> str:
    """`✗ 12 NaN`, or `✗ 3 bad` of several leaves; empty where all is finite."""
    if not part.bad:
        return ""
    if len(part.leaves) == 1:
        return f"✗ {badness(part.leaves[0])}"
    return f"✗ {part.bad:,} bad"


def _number(x: float | None) -> str:
    """`0.0312`, `1.2e-07`; empty for None."""
    return "" if x is None else f"{x:.3g}"


def _nbytes(leaves: Iterable[LeafStats]) -> str:
    return words.size(sum(leaf.nbytes for leaf in leaves))
