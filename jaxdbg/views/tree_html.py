"""What a tree holds as HTML: its text as tables, without a script."""

from __future__ import annotations

from jaxdbg.records import TreeStats
from jaxdbg.records.garbage import no_collection
from jaxdbg.views import tree_body_html
from jaxdbg.views.html import box, line
from jaxdbg.views.tree_parts import headline


def html(tree: TreeStats) -> str:
    """The headline, the bad leaves, and a line for each part of the tree."""
    with no_collection():
        return box(line(headline(tree), bold=True) + tree_body_html.html(tree))
