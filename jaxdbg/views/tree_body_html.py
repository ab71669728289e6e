"""What a tree holds as HTML, without the headline: a part of other HTML.

What is bad is vermillion, and says so in words too.
"""

from __future__ import annotations

from html import escape

from jaxdbg.records import LeafStats, TreeStats
from jaxdbg.views import tree_parts
from jaxdbg.views.html import BAD, line, row, table
from jaxdbg.views.words import more


def html(tree: TreeStats) -> str:
    """The bad leaves, and a line for each part of the tree."""
    bad = tree.bad
    lines = [_bad_line(leaf) for leaf in bad[: tree_parts.MAX_BAD]]
    if (left_out := len(bad) - tree_parts.MAX_BAD) > 0:
        lines.append(line(f"and {more(left_out, 'bad leaf')}"))
    if len(tree.leaves) > 1:
        lines.append(_table(tree))
    return "".join(lines)


def _bad_line(leaf: LeafStats) -> str:
    cross = f'<span style="{BAD}">✗</span>'
    return f"<div>{cross} {escape(tree_parts.bad_line(leaf))}</div>"


def _table(tree: TreeStats) -> str:
    head, *body = tree_parts.rows(tree)
    left = (0, 1, len(head) - 1)
    rows = [row(head, left, "th"), *(row(cells, left) for cells in body)]
    left_out = tree_parts.left_out(tree)
    return table(rows) + (line(f"and {more(left_out, 'part')}") if left_out else "")
