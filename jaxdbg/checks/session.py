"""A session collects what one region saw; frozen, that is the report.

Hooks append from any thread, so every change is made under one lock.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from jaxdbg.checks.afterwards.kept_calls import KeptCalls, moved_on
from jaxdbg.checks.calls.allowed import idle_comments
from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.calls.call_times import CallLog
from jaxdbg.checks.calls.earlier_calls import EarlierCalls
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.peers import Peers
from jaxdbg.compiles.listener import Phase
from jaxdbg.compiles.recorder import MAX_EVENTS, frozen
from jaxdbg.errors import Failure, broken
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.options import Options
from jaxdbg.records import (
    Allowed,
    CompileEvent,
    Finding,
    Remark,
    Report,
    TreeHistory,
)
from jaxdbg.records.read_only import ReadOnly
from jaxdbg.views.retrace_wording import changed

MAX_PLACED = 50
"""How many placed leaves a report lists."""

MAX_RETRACES = 50
"""How many retraces a report lists."""


_T = TypeVar("_T")


class Session:
    """The raw records of one region, while it is open.

    Attributes:
        latest: the call of a function of the user's that began last: name and number.
    """

    def __init__(self, options: Options, cell: int | None = None):
        self.options = options
        self.cell = cell
        self.findings: list[Finding] = []
        self.in_threads: list[Failure] = []
        self.earlier = EarlierCalls()
        self.histories: Callable[[], tuple[TreeHistory, ...]] = tuple
        self.kept = KeptCalls()
        self.peers = Peers(self.broke)
        self._thread = threading.current_thread()
        self._lock = threading.RLock()
        self.latest: tuple[str, int] = ("", 0)
        self._calls: Counter[Function] = Counter()
        self._call_times = CallLog()
        self._traces: Counter[Function] = Counter()
        self._compiles: Counter[Function] = Counter()
        self._seconds: dict[Function, float] = defaultdict(float)
        self._over: set[str] = set()
        self._remarks: list[Remark] = []
        self._phases: deque[Phase] = deque(maxlen=MAX_EVENTS)
        self._placed_leaves: dict[str, None] = {}
        self._allowed: Counter[tuple[str, str]] = Counter()
        self._allows: set[tuple[str, int]] = set()
        self._unchecked: Counter[str] = Counter()
        self._beside = 0
        self._notices: dict[str, None] = {}
        self._compile_seconds = 0.0
        self._check_seconds = 0.0
        self._origin_seconds = 0.0
        self._start = time.perf_counter()
        self._start_time = time.time()
        self._end: float | None = None

    @property
    def scope(self) -> str:
        """What the session counts in, as said in messages."""
        return "this cell" if self.cell is not None else "this region"

    def called(self, function: Function) -> int:
        """Counts a call, and says which call of the function it is, from 1."""
        if function.user:
            moved_on(self.kept)
        with self._lock:
            self._calls[function] += 1
            times = self._calls[function]
            if function.user:
                self.latest = function.name, times
            return times

    def ran(self, call: Call, began: float, ended: float) -> None:
        """Notes when a call of a function of the user's ran, by `perf_counter`."""
        if call.function.user:
            name, start = call.function.name, began - self._start
            with self._lock:
                self._call_times.add(name, call.number, start, ended - began)

    def counted(self, phase: Phase) -> int:
        """Counts a trace, and says how often its function was traced, with this time.

        Of a compilation it says how often; those that end well are counted.
        """
        if phase.hidden or phase.phase not in ("trace", "compile"):
            return 0
        with self._lock:
            if phase.phase == "compile":
                return self._compiles[phase.function] + 1
            self._traces[phase.function] += not phase.is_alike
            return self._traces[phase.function]

    def began(self, phase: Phase) -> None:
        """Notes a phase that no budget has stopped."""
        if not phase.hidden:
            with self._lock:
                self._phases.append(phase)

    def asked_by(self, phase: Phase) -> Call:
        """The call that asks for a phase; while it traces it is not counted yet."""
        counted = self._calls[phase.function]
        number = counted + 1 if phase.phase == "trace" else max(1, counted)
        return Call(phase.function, number, self.scope)

    def refused(self, phase: Phase) -> None:
        """Forgets a phase that began, and that a budget has stopped."""
        with self._lock:
            if phase.phase == "trace" and not phase.hidden:
                self._traces[phase.function] -= not phase.is_alike
            if phase in self._phases:
                self._phases.remove(phase)

    def ended(self, phase: Phase) -> None:
        """Counts a compilation that ended well, and the time a phase took."""
        with self._lock:
            if phase.phase == "compile" and not phase.failed:
                self._compiles[phase.function] += 1
            if phase.parent is None:
                self._compile_seconds += phase.duration
            self._seconds[phase.function] += phase.duration - phase.inside

    def compiling(self, name: str = "") -> float:
        """The seconds spent compiling functions of this name; all without one."""
        with self._lock:
            every = list(self._seconds.items())
        return sum(s for f, s in every if name in ("", f.name, f.title))

    def goes_over(self, name: str) -> bool:
        """Whether the seconds of functions of a name are over for the first time."""
        with self._lock:
            is_first = name not in self._over
            self._over.add(name)
        return is_first

    def phases(self) -> tuple[CompileEvent, ...]:
        """What was traced, lowered and compiled up to now."""
        with self._lock:
            return frozen(self._phases)

    def seen(self) -> list[str]:
        """The names of the functions that were called, traced or compiled."""
        with self._lock:
            functions = [*self._calls, *self._seconds, *self._traces]
        return [name for f in functions if f.user for name in (f.name, f.title)]

    def spent(self, checking: float, failed: bool = False) -> None:
        """Adds seconds to what checking has cost.

        Arguments:
            checking: seconds.
            failed: whether a failure was found, and its origin looked for.
        """
        with self._lock:
            self._check_seconds += checking
            self._origin_seconds += checking if failed else 0.0

    def placed(self, where: str, path: str) -> None:
        """Notes a leaf that holds NaN or Inf and is no failure.

        Arguments:
            where: the function that returns it; of eager code the line.
            path: of the leaf; of eager code the expression.
        """
        with self._lock:
            if len(self._placed_leaves) < MAX_PLACED:
                self._placed_leaves[f"{where}: {path}"] = None

    def allowed(self, kind: str, where: str, count: int) -> None:
        """Counts values that the user allows, by kind and place."""
        with self._lock:
            self._allowed[kind, where] += count

    def allows(self, frame: Frame) -> None:
        """Notes lines at which something was allowed."""
        with self._lock:
            last = max(frame.line, frame.end_line)
            self._allows |= {(frame.file, n) for n in range(frame.line, last + 1)}

    def notice(self, text: str) -> None:
        """Notes something the user should know about jaxdbg itself, once."""
        with self._lock:
            self._notices[text] = None

    def broke(self, doing: str, error: BaseException) -> None:
        """Notes that a part of jaxdbg itself broke."""
        self.notice(broken(doing, error, "that went unchecked"))

    def unchecked(self, why: str, calls: int = 1, beside: bool = False) -> None:
        """Counts calls of the region that were not checked.

        Arguments:
            why: the reason, for the report.
            calls: how many; 0 where that is not known.
            beside: whether they are not among those that `called` has counted.
        """
        with self._lock:
            self._unchecked[why] += calls
            self._beside += calls if beside else 0

    def failed(self, judgements: Sequence[Judgement]) -> None:
        """Adds the findings of failures that were found together."""
        now = time.time()
        for judgement in judgements:
            failure = judgement.failure
            failure.finding = replace(failure.finding, time=now)
        with self._lock:
            self.findings += [j.failure.finding for j in judgements]
            first = judgements[0].failure
            if threading.current_thread() is not self._thread:
                self.in_threads.append(first)
            self._call_times.failed(first.finding.function, first.finding.call)
            for judgement in judgements:
                self._keep(judgement)

    def _keep(self, judgement: Judgement) -> None:
        finding = judgement.failure.finding
        try:
            if judgement.inputs is not None:
                self.kept.add(finding, judgement.inputs)
            if judgement.outputs:
                self.kept.add_outputs(finding, judgement.outputs)
        except (Exception, KeyboardInterrupt) as error:
            self.broke(f"keeping the arrays of {finding.function}", error)

    def close(self, remarks: Iterable[Remark] = ()) -> None:
        """Stops the clock, and lets go of what was held for the open region only.

        Of the remarks, those on functions that the region has called count.
        """
        self._end = time.perf_counter()
        called = {(f.name, f.source) for f in self._calls}
        self._remarks = [r for r in remarks if (r.function, r.defined) in called]
        if not (self.findings or self.options.allowed):
            for text in idle_comments(self._calls, self._allows):
                self.notice(f"{text} allowed nothing in {self.scope}")
        self.in_threads.clear()  # their tracebacks hold frames of the user's
        for let_go in (self.earlier.end, self.peers.end, self.kept.close):
            try:
                let_go()
            except Exception as error:  # which must not replace a failure
                self.broke("letting go of what a region kept", error)

    def report(self) -> Report:
        """What was collected up to now, frozen."""
        histories = self.histories()
        with self._lock:
            compilations = self._part("compilations", lambda: frozen(self._phases))
            retraces = self._part("retraces", self._retraces)
            return Report(
                calls=sum(n for f, n in self._calls.items() if f.user) + self._beside,
                eager_ops=sum(n for f, n in self._calls.items() if not f.user),
                calls_by_function=_by_name(self._calls),
                traces=_by_name(self._traces),
                compiles=_by_name(self._compiles),
                retraces=retraces,
                library_compiles=sum(
                    n for f, n in self._compiles.items() if not f.user
                ),
                findings=tuple(self.findings),
                placed=tuple(self._placed_leaves),
                allowed=tuple(
                    Allowed(kind, where, n)
                    for (kind, where), n in self._allowed.items()
                ),
                notices=tuple(self._notices),
                seconds=(self._end or time.perf_counter()) - self._start,
                compile_seconds=self._compile_seconds,
                check_seconds=self._check_seconds,
                origin_seconds=self._origin_seconds,
                cell=self.cell,
                options=str(self.options),
                compilations=compilations,
                remarks=tuple(self._remarks),
                began=self._start_time,
                histories=histories,
                call_times=self._call_times.frozen(),
                unchecked=ReadOnly(self._unchecked),
            )

    def _part(self, name: str, of: Callable[[], tuple[_T, ...]]) -> tuple[_T, ...]:
        """A part of the report; one that breaks is left out, and said to be."""
        try:
            return of()
        except Exception as error:
            self.broke(f"freezing the {name} of a report", error)
            return ()

    def _retraces(self) -> tuple[str, ...]:
        """Each trace of a user function that ran again, with its reason."""
        again = [
            f"{p.function.name}: {'; '.join((changed(p.reason), *p.reason.others))}"
            for p in self._phases
            if p.phase == "trace" and p.function.user and p.reason is not None
        ]
        return tuple(again[:MAX_RETRACES])


def _by_name(counts: Counter[Function]) -> Mapping[str, int]:
    named: Counter[str] = Counter()
    for function, n in counts.items():
        if function.user and n:
            named[function.name] += n
    return ReadOnly(named)
