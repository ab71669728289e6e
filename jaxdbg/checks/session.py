"""A session collects what one region saw; frozen, that is the report.

Hooks append from any thread, so every change is made under one lock.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from jaxdbg.checks import failure_messages as findings
from jaxdbg.checks.afterwards import kept_calls as held
from jaxdbg.checks.afterwards.bad_outputs import Room
from jaxdbg.checks.call_times import CallLog
from jaxdbg.checks.earlier_calls import Memory
from jaxdbg.compiles.listener import Function, Phase
from jaxdbg.compiles.recorder import MAX_EVENTS, frozen
from jaxdbg.errors import Failure, broken
from jaxdbg.options import Options
from jaxdbg.records import Finding, Reason, Remark, Report, TreeHistory
from jaxdbg.views.compiles_text import changed

MAX_PLACED = 50
"""How many placed leaves a report lists."""

MAX_RETRACES = 50
"""How many retraces a report lists."""


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
        self.memory = Memory()
        self.histories: Callable[[], tuple[TreeHistory, ...]] = tuple
        self.kept = held.Kept()
        self.room = Room()
        self._thread = threading.current_thread()
        self._lock = threading.Lock()
        self.latest: tuple[str, int] = ("", 0)
        self._calls: Counter[Function] = Counter()
        self._call_log = CallLog()
        self._traces: Counter[Function] = Counter()
        self._compiles: Counter[Function] = Counter()
        self._remarks: list[Remark] = []
        self._phases: deque[Phase] = deque(maxlen=MAX_EVENTS)
        self._placed: dict[str, None] = {}
        self._notices: dict[str, None] = {}
        self._compile_seconds = 0.0
        self._check_seconds = 0.0
        self._origin_seconds = 0.0
        self._began = time.perf_counter()
        self._began_at = time.time()
        self._ended: float | None = None

    @property
    def scope(self) -> str:
        """What the session counts in, as said in messages."""
        return "this cell" if self.cell is not None else "this region"

    def called(self, function: Function) -> int:
        """Counts a call, and says which call of the function it is, from 1."""
        if function.user:
            held.moved_on(self.kept)
        with self._lock:
            self._calls[function] += 1
            times = self._calls[function]
            if function.user:
                self.latest = function.name, times
            return times

    def ran(self, call: findings.Call, began: float, ended: float) -> None:
        """Notes when a call of a function of the user's ran, by `perf_counter`."""
        if call.function.user:
            name, start = call.function.name, began - self._began
            with self._lock:
                self._call_log.add(name, call.number, start, ended - began)

    def began(self, phase: Phase) -> None:
        """Counts a phase; raises TraceBudgetError where its budget is spent."""
        if phase.hidden:
            return
        kind = {"trace": "traces", "compile": "compiles"}.get(phase.phase)
        if kind is not None:
            counts = self._traces if kind == "traces" else self._compiles
            with self._lock:
                times = counts[phase.function] + 1
                if kind == "traces":
                    counts[phase.function] = times
            self._budget(kind, phase.function, times, phase.reason)
        with self._lock:
            self._phases.append(phase)

    def refused(self, phase: Phase) -> None:
        """Forgets a phase that began, and that a budget has stopped."""
        with self._lock:
            if phase.phase == "trace" and not phase.hidden:
                self._traces[phase.function] -= 1
            if phase in self._phases:
                self._phases.remove(phase)

    def ended(self, phase: Phase) -> None:
        """Counts a compilation that ended well, and the time a phase took."""
        with self._lock:
            if phase.phase == "compile" and not phase.failed:
                self._compiles[phase.function] += 1
            if phase.parent is None:
                self._compile_seconds += phase.duration

    def spent(self, checking: float, failed: bool = False) -> None:
        """Adds seconds to what checking has cost.

        Arguments:
            checking: seconds.
            failed: whether a failure was found, and its origin looked for.
        """
        with self._lock:
            self._check_seconds += checking
            self._origin_seconds += checking if failed else 0.0

    def placed(self, function: str, path: str) -> None:
        """Notes a leaf that holds NaN or Inf and is no failure."""
        with self._lock:
            if len(self._placed) < MAX_PLACED:
                self._placed[f"{function}: {path}"] = None

    def notice(self, text: str) -> None:
        """Notes something the user should know about jaxdbg itself, once."""
        with self._lock:
            self._notices[text] = None

    def broke(self, doing: str, error: BaseException) -> None:
        """Notes that a part of jaxdbg itself broke."""
        self.notice(broken(doing, error, "that went unchecked"))

    def failed(self, failure: Failure, *others: Failure) -> None:
        """Adds the findings; raises the first failure unless all are recorded."""
        for one in (failure, *others):
            one.finding = replace(one.finding, time=time.time())
        with self._lock:
            self.findings += [f.finding for f in (failure, *others)]
            self._call_log.failed(failure.finding.function, failure.finding.call)
            for f in (failure, *others):
                if f.held is not None:
                    self.kept.add(f.finding, f.held)
                    f.held = None
                if f.outputs:
                    self.kept.add_outputs(f.finding, f.outputs)
                    f.outputs = {}
            if threading.current_thread() is not self._thread:
                self.in_threads.append(failure)
        failure.report = self.report()
        if not self.options.record:
            raise failure

    def close(self, remarks: Iterable[Remark] = ()) -> None:
        """Stops the clock, and lets go of what was held for the open region only.

        Of the remarks, those on functions that the region has called count.
        """
        self._ended = time.perf_counter()
        called = {(f.name, f.source) for f in self._calls}
        self._remarks = [r for r in remarks if (r.function, r.defined) in called]
        self.memory.end()
        self.kept.close()

    def report(self) -> Report:
        """What was collected up to now, frozen."""
        histories = self.histories()
        with self._lock:
            return Report(
                calls=sum(n for f, n in self._calls.items() if f.user),
                eager_ops=sum(n for f, n in self._calls.items() if not f.user),
                calls_by_function=_by_name(self._calls),
                traces=_by_name(self._traces),
                compiles=_by_name(self._compiles),
                retraces=self._retraces(),
                library_compiles=sum(
                    n for f, n in self._compiles.items() if not f.user
                ),
                findings=tuple(self.findings),
                placed=tuple(self._placed),
                notices=tuple(self._notices),
                seconds=(self._ended or time.perf_counter()) - self._began,
                compile_seconds=self._compile_seconds,
                check_seconds=self._check_seconds,
                origin_seconds=self._origin_seconds,
                cell=self.cell,
                options=str(self.options),
                compilations=frozen(self._phases),
                remarks=tuple(self._remarks),
                began=self._began_at,
                histories=histories,
                call_times=self._call_log.frozen(),
            )

    def _retraces(self) -> tuple[str, ...]:
        """Each trace of a user function that ran again, with its reason."""
        again = [
            f"{p.function.name}: {'; '.join((changed(p.reason), *p.reason.others))}"
            for p in self._phases
            if p.phase == "trace" and p.function.user and p.reason is not None
        ]
        return tuple(again[:MAX_RETRACES])

    def _budget(
        self, kind: str, function: Function, times: int, reason: Reason | None
    ) -> None:
        budget = getattr(self.options, f"max_{kind}")
        if isinstance(budget, Mapping):
            budget = budget.get(function.name)
        if budget is None or not function.user or times <= budget:
            return
        call = findings.Call(function, self._calls[function] + 1, self.scope)
        self.failed(findings.over_budget(kind, call, times, budget, reason))


def _by_name(counts: Counter[Function]) -> Mapping[str, int]:
    named: Counter[str] = Counter()
    for function, n in counts.items():
        if function.user and n:
            named[function.name] += n
    return MappingProxyType(dict(named))
