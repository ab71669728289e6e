"""Compilations as HTML: the table of `compiles`, with reasons that open and close.

Plain tables and `<details>`, no script and no colour of its own: it reads in a dark
theme, in a page that nbconvert made, and on GitHub, which takes styles away.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jaxdbg.records import CompileEvent
from jaxdbg.records.costs import Cost, costs
from jaxdbg.views import compiles_text as compiles

_CELL = "text-align: right; padding: 0 0.8em 0 0; background: none; white-space: nowrap"
_LEFT = "text-align: left; padding: 0 0.8em 0 0; background: none"
_TABLE = "border-collapse: collapse; margin: 0.3em 0; font-size: inherit"
_BOX = (
    "font-family: var(--jp-code-font-family, monospace); "
    "font-size: var(--jp-code-font-size, 13px)"
)


def render(events: Sequence[CompileEvent], what: str = "") -> str:
    """The same as `compiles.render`; eager ops open in place.

    Arguments:
        events: the phases, in the order they began.
        what: what they are those of: "in cell 12".
    """
    if not events:
        return f'<div style="{_BOX}">{escape(compiles.render(events, what))}</div>'
    eager = [c for c in costs(events) if not c.user]
    shown = compiles.lines_of(events, eager=False)
    parts = [
        f"<div><b>{escape(compiles.headline(events, what))}</b></div>",
        _table(shown),
        *(_reasons(cost) for cost in shown),
        _details("eager ops and library functions", _table(eager)) if eager else "",
    ]
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def _table(shown: Sequence[Cost]) -> str:
    head, *body = compiles.rows(shown)
    lines = ["".join(_cell("th", i, text) for i, text in enumerate(head))]
    lines += ["".join(_cell("td", i, text) for i, text in enumerate(r)) for r in body]
    rows = "".join(f'<tr style="background: none">{line}</tr>' for line in lines)
    return f'<table style="{_TABLE}">{rows}</table>'


def _cell(tag: str, column: int, text: str) -> str:
    last = len(compiles.COLUMNS) - 1
    style = _LEFT if column in (0, last) else _CELL
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'


def _reasons(cost: Cost) -> str:
    told = compiles.reasons(cost)
    lines = "".join(f"<div>{_indented(line)}</div>" for line in told)
    return _details(f"why {cost.function} ran again", lines, open=True) if told else ""


def _indented(line: str) -> str:
    return f"&nbsp;&nbsp;{escape(line.strip())}" if line[0] == " " else escape(line)


def _details(summary: str, inside: str, open: bool = False) -> str:
    start = "<details open>" if open else "<details>"
    head = f'<summary style="cursor: pointer">{escape(summary)}</summary>'
    return f'{start}{head}<div style="padding-left: 1.2em">{inside}</div></details>'
