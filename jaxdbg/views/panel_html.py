"""What a panel shows as HTML without a script: what stays when no widget lives.

It is read in reopened and untrusted notebooks, on GitHub, which takes styles away, and
in what nbconvert makes; so it is text, tables and `<details>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape

from jaxdbg.records import (
    Compilations,
    Finding,
    Origin,
    PanelContent,
    Report,
    TreeStats,
    tree_name,
)
from jaxdbg.views import (
    answer,
    compiles_html,
    found,
    growth,
    history_html,
    origin_html,
    tree_body_html,
    tree_parts,
)
from jaxdbg.views.html import details
from jaxdbg.views.words import more

MAX_STORIES = 5
"""How many stories are shown in full."""

MAX_BYTES = 80_000
"""What does not fit is left out, and said to be: a notebook is saved with it."""

_ALL = "font-size: var(--jp-code-font-size, 13px); padding: 0 var(--jp-code-padding, 0)"
_TEXT = (
    "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; "
    "background: none; color: inherit; margin: 0 0 0.4em; padding: 0; "
    "font-size: inherit"
)


def html(content: PanelContent) -> str:
    """The report, the stories of its findings, the trees, and what was compiled."""
    report, compilations = content.report, content.compilations
    parts = [*_findings(report)] if report is not None else []
    parts += [_tree(tree, _is_older(tree, report)) for tree in content.trees]
    parts += _of_region(report) if report is not None else []
    if compilations is not None:
        parts.append(compiles_html.html(compilations))
    return f'<div style="{_ALL}">{"".join(_fitting(parts))}</div>'


def _of_region(report: Report) -> Iterator[str]:
    for history in report.histories:
        if len(history.calls) > 2 and growth.telling(history):
            yield details(growth.headline(history), history_html.html(history))
    if report.compilations:
        compilations = Compilations(report.compilations)
        yield details("compilations", compiles_html.html(compilations))


def _fitting(parts: Sequence[str]) -> Iterator[str]:
    """The parts that fit, the first ones first."""
    free, left_out = MAX_BYTES, 0
    for part in parts:
        if len(part) <= free:
            yield part
            free -= len(part)
        else:
            left_out += 1
    if left_out:
        yield _text(f"{more(left_out, 'part')} would be too long for a notebook")


def _findings(report: Report) -> Iterator[str]:
    """The report as text; a finding's story takes the place of its lines."""
    stories = [f for f in report.findings if f.origin is not None][:MAX_STORIES]
    head, *lines = str(report).split("\n")
    others = found.lines([f for f in report.findings if f not in stories])
    said = {*found.lines(report.findings)}
    lines = [*others, *(line for line in lines if line not in said)]
    yield _text(head)
    for i, finding in enumerate(stories):
        assert finding.origin is not None
        origin = replace(finding.origin, headline="", module=_module(finding.origin))
        yield details(_title(finding), origin_html.html(origin), is_open=not i)
    if lines:
        yield _text("\n".join(lines))


def _module(origin: Origin) -> str:
    """The module, where the title does not have it: it has that of the birth."""
    return origin.module if origin.made_at else ""


def _title(finding: Finding) -> str:
    what = answer.what(finding).replace("`", "")
    return " · ".join(filter(None, (what, answer.where(finding))))


def _tree(tree: TreeStats, is_older: bool) -> str:
    """A tree; one that is bad is open."""
    now = " · as it is now: the failed call did not update it" if is_older else ""
    summary = tree_parts.headline(tree) + now
    return details(summary, tree_body_html.html(tree), is_open=bool(tree.bad))


def _is_older(tree: TreeStats, report: Report | None) -> bool:
    """Whether a tree holds its values from before a call that made its leaves bad."""
    findings = report.findings if report is not None else ()
    bad = (path for finding in findings for path in finding.paths)
    return not tree.bad and any(tree_name(path) == tree.name for path in bad)


def _text(text: str) -> str:
    return f'<pre style="{_TEXT}">{escape(text)}</pre>'
