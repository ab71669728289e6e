"""Compilations as HTML: the table, with reasons that open and close."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jaxdbg.records import Compilations
from jaxdbg.records.costs import Cost, costs
from jaxdbg.views.compiles_table import COLUMNS, headline, listed, nothing, rows
from jaxdbg.views.html import box, details, line, row, table
from jaxdbg.views.retrace_wording import reasons


def html(compilations: Compilations) -> str:
    """The table with the reasons below it; eager ops open in place."""
    events, what = compilations.events, compilations.what
    if not events:
        return box(escape(nothing(what)))
    functions = listed(events, eager=False)
    eager = [cost for cost in costs(events) if not cost.user]
    parts = [
        line(headline(events, what), bold=True),
        _table(functions),
        *map(_reasons, functions),
        details("eager ops and library functions", _table(eager)) if eager else "",
    ]
    return box("".join(parts))


def _table(functions: Sequence[Cost]) -> str:
    left = (0, len(COLUMNS) - 1)
    head, *body = rows(functions)
    return table([row(head, left, "th"), *(row(cells, left) for cells in body)])


def _reasons(cost: Cost) -> str:
    lines = reasons(cost)
    inside = "".join(f"<div>{_indented(one)}</div>" for one in lines)
    summary = f"why {cost.function} ran again"
    return details(summary, inside, is_open=True) if lines else ""


def _indented(line: str) -> str:
    return f"&nbsp;&nbsp;{escape(line.strip())}" if line[0] == " " else escape(line)
