"""The magnitudes of a tree: a line for each part, from its smallest to its largest.

What is bad is named at the end of its line, in colour and in words.
"""

from __future__ import annotations

from typing import Any

from jaxdbg.records import TreeStats
from jaxdbg.views import tree_parts
from jaxdbg.views.colours import BAD, GOOD, INK
from jaxdbg.views.figures.drawing import Drawing, quiet
from jaxdbg.views.tree_parts import Part


def finite(tree: TreeStats) -> Drawing:
    """The parts of a tree in its order, by magnitude.

    A part of which nothing but its finiteness is known has no line.
    """
    parts = tree_parts.shown(tree_parts.parts(tree))
    figure = Drawing(9, 1.1 + 0.26 * len(parts))
    axes = figure.subplots()
    quiet(axes)
    axes.set_title(tree_parts.headline(tree), fontsize=9, loc="left", color=INK)
    axes.set_xscale("log")
    axes.set_xlabel("magnitude", fontsize=8)
    for y, part in enumerate(parts):
        _line(axes, y, part)
    axes.set_yticks(range(len(parts)), [part.path for part in parts], fontsize=8)
    axes.set_ylim(len(parts) - 0.4, -0.6)
    axes.tick_params(labelsize=8)
    return figure


def _line(axes: object, y: int, part: Part) -> None:
    draw: Any = axes
    colour = BAD if part.bad else GOOD
    low, high = part.smallest, part.largest
    if low and high:
        draw.plot([low, high], [y, y], color=colour, linewidth=4, alpha=0.6)
        draw.plot([high], [y], "|", color=colour, markersize=9)
    if part.bad:
        place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
        draw.annotate(
            tree_parts.part_badness(part),
            (high or 1, y),
            color=BAD,
            fontsize=8,
            **place,
        )
