"""The one picture of a panel: what a page keeps of it that shows no HTML."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import style

from jaxdbg.records import Report, TreeStats
from jaxdbg.render.figure.drawing import Drawing
from jaxdbg.render.figure.leaves import finite
from jaxdbg.render.figure.timeline import timeline

DPI = 96
"""Of the picture: a notebook is saved with it."""


def png(report: Report | None, trees: Sequence[TreeStats]) -> bytes | None:
    """A tree that is bad, else what was compiled, else a tree; None of nothing."""
    # The user's style may need LaTeX, or minutes.
    with style.context("default"):
        figure = _figure(report, trees)
        return figure.png(DPI) if figure is not None else None


def _figure(report: Report | None, trees: Sequence[TreeStats]) -> Drawing | None:
    bad = [tree for tree in trees if tree.bad]
    if not bad and report is not None and report.compilations:
        return timeline(report.compilations)
    shown = bad or trees
    return finite(shown[0]) if shown else None
