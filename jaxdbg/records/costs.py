"""What compilations have cost, by function: the analysis behind the tables.

Phases that belong together (a trace, the lowering and the compilation that follow it)
are one `Build`; what is nested in another phase keeps its own time, so that the self
times of all phases add up to what was spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxdbg.records.compile_event import CompileEvent, Reason
from jaxdbg.records.shown import Shown
from jaxdbg.records.source import SourceFrame

PHASES = ("trace", "lower", "compile")
"""The phases, in the order they run."""

MAX_BETWEEN = 50
"""How far before control flow the traces of its functions are looked for."""


@dataclass(frozen=True, slots=True)
class Build:
    """One attempt to make a function ready to run.

    Attributes:
        events: its phases, at most one of each kind, in the order they ran.
        trace: which trace of the function it is, from 1; 0 where it was not traced.
        compilation: which compilation of the function, from 1; 0 for none.
        indices: of the phases among all events.
    """

    events: tuple[CompileEvent, ...]
    trace: int = 0
    compilation: int = 0
    indices: tuple[int, ...] = ()

    @property
    def head(self) -> CompileEvent:
        """The phase that says whose it is: of control flow, none of its bodies."""
        return next((e for e in self.events if e.role != "body"), self.events[0])

    @property
    def function(self) -> str:
        """The name of the function."""
        return self.head.title

    @property
    def start(self) -> float:
        """When it began, in seconds since the epoch."""
        return self.events[0].start

    @property
    def seconds(self) -> float:
        """How long it took, with what is nested in it."""
        return sum(e.duration for e in self.events)

    @property
    def source(self) -> SourceFrame | None:
        """The user's line that asked for it."""
        return next((e.source for e in self.events if e.source), None)

    @property
    def cell(self) -> int | None:
        """IPython's number of the cell."""
        return self.events[0].cell

    @property
    def reason(self) -> Reason | None:
        """Why it ran again: the reason of its first phase that has one."""
        own = [e for e in self.events if e.role != "body"] or self.events
        return next((e.reason for e in own if e.reason), None)

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.events[-1].failed

    @property
    def cache(self) -> str:
        """What the persistent cache said: "hit", "miss" or "off"."""
        return self.events[-1].cache


