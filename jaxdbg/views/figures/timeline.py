"""When each function was traced, lowered and compiled: a lane for each.

After the timings of `cargo build`: the phases of one build are tinted in one bar. Long
pauses, in which nothing was compiled, are left out of the axis.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from jaxdbg.records import CompileEvent
from jaxdbg.records.costs import Build, Cost, costs
from jaxdbg.views.colours import BAD, INK, PHASES
from jaxdbg.views.figures.drawing import Drawing, quiet
from jaxdbg.views.words import more, seconds

MAX_LANES = 14
"""How many functions have a lane of their own."""

PAUSE = 0.03
"""A pause longer than this share of the busy time is drawn as long as this."""


def timeline(events: Sequence[CompileEvent]) -> Drawing:
    """The timeline of compilations.

    Arguments:
        events: the phases; the eager ops of all share a lane.
    """
    lanes = _lanes(events)
    figure = Drawing(9, 1.3 + 0.3 * max(1, len(lanes)))
    axes = figure.add_subplot()
    quiet(axes)
    clock = Clock(events)
    for row, (_, group) in enumerate(lanes):
        for build in group:
            _bar(axes, row, build, clock)
    axes.set_yticks(range(len(lanes)), [name for name, _ in lanes])
    axes.set_ylim(len(lanes) - 0.4, -0.9)
    axes.set_xlim(0, clock.length or 1)
    left_out = ", pauses left out" if clock.pauses else ""
    axes.set_xlabel(f"seconds{left_out}")
    _pauses(axes, clock, len(lanes) - 0.42)
    _cells(axes, events, clock)
    _legend(figure, [b for _, group in lanes for b in group])
    return figure


class Clock:
    """From time to the place on an axis that leaves long pauses out.

    Attributes:
        length: of the axis, in seconds.
        pauses: where pauses are, on the axis, and how long they were.
    """

    def __init__(self, events: Sequence[CompileEvent]):
        spans = _busy(events)
        shown = PAUSE * (sum(end - begin for begin, end in spans) or 1)
        self.pauses: list[tuple[float, float]] = []
        self._begins = [begin for begin, _ in spans]
        self._spans, self._places = spans, [0.0]
        for (begin, end), (after, _) in pairwise(spans):
            gap, at = after - end, self._places[-1] + end - begin
            if gap > shown:
                self.pauses.append((at + shown / 2, gap))
            self._places.append(at + min(gap, shown))
        last = spans[-1][1] - spans[-1][0] if spans else 0.0
        self.length = self._places[-1] + last

    def __call__(self, time: float) -> float:
        i = max(0, bisect_right(self._begins, time) - 1)
        begin, end = self._spans[i]
        return self._places[i] + min(max(time, begin), end) - begin


def _busy(events: Sequence[CompileEvent]) -> list[tuple[float, float]]:
    """The spans in which something ran, apart from each other, in order."""
    spans: list[tuple[float, float]] = []
    for event in sorted(events, key=lambda e: e.start):
        begin, end = event.start, event.start + event.duration
        if spans and begin <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((begin, end))
    return spans


def _lanes(events: Sequence[CompileEvent]) -> list[tuple[str, list[Build]]]:
    """The most expensive functions in the order they began, and the lane of others."""
    found = costs(events)
    mine = [c for c in found if c.user]
    first, rest = mine[:MAX_LANES], mine[MAX_LANES:]
    lanes = [(c.function, list(c.builds)) for c in first]
    lanes.sort(key=lambda lane: lane[1][0].start)
    if rest:
        lanes.append((more(len(rest), "function"), _builds(rest)))
    if eager := [c for c in found if not c.user]:
        lanes.append(("eager ops, libraries", _builds(eager)))
    return lanes


def _builds(several: Sequence[Cost]) -> list[Build]:
    return [b for cost in several for b in cost.builds]


def _bar(axes: Any, row: int, build: Build, clock: Clock) -> None:
    for event in build.events:
        begin, end = clock(event.start), clock(event.start + event.duration)
        colour = PHASES[event.phase]
        hatch = "////" if event.cache == "hit" else None
        axes.barh(
            row,
            end - begin,
            left=begin,
            height=0.62,
            color="none" if hatch else colour,
            edgecolor=colour,  # an edge, so that the shortest is seen
            linewidth=0.7,
            hatch=hatch,
        )
    if build.failed:
        axes.plot(end, row, "x", color=BAD, ms=7, mew=2, clip_on=False)
    if build.reason is not None and build.reason.avoidable:
        at = (clock(build.start) + end) / 2
        axes.plot(at, row - 0.46, "v", color=INK, ms=4, clip_on=False)


def _pauses(axes: Any, clock: Clock, below: float) -> None:
    """Marks what is left out; no label overlaps another."""
    free = -1.0
    for at, length in clock.pauses:
        axes.axvline(at, color=INK, lw=0.6, ls=(0, (1, 3)), zorder=0)
        if at >= free:
            text = seconds(length) if length < 10 else f"{length:.0f} s"
            axes.text(at, below, text, color=INK, fontsize=6, ha="center")
            free = at + 0.06 * clock.length


def _cells(axes: Any, events: Sequence[CompileEvent], clock: Clock) -> None:
    """Marks where each cell began to compile; no label overlaps another."""
    free, seen = -1.0, set[int]()
    for event in sorted(events, key=lambda e: e.start):
        if event.cell is None or event.cell in seen:
            continue
        seen.add(event.cell)
        at = clock(event.start)
        axes.axvline(at, color=INK, lw=0.6, zorder=0)
        if at >= free:
            axes.text(at, -0.95, f" cell {event.cell}", color=INK, fontsize=7)
            free = at + 0.07 * clock.length


def _legend(figure: Drawing, shown: Sequence[Build]) -> None:
    signs: list[Any] = [Patch(color=c, label=name) for name, c in PHASES.items()]
    if any(b.cache == "hit" for b in shown):
        colour = PHASES["compile"]
        hit = Patch(facecolor="none", edgecolor=colour, hatch="////")
        hit.set_label("from the persistent cache")
        signs.append(hit)
    if any(b.reason and b.reason.avoidable for b in shown):
        signs.append(_sign("avoidable", "v", INK))
    if any(b.failed for b in shown):
        signs.append(_sign("failed", "x", BAD))
    legend = figure.legend(handles=signs, loc="outside upper right", ncols=6)
    legend.set_frame_on(False)
    for text in legend.get_texts():
        text.set(color=INK, fontsize=8)


def _sign(label: str, marker: str, colour: str) -> Line2D:
    return Line2D([], [], color=colour, ls="", marker=marker, label=label)
