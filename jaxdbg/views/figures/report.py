"""The one picture of a panel: what a page keeps of it that shows no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib import style

from jaxdbg.records import Compilations, PanelContent, Report, TreeStats
from jaxdbg.views.figures.drawing import Drawing
from jaxdbg.views.figures.timeline import timeline
from jaxdbg.views.figures.tree import finite

DPI = 96
"""Of the picture: a notebook is saved with it."""


def png(content: PanelContent) -> bytes | None:
    """A tree that is bad, else what was compiled, else a tree; None of nothing.

    A tree that keeps its last good values is drawn as the failing call returned it.
    """
    report, compilations = content.report, content.compilations
    if compilations is None and report is not None:
        compilations = Compilations(report.compilations)
    # The user's style may need LaTeX, or minutes.
    with style.context("default"):
        figure = _figure(_as_returned(report, content.trees), compilations)
        return figure.png(DPI) if figure is not None else None


def _as_returned(report: Report | None, trees: Sequence[TreeStats]) -> list[TreeStats]:
    findings = report.findings if report is not None else ()
    returned = {leaf.path: leaf for finding in findings for leaf in finding.outputs}
    return [
        replace(
            tree, leaves=tuple(returned.get(leaf.path, leaf) for leaf in tree.leaves)
        )
        for tree in trees
    ]


def _figure(
    trees: Sequence[TreeStats], compilations: Compilations | None
) -> Drawing | None:
    bad = [tree for tree in trees if tree.bad]
    if not bad and compilations is not None and compilations.events:
        return timeline(compilations.events)
    shown = bad or trees
    return finite(shown[0]) if shown else None
