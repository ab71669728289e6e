"""What a tree holds, as text: the bad leaves first, then a line for each part of it."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import TreeStats
from jaxdbg.records.garbage import no_collection
from jaxdbg.views import tree_parts
from jaxdbg.views.words import more


def text(tree: TreeStats) -> str:
    """The headline, the bad leaves, and a line for each part of the tree."""
    with no_collection():
        return "\n".join(_lines(tree))


def _lines(tree: TreeStats) -> list[str]:
    bad = tree.bad
    lines = [tree_parts.headline(tree)]
    lines += [f"  ✗ {tree_parts.bad_line(leaf)}" for leaf in bad[: tree_parts.MAX_BAD]]
    if (left_out := len(bad) - tree_parts.MAX_BAD) > 0:
        lines.append(f"  ✗ and {more(left_out, 'bad leaf')}")
    if len(tree.leaves) > 1:
        lines += [f"  {line}".rstrip() for line in _table(tree)]
    return lines


def _table(tree: TreeStats) -> list[str]:
    lines, left_out = _aligned(tree_parts.rows(tree)), tree_parts.left_out(tree)
    return [*lines, f"and {more(left_out, 'part')}"] if left_out else lines


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
