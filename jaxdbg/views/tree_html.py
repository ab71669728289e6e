"""What a tree holds as HTML: the text of `leaves` as tables, without a script.

What is bad is vermillion, and says so in words too. Styles are in place and inherit, so
that it reads in a dark theme, in what nbconvert makes, and on GitHub, which takes them
away.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jaxdbg.records import TreeStats
from jaxdbg.records.garbage import no_collection
from jaxdbg.views import colours, tree_text as leaves

_BOX = (
    "font-family: var(--jp-code-font-family, monospace); "
    "font-size: var(--jp-code-font-size, 13px)"
)
_TABLE = "border-collapse: collapse; margin: 0.3em 0; font-size: inherit"
_CELL = "text-align: {}; padding: 0 1.2em 0 0; background: none; white-space: nowrap"
_BAD = f"color: {colours.BAD}; font-weight: bold"


def render(tree: TreeStats) -> str:
    """The headline, the bad leaves, and a line for each part of the tree."""
    with no_collection():
        headline = f"<div><b>{escape(leaves.headline(tree))}</b></div>"
        return f'<div style="{_BOX}">{headline}{body(tree)}</div>'


def body(tree: TreeStats) -> str:
    """The same without the headline."""
    bad = [leaf for leaf in tree.leaves if leaf.bad]
    shown = bad[: leaves.MAX_BAD]
    lines = [
        f'<div><span style="{_BAD}">✗</span> {escape(leaves.bad_line(leaf))}</div>'
        for leaf in shown
    ]
    if len(bad) > len(shown):
        lines.append(f"<div>and {len(bad) - len(shown):,} more bad leaves</div>")
    if len(tree.leaves) > 1:
        lines.append(_table(tree))
    return "".join(lines)


def _table(tree: TreeStats) -> str:
    head, *rows = leaves.rows(tree)
    lines = [_row("th", head), *(_row("td", row) for row in rows)]
    rest = leaves.left_out(tree)
    more = f"<div>and {rest:,} more parts</div>" if rest else ""
    return f'<table style="{_TABLE}">{"".join(lines)}</table>{more}'


def _row(tag: str, cells: Sequence[str]) -> str:
    told = []
    for i, text in enumerate(cells):
        left = i < 2 or i == len(cells) - 1
        style = _CELL.format("left" if left else "right")
        style += f"; {_BAD}" if text.startswith("✗") else ""
        told.append(f'<{tag} style="{style}">{escape(text)}</{tag}>')
    return f'<tr style="background: none">{"".join(told)}</tr>'
