"""What two runs have compiled differently: what is new, and what went away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxdbg.records import CompileEvent
from jaxdbg.records.costs import Cost, costs, lost, repeats
from jaxdbg.views.compiles_text import again, seconds


@dataclass(frozen=True, slots=True)
class Change:
    """How the compilations of one function differ, or of all eager ops together.

    Attributes:
        function: its name.
        traces, compiles: before and after.
        seconds: self time of all phases, before and after.
        new, gone: lines for the reasons that are only in the one or the other.
    """

    function: str
    traces: tuple[int, int]
    compiles: tuple[int, int]
    seconds: tuple[float, float]
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Two runs compared.

    Attributes:
        seconds: self time of all phases, before and after.
        lost: seconds of avoidable compilations, before and after.
        changes: by function, what is not as it was; the greatest change first.
    """

    seconds: tuple[float, float]
    lost: tuple[float, float]
    changes: tuple[Change, ...] = ()

    def __str__(self) -> str:
        spent = f"{seconds(self.seconds[0])} → {seconds(self.seconds[1])}"
        wasted = f"{seconds(self.lost[0])} → {seconds(self.lost[1])}"
        head = f"{spent} tracing, lowering and compiling · {wasted} avoidable"
        if not self.changes:
            return f"{head}\n  the same functions, as often, for the same reasons"
        return "\n".join([head, *(line for c in self.changes for line in _lines(c))])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How IPython shows it: as the text it is."""
        printer.text(str(self))


def difference(
    before: Sequence[CompileEvent], after: Sequence[CompileEvent]
) -> Difference:
    """Compares two runs.

    Functions are told apart by their names: a cell that was edited has them on other
    lines. Times alone are no change.
    """
    old, new = _by_name(before), _by_name(after)
    found = [_change(n, old.get(n, []), new.get(n, [])) for n in {**old, **new}]
    changed = [c for c in found if _differs(c)]
    changed.sort(key=lambda c: -abs(c.seconds[1] - c.seconds[0]))
    return Difference(
        (_spent(before), _spent(after)),
        (lost(before)[1], lost(after)[1]),
        tuple(changed),
    )


_EAGER = "eager ops and library functions"


def _by_name(events: Sequence[CompileEvent]) -> dict[str, list[Cost]]:
    groups: dict[str, list[Cost]] = {}
    for cost in costs(events):
        groups.setdefault(cost.function if cost.user else _EAGER, []).append(cost)
    return groups


def _change(name: str, old: Sequence[Cost], new: Sequence[Cost]) -> Change:
    was, now = _told(old), _told(new)
    return Change(
        name,
        (sum(c.traces for c in old), sum(c.traces for c in new)),
        (sum(c.compiles for c in old), sum(c.compiles for c in new)),
        (sum(c.total for c in old), sum(c.total for c in new)),
        tuple(now[k] for k in now if k not in was),
        tuple(was[k] for k in was if k not in now),
    )


def _told(several: Sequence[Cost]) -> dict[tuple[object, ...], str]:
    """A line for each reason that is worth one, by what makes it the same reason."""
    found: dict[tuple[object, ...], str] = {}
    for repeat in (r for c in several for r in repeats(c)):
        reason = repeat.builds[-1].reason
        if reason and (repeat.builds[-1].events[0].user or reason.avoidable):
            key = repeat.builds[-1].function, reason.cause, reason.where
            found[(*key, reason.before, reason.after)] = again(repeat)
    return found


def _differs(change: Change) -> bool:
    counts = change.traces, change.compiles
    return any(a != b for a, b in counts) or bool(change.new or change.gone)


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
    spent = f"{seconds(change.seconds[0])} → {seconds(change.seconds[1])}"
    head = f"{mark}{change.function}: {' · '.join([*counts, spent])}"
    gone = [f"    - {line}" for line in change.gone]
    return [head, *gone, *(f"    + {line}" for line in change.new)]


def _spent(events: Sequence[CompileEvent]) -> float:
    return sum(e.self_time for e in events)
