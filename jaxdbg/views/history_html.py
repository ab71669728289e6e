"""The leaves of a watched tree over the calls, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import TreeHistory
from jaxdbg.views.growth import spark, telling
from jaxdbg.views.html import line, row, table
from jaxdbg.views.words import more

_HEAD = ("", "largest |x|", "first", "last", "")


def html(history: TreeHistory) -> str:
    """A table with a line of characters for each leaf worth one."""
    leaves = telling(history)
    left = range(len(_HEAD))
    rows = [row(_HEAD, left, "th")]
    rows += [row(_cells(history, leaf), left) for leaf in leaves]
    left_out = len(history.paths) - len(leaves)
    return table(rows) + (line(f"and {more(left_out, 'leaf')}") if left_out else "")


def _cells(history: TreeHistory, leaf: int) -> Sequence[str]:
    values = [v for row in history.largest if (v := row[leaf]) is not None]
    ends = [f"{values[i]:.3g}" for i in (0, -1)] if values else ["", ""]
    bad = (
        call for call, row in zip(history.calls, history.bad, strict=True) if row[leaf]
    )
    since = next(bad, 0)
    return (
        history.paths[leaf],
        spark(history, leaf),
        *ends,
        f"✗ bad in call {since:,}" if since else "",
    )