@dataclass(frozen=True, slots=True)
class Cost:
    """What one function has cost.

    Attributes:
        function: its name; `defined` where it was written.
        user: whether the user wrote it.
        builds: each attempt to make it ready, in order.
        traces, compiles: how often it was traced and compiled, failures included.
        seconds: self time by phase.
    """

    function: str
    defined: str
    user: bool
    builds: tuple[Build, ...]
    traces: int
    compiles: int
    seconds: Mapping[str, float]

    @property
    def total(self) -> float:
        """Self time of all phases, in seconds."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Repeat(Shown):
    """Builds of one function that ran again for the same kind of reason."""

    VIEW: ClassVar[str] = "retrace"

    builds: tuple[Build, ...]

    @property
    def seconds(self) -> float:
        """How long they took together."""
        return sum(b.seconds for b in self.builds)


def builds(events: Sequence[CompileEvent]) -> list[Build]:
    """The phases put together, in the order they began."""
    groups: list[list[int]] = []
    latest: dict[tuple[object, ...], list[int]] = {}
    for i in sorted(range(len(events)), key=lambda i: events[i].start):
        event = events[i]
        key = event.thread, event.parent, event.function, event.defined, event.role
        group = latest.get(key)
        if group is None or not _continues(events[group[-1]], event):
            group = latest[key] = _bodies_before(events, groups, event)
            groups.append(group)
        group.append(i)
    return _numbered(
        Build(tuple(events[i] for i in g), indices=tuple(g)) for g in groups
    )


def _bodies_before(
    events: Sequence[CompileEvent], groups: list[list[int]], event: CompileEvent
) -> list[int]:
    """Takes the traces of the functions that control flow runs, right before it."""
    found: list[int] = []
    nearest = range(len(groups) - 1, max(-1, len(groups) - MAX_BETWEEN), -1)
    for at in nearest if event.bodies else ():
        first, *rest = (events[i] for i in groups[at])
        if not rest and _is_body_of(first, event):
            found[:0] = groups.pop(at)
        elif first.user and first.parent == event.parent:
            break
    return found


def _is_body_of(first: CompileEvent, event: CompileEvent) -> bool:
    is_body = first.role == "body" and first.function in event.bodies
    return is_body and first.thread == event.thread


def _continues(last: CompileEvent, event: CompileEvent) -> bool:
    return not last.failed and _rank(event) > _rank(last)


def _rank(event: CompileEvent) -> int:
    return PHASES.index(event.phase)


def _numbered(unnumbered: Iterable[Build]) -> list[Build]:
    traces: dict[tuple[str, str], int] = {}
    compiles: dict[tuple[str, str], int] = {}
    numbered = []
    for build in unnumbered:
        key = build.function, build.head.defined
        phases = [e.phase for e in build.events]
        trace = compilation = 0
        if "trace" in phases:
            trace = traces[key] = traces.get(key, 0) + 1
        if "compile" in phases:
            compilation = compiles[key] = compiles.get(key, 0) + 1
        numbered.append(replace(build, trace=trace, compilation=compilation))
    return numbered


def costs(events: Sequence[CompileEvent]) -> list[Cost]:
    """What each function has cost, the most expensive first."""
    groups: dict[tuple[str, str, bool], list[Build]] = {}
    for build in builds(events):
        head = build.head
        groups.setdefault((head.title, head.defined, head.user), []).append(build)
    every = [_cost(key, group) for key, group in groups.items()]
    return sorted(every, key=lambda c: c.total, reverse=True)


def phases_of(events: Sequence[CompileEvent], function: str) -> set[int]:
    """The ids of the phases of a function; of control flow, those of its bodies too."""
    named = {id(e) for e in events if function in (e.function, e.title)}
    whole = (b for b in builds(events) if function in (b.function, b.head.function))
    return named | {id(e) for build in whole for e in build.events}


def _cost(key: tuple[str, str, bool], group: list[Build]) -> Cost:
    events = [e for build in group for e in build.events]
    seconds = dict.fromkeys(PHASES, 0.0)
    for event in events:
        seconds[event.phase] += event.self_time
    phases = [e.phase for e in events]
    traces, compiles = phases.count("trace"), phases.count("compile")
    return Cost(*key, tuple(group), traces, compiles, seconds)


def repeats(cost: Cost) -> list[Repeat]:
    """The builds that ran again, by function and reason, the most expensive first.

    A trace and a recompilation without one are not folded together.
    """
    groups: dict[tuple[object, ...], list[Build]] = {}
    for build in cost.builds:
        if (reason := build.reason) is not None:
            ran = build.function, build.events[0].phase, build.failed
            kind = *ran, reason.cause, reason.where
            groups.setdefault(kind, []).append(build)
    every = [Repeat(tuple(group)) for group in groups.values()]
    return sorted(every, key=lambda r: r.seconds, reverse=True)


def dearest(events: Sequence[CompileEvent]) -> Repeat | None:
    """What of the user's ran again and has cost most; None where nothing did."""
    every = [r for cost in costs(events) if cost.user for r in repeats(cost)[:1]]
    return max(every, key=lambda r: r.seconds, default=None)


def often(events: Sequence[CompileEvent], times: int) -> list[Cost]:
    """The user's functions compiled at least so often, the most expensive first."""
    return [c for c in costs(events) if c.user and c.compiles >= times]


def lost(events: Sequence[CompileEvent]) -> tuple[int, float]:
    """How many builds were avoidable, and the seconds they cost.

    What is nested in an avoidable build counts with it, and once.
    """
    avoidable = [b for b in builds(events) if b.reason and b.reason.avoidable]
    return len(avoidable), _seconds(avoidable, events)


def undecided(events: Sequence[CompileEvent]) -> tuple[list[str], float]:
    """The user's functions compiled again, where it may or may not be avoidable.

    With the seconds that these compilations took.
    """
    undecided = [
        b
        for b in builds(events)
        if b.head.user and b.reason and b.reason.avoidable is None
    ]
    names = list(dict.fromkeys(b.function for b in undecided))
    return names, _seconds(undecided, events)


def _seconds(chosen: Sequence[Build], events: Sequence[CompileEvent]) -> float:
    """What builds cost, with all that is nested in them."""
    below = _children(events)
    left, seen = [i for b in chosen for i in b.indices], set[int]()
    while left:
        if (i := left.pop()) not in seen:
            seen.add(i)
            left += below.get(i, [])
    return sum(events[i].self_time for i in seen)


def _children(events: Sequence[CompileEvent]) -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for i, event in enumerate(events):
        if event.parent >= 0:
            below.setdefault(event.parent, []).append(i)
    return below


def subset(
    events: Sequence[CompileEvent], wanted: Callable[[CompileEvent], bool]
) -> tuple[CompileEvent, ...]:
    """The wanted events; an event whose parent is not wanted has none."""
    at = [i for i, event in enumerate(events) if wanted(event)]
    new = {old: i for i, old in enumerate(at)}
    return tuple(replace(events[i], parent=new.get(events[i].parent, -1)) for i in at)
