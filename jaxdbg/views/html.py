"""The HTML that all views share: plain tables and `<details>`, without a script.

Styles are in place and inherit, so that it reads in a dark theme, in a page that
nbconvert made, and on GitHub, which takes styles away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from jaxdbg.views import colours

BAD = f"color: {colours.BAD}; font-weight: bold"
"""The style of what is not finite; it is said in words too."""

_BOX = (
    "font-family: var(--jp-code-font-family, monospace); "
    "font-size: var(--jp-code-font-size, 13px)"
)
_TABLE = "border-collapse: collapse; margin: 0.3em 0; font-size: inherit"
_CELL = "text-align: {}; padding: 0 1.2em 0 0; background: none; white-space: nowrap"
_INSIDE = "margin: 0.2em 0 0.5em 1.1em; line-height: 1.45; max-width: 62em"


def box(inside: str) -> str:
    """A view, in the font of code."""
    return f'<div style="{_BOX}">{inside}</div>'


def line(text: str, bold: bool = False) -> str:
    """A line of text."""
    return f"<div><b>{escape(text)}</b></div>" if bold else f"<div>{escape(text)}</div>"


def table(rows: Iterable[str]) -> str:
    """A table of what `row` makes."""
    return f'<table style="{_TABLE}">{"".join(rows)}</table>'


def row(cells: Sequence[str], left: Sequence[int], tag: str = "td") -> str:
    """A row of a table; a cell that begins with a cross is of something bad.

    Arguments:
        cells: their texts.
        left: which of them hold text, and not numbers.
        tag: "th" for the head.
    """
    inside = "".join(_cell(tag, text, i in left) for i, text in enumerate(cells))
    return f'<tr style="background: none">{inside}</tr>'


def _cell(tag: str, text: str, left: bool) -> str:
    style = _CELL.format("left" if left else "right")
    style += f"; {BAD}" if text.startswith("✗") else ""
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'


def details(summary: str, inside: str, is_open: bool = False) -> str:
    """What opens and closes below a line."""
    start = "<details open>" if is_open else "<details>"
    head = f"<summary>{escape(summary)}</summary>"
    return f'{start}{head}<div style="{_INSIDE}">{inside}</div></details>'
