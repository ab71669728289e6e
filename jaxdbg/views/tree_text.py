"""What a tree holds, as text: the bad leaves first, then a line for each part of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxdbg.records import LeafStats, TreeStats
from jaxdbg.records.garbage import no_collection

MAX_BAD = 20
"""How many bad leaves are listed."""

MAX_PARTS = 24
"""How many parts of the tree are."""

_STEP = re.compile(r"""\.\w+|\[(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\]"'])*\]""")


def render(tree: TreeStats) -> str:
    """The map as text, without a line break at its end."""
    with no_collection():
        return "\n".join(_lines(tree))


def _lines(tree: TreeStats) -> list[str]:
    bad = tree.bad
    lines = [headline(tree)]
    lines += [f"  ✗ {bad_line(leaf)}" for leaf in bad[:MAX_BAD]]
    if len(bad) > MAX_BAD:
        lines.append(f"  ✗ and {len(bad) - MAX_BAD:,} more bad leaves")
    if len(tree.leaves) > 1:
        lines += [f"  {line}".rstrip() for line in _table(tree)]
    return lines


def headline(tree: TreeStats) -> str:
    """`✗ model: 2 of 14 leaves are not finite · 1,234 elements, 4.9 kB · ...`."""
    n, bad = len(tree.leaves), len(tree.bad)
    if bad:
        found = f"{bad:,} of {n:,} {_plural(n, 'leaf')} not finite"
    else:
        found = "finite" if n == 1 else f"all {n:,} leaves finite" if n else "no leaves"
    size = sum(leaf.size for leaf in tree.leaves)
    held = f"{size:,} {_plural(size, 'element')}, {nbytes(tree.leaves)}"
    mark = "✗" if bad else "✓"
    return f"{mark} {tree.name}: {found} · {held} · read in {seconds(tree.seconds)}"


def bad_line(leaf: LeafStats) -> str:
    """`model.head.kernel  float32[64,10]: 12 NaN, 1 +Inf of 640, first at [3, 7]`."""
    counts = f"{badness(leaf)} of {leaf.size:,}"
    first = f", first at {list(leaf.first_bad)}" if leaf.first_bad else ""
    return f"{leaf.path}  {typed(leaf)}: {counts}{first}"


def badness(leaf: LeafStats) -> str:
    """`12 NaN, 1 +Inf`; empty for a leaf that is finite."""
    counts = ((leaf.nan, "NaN"), (leaf.posinf, "+Inf"), (leaf.neginf, "-Inf"))
    return ", ".join(f"{n:,} {kind}" for n, kind in counts if n)


def typed(leaf: LeafStats) -> str:
    """`float32[64,64]`, or the kind of what is no array."""
    if not leaf.dtype:
        return leaf.kind
    dims = ",".join(map(str, leaf.shape))
    kind = f" ({leaf.kind})" if leaf.kind in ("abstract", "deleted") else ""
    return f"{leaf.dtype}[{dims}]{kind}"


def nbytes(leaves: Iterable[LeafStats]) -> str:
    """The size of some leaves: `4.9 kB`."""
    n: float = sum(leaf.nbytes for leaf in leaves)
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} B" if unit == "B" else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.1f} TB"


def seconds(s: float) -> str:
    """`4 ms`, `1.2 s`."""
    return f"{s:.1f} s" if s >= 1 else f"{s * 1000:.3g} ms"


# -- the parts of a tree ---------------------------------------------------------------


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
    """A head, and a row for each part; the bad ones come first where room is short."""
    return [_HEAD, *(_row(part) for part in shown(parts(tree)))]


def left_out(tree: TreeStats) -> int:
    """For how many parts there was no room."""
    return max(0, len(parts(tree)) - MAX_PARTS)


def shown(all_parts: Sequence[Part]) -> list[Part]:
    bad = [p for p in all_parts if p.bad][:MAX_PARTS]
    good = [p for p in all_parts if not p.bad][: MAX_PARTS - len(bad)]
    paths = {p.path for p in (*bad, *good)}
    return [p for p in all_parts if p.path in paths]


def _table(tree: TreeStats) -> list[str]:
    lines, rest = _aligned(rows(tree)), left_out(tree)
    return [*lines, f"and {rest:,} more parts"] if rest else lines


_HEAD = ("", "", "size", "smallest", "largest", "headroom", "")


def _row(part: Part) -> tuple[str, ...]:
    n = len(part.leaves)
    headroom = f"{part.headroom:.0f} bits" if part.headroom is not None else ""
    return (
        part.path,
        typed(part.leaves[0]) if n == 1 else f"{n:,} leaves",
        nbytes(part.leaves),
        number(part.smallest),
        number(part.largest),
        headroom,
        part_badness(part),
    )


def part_badness(part: Part) -> str:
    if not part.bad:
        return ""
    if len(part.leaves) == 1:
        return f"✗ {badness(part.leaves[0])}"
    return f"✗ {part.bad:,} bad"


def number(x: float | None) -> str:
    """`0.0312`, `1.2e-07`; empty for None."""
    return "" if x is None else f"{x:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with columns of equal width; a column without content is left out."""
    columns = [c for c in zip(*rows, strict=True) if any(c[1:])]
    widths = [max(map(len, c)) for c in columns]
    left = [0, 1, len(columns) - 1] if columns and columns[-1][0] == "" else [0, 1]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in zip(*columns, strict=True)
    ]


def _plural(n: int, what: str) -> str:
    if n == 1:
        return what
    return {"leaf": "leaves"}.get(what, f"{what}s")
