"""A report and its trees as HTML without a script: what stays when no widget lives.

It is read in reopened and untrusted notebooks, on GitHub, which takes styles away, and
in what nbconvert makes; so it is text, tables and `<details>`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from jaxdbg.records import Report, TreeStats
from jaxdbg.render import compiles_html, leaves, leaves_html, story

MAX_STORIES = 5
"""How many stories are told in full."""

MAX_BYTES = 40_000
"""A longer part is left out: a notebook is saved with all of it."""

_TEXT = (
    "white-space: pre-wrap; background: none; color: inherit; margin: 0 0 0.4em; "
    "padding: 0; font-size: var(--jp-code-font-size, 13px)"
)


def render(report: Report | None, trees: Iterable[TreeStats] = ()) -> str:
    """The report, the stories of its findings, the trees, and what was compiled."""
    parts = [_details(leaves.headline(tree), leaves_html.body(tree)) for tree in trees]
    if report is not None:
        parts = [_text(str(report)), *_stories(report), *parts]
    if report is not None and report.compilations:
        table = compiles_html.render(report.compilations)
        parts.append(_details("compilations", table))
    return "".join(part for part in parts if len(part) <= MAX_BYTES)


def _stories(report: Report) -> list[str]:
    told = [f.origin for f in report.findings if f.origin is not None]
    return [
        _details(origin.headline or "origin", story.html(origin), open=not i)
        for i, origin in enumerate(told[:MAX_STORIES])
    ]


def _text(text: str) -> str:
    return f'<pre style="{_TEXT}">{escape(text)}</pre>'


def _details(summary: str, inside: str, open: bool = False) -> str:
    is_open = " open" if open else ""
    return f"<details{is_open}><summary>{escape(summary)}</summary>{inside}</details>"
