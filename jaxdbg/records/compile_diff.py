"""What two runs have compiled differently: what is new, and what went away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxdbg.records.compile_event import CompileEvent
from jaxdbg.records.costs import Cost, Repeat, costs, lost, repeats
from jaxdbg.records.shown import Shown


@dataclass(frozen=True, slots=True)
class Change:
    """How the compilations of one function differ, or of all eager ops together.

    Attributes:
        function: its name.
        traces, compiles: before and after.
        seconds: self time of all phases, before and after.
        new, gone: what ran again only after, and only before.
    """

    function: str
    traces: tuple[int, int]
    compiles: tuple[int, int]
    seconds: tuple[float, float]
    new: tuple[Repeat, ...] = ()
    gone: tuple[Repeat, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference(Shown):
    """Two runs compared.

    Attributes:
        seconds: self time of all phases, before and after.
        lost: seconds of avoidable compilations, before and after.
        changes: by function, what is not as it was; the greatest change first.
    """

    VIEW: ClassVar[str] = "difference"

    seconds: tuple[float, float]
    lost: tuple[float, float]
    changes: tuple[Change, ...] = ()


def difference(
    before: Sequence[CompileEvent], after: Sequence[CompileEvent]
) -> Difference:
    """Compares two runs.

    The name identifies a function: an edited cell has it on another line. Times
    alone are no change.
    """
    old, new = _by_name(before), _by_name(after)
    every = [_change(n, old.get(n, []), new.get(n, [])) for n in {**old, **new}]
    changed = [c for c in every if _differs(c)]
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
    was, now = _retraces(old), _retraces(new)
    return Change(
        name,
        (sum(c.traces for c in old), sum(c.traces for c in new)),
        (sum(c.compiles for c in old), sum(c.compiles for c in new)),
        (sum(c.total for c in old), sum(c.total for c in new)),
        tuple(now[k] for k in now if k not in was),
        tuple(was[k] for k in was if k not in now),
    )


def _retraces(several: Sequence[Cost]) -> dict[tuple[object, ...], Repeat]:
    """What ran again and should not have, by what makes it the same in two runs."""
    found: dict[tuple[object, ...], Repeat] = {}
    for repeat in (r for c in several for r in repeats(c)):
        reason = repeat.builds[-1].reason
        if reason and (repeat.builds[-1].events[0].user or reason.avoidable):
            key = repeat.builds[-1].function, reason.cause, reason.where
            found[(*key, reason.before, reason.after)] = repeat
    return found


def _differs(change: Change) -> bool:
    counts = change.traces, change.compiles
    return any(a != b for a, b in counts) or bool(change.new or change.gone)


def _spent(events: Sequence[CompileEvent]) -> float:
    return sum(e.self_time for e in events)
