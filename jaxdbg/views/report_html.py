"""A report and its trees as HTML without a script: what stays when no widget lives.

It is read in reopened and untrusted notebooks, on GitHub, which takes styles away, and
in what nbconvert makes; so it is text, tables and `<details>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from jaxdbg.records import CompileLog, Finding, Report, TreeStats, tree_name
from jaxdbg.views import (
    compiles_html,
    growth,
    origin_text as story,
    tree_html as leaves_html,
    tree_text as leaves,
)

MAX_STORIES = 5
"""How many stories are told in full."""

MAX_BYTES = 80_000
"""What does not fit in is left out, and said to be: a notebook is saved with it."""

_ALL = "font-size: var(--jp-code-font-size, 13px); padding: 0 var(--jp-code-padding, 0)"
_TEXT = (
    "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; "
    "background: none; color: inherit; margin: 0 0 0.4em; padding: 0; "
    "font-size: inherit"
)
_INSIDE = "margin: 0.2em 0 0.5em 1.1em; line-height: 1.45; max-width: 62em"


def render(
    report: Report | None,
    trees: Iterable[TreeStats] = (),
    compilations: CompileLog | None = None,
) -> str:
    """The report, the stories of its findings, the trees, and what was compiled."""
    parts = [] if report is None else [*_findings(report)]
    parts += [_tree(tree, _was_kept_out(tree, report)) for tree in trees]
    if report is not None:
        parts += [_details(*told) for told in growth.tables(report)]
    if report is not None and report.compilations:
        table = compiles_html.render(report.compilations)
        parts.append(_details("compilations", table))
    if compilations is not None:
        what = compilations.what
        parts.append(compiles_html.render(compilations.events, what))
    return f'<div style="{_ALL}">{"".join(_fitting(parts))}</div>'


def _fitting(parts: Sequence[str]) -> Iterator[str]:
    """The parts for which there is room; the first ones come first."""
    room, left_out = MAX_BYTES, 0
    for part in parts:
        if len(part) <= room:
            yield part
            room -= len(part)
        else:
            left_out += 1
    if left_out:
        yield _text(f"{left_out} more of this would be too long for a notebook")


def _findings(report: Report) -> Iterator[str]:
    """The report as text; where a finding has its story, that stands for its line."""
    stories = [f for f in report.findings if f.origin is not None][:MAX_STORIES]
    head, *lines = str(report).split("\n")
    for finding in stories:
        if (line := f"  {_headline(finding)}") in lines:
            lines.remove(line)
    yield _text(head)
    for i, finding in enumerate(stories):
        assert finding.origin is not None
        yield _details(_headline(finding), story.body(finding.origin), open=not i)
    if lines:
        yield _text("\n".join(lines))


def _headline(finding: Finding) -> str:
    return finding.message.partition("\n")[0]


def _tree(tree: TreeStats, kept_out: bool) -> str:
    """A tree; what is bad is told without being asked."""
    inside = leaves_html.body(tree)
    now = " · as it is now: what the failed call gave was kept out" if kept_out else ""
    return _details(leaves.headline(tree) + now, inside, open=bool(tree.bad))


def _was_kept_out(tree: TreeStats, report: Report | None) -> bool:
    """Whether a tree is good although a finding tells of bad leaves in it."""
    findings = report.findings if report is not None else ()
    bad = (path for finding in findings for path in finding.paths)
    return not tree.bad and any(tree_name(path) == tree.name for path in bad)


def _text(text: str) -> str:
    return f'<pre style="{_TEXT}">{escape(text)}</pre>'


def _details(summary: str, inside: str, open: bool = False) -> str:
    is_open = " open" if open else ""
    return (
        f"<details{is_open}><summary>{escape(summary)}</summary>"
        f'<div style="{_INSIDE}">{inside}</div></details>'
    )
