"""Two runs compared, as text: what is new, and what went away."""

from __future__ import annotations

from jaxdbg.records.compile_diff import Change, Difference
from jaxdbg.views.words import seconds


def text(difference: Difference) -> str:
    """What both runs spent, and what changed for each function."""
    wasted = _times(difference.lost)
    head = (
        f"{_times(difference.seconds)} tracing, lowering and compiling · "
        f"{wasted} avoidable"
    )
    if not difference.changes:
        return f"{head}\n  the same functions, as often, for the same reasons"
    lines = [line for change in difference.changes for line in _lines(change)]
    return "\n".join([head, *lines])


def _lines(change: Change) -> list[str]:
    if not any(change.traces + change.compiles):
        return []
    old = change.traces[0] + change.compiles[0] > 0
    new = change.traces[1] + change.compiles[1] > 0
    mark = "  " if old and new else "+ " if new else "- "
    counts = [
        f"{what} {a} → {b}"
        for what, (a, b) in (("traces", change.traces), ("compiles", change.compiles))
        if a != b
    ]
    head = f"{mark}{change.function}: {' · '.join([*counts, _times(change.seconds)])}"
    gone = [f"    - {repeat}" for repeat in change.gone]
    return [head, *gone, *(f"    + {repeat}" for repeat in change.new)]


def _times(before_and_after: tuple[float, float]) -> str:
    before, after = before_and_after
    return f"{seconds(before)} → {seconds(after)}"
