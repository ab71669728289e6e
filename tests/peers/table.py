"""The figures of a comparison, as a Markdown table."""

from __future__ import annotations

from tests.peers.comparison import Comparison, Figures

_HEAD = """\
| tests of | mode | tests | assertions | time | findings | stopped | differ |
| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"""


def table(comparison: Comparison) -> str:
    """One row for each package and mode."""
    rows = [_row(*key, f) for key, f in sorted(comparison.figures.items())]
    return "\n".join([_HEAD, *rows])


def _row(suite: str, mode: str, figures: Figures) -> str:
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(figures.kinds.items()))
    ratio = figures.seconds / figures.plain_seconds if figures.plain_seconds else 1
    cells = (
        *(suite, f"`{mode}`", f"{figures.tests:,}", f"{figures.assertions:,}"),
        *(f"{ratio:.2f}", figures.with_findings, figures.stopped, kinds or "none"),
    )
    return f"| {' | '.join(map(str, cells))} |"
