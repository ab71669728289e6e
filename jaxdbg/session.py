"""A session collects what one region saw; frozen, that is the report.

Hooks append from any thread, so every change is made under one lock.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jaxdbg import findings
from jaxdbg.errors import Failure
from jaxdbg.hooks.compiles import Function
from jaxdbg.hooks.signatures import Signature, closest
from jaxdbg.options import Options
from jaxdbg.origins.memory import Memory
from jaxdbg.records import Finding, Report

MAX_PLACED = 50
"""How many placed leaves a report lists."""

MAX_EARLIER = 16
"""With how many earlier traces of a function a new one is compared."""

MAX_RETRACES = 50
"""How many retraces a report lists."""


class Session:
    """The raw records of one region, while it is open."""

    def __init__(self, options: Options, cell: int | None = None):
        self.options = options
        self.cell = cell
        self.findings: list[Finding] = []
        self.in_threads: list[Failure] = []
        self.memory = Memory()
        self._thread = threading.current_thread()
        self._lock = threading.Lock()
        self._calls: Counter[Function] = Counter()
        self._traces: Counter[Function] = Counter()
        self._compiles: Counter[Function] = Counter()
        self._signatures: dict[Function, deque[Signature]] = {}
        self._retraces: list[str] = []
        self._placed: dict[str, None] = {}
        self._notices: dict[str, None] = {}
        self._compile_seconds = 0.0
        self._check_seconds = 0.0
        self._began = time.perf_counter()
        self._ended: float | None = None

    @property
    def scope(self) -> str:
        """What the session counts in, as said in messages."""
        return "this cell" if self.cell is not None else "this region"

    def called(self, function: Function) -> int:
        """Counts a call, and says which call of the function it is, from 1."""
        with self._lock:
            self._calls[function] += 1
            return self._calls[function]

    def traced(self, function: Function, signature: Signature) -> None:
        """Counts a trace; raises TraceBudgetError where the budget is spent."""
        with self._lock:
            self._traces[function] += 1
            times = self._traces[function]
            earlier = self._signatures.setdefault(function, deque(maxlen=MAX_EARLIER))
            changes = closest(signature, earlier)
            earlier.append(signature)
            if changes and function.user and len(self._retraces) < MAX_RETRACES:
                self._retraces.append(f"{function.name}: {'; '.join(changes)}")
        self._budget("traces", function, times, self.options.max_traces, changes)

    def compile_begins(self, function: Function) -> None:
        """Raises TraceBudgetError where one more compilation is over the budget."""
        times = self._compiles[function] + 1
        self._budget("compiles", function, times, self.options.max_compiles)

    def compiled(self, function: Function) -> None:
        """Counts a compilation that ended well."""
        with self._lock:
            self._compiles[function] += 1

    def spent(self, compiling: float = 0.0, checking: float = 0.0) -> None:
        """Adds seconds to what compiling and checking have cost."""
        with self._lock:
            self._compile_seconds += compiling
            self._check_seconds += checking

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
        where = traceback.extract_tb(error.__traceback__)[-1]
        self.notice(
            f"a part of jaxdbg broke while {doing}; that went unchecked "
            f"({type(error).__name__}: {error}, at {where.filename}:{where.lineno}). "
            "Please report this; your program was not touched."
        )

    def failed(self, failure: Failure, *others: Failure) -> None:
        """Adds the findings; raises the first failure unless all are recorded."""
        with self._lock:
            self.findings += [f.finding for f in (failure, *others)]
            if threading.current_thread() is not self._thread:
                self.in_threads.append(failure)
        failure.report = self.report()
        if not self.options.record:
            raise failure

    def close(self) -> None:
        """Stops the clock, and lets go of what was held for the open region only."""
        self._ended = time.perf_counter()
        self.memory.end()

    def report(self) -> Report:
        """What was collected up to now, frozen."""
        with self._lock:
            return Report(
                calls=sum(n for f, n in self._calls.items() if f.user),
                eager_ops=sum(n for f, n in self._calls.items() if not f.user),
                calls_by_function=_by_name(self._calls),
                traces=_by_name(self._traces),
                compiles=_by_name(self._compiles),
                retraces=tuple(self._retraces),
                library_compiles=sum(
                    n for f, n in self._compiles.items() if not f.user
                ),
                findings=tuple(self.findings),
                placed=tuple(self._placed),
                notices=tuple(self._notices),
                seconds=(self._ended or time.perf_counter()) - self._began,
                compile_seconds=self._compile_seconds,
                check_seconds=self._check_seconds,
                cell=self.cell,
                options=str(self.options),
            )

    def _budget(
        self,
        kind: str,
        function: Function,
        times: int,
        budget: int | Mapping[str, int] | None,
        changes: Sequence[str] = (),
    ) -> None:
        if isinstance(budget, Mapping):
            budget = budget.get(function.name)
        if budget is None or not function.user or times <= budget:
            return
        call = findings.Call(function, self._calls[function] + 1, self.scope)
        self.failed(findings.over_budget(kind, call, times, budget, changes))


def _by_name(counts: Counter[Function]) -> Mapping[str, int]:
    named: Counter[str] = Counter()
    for function, n in counts.items():
        if function.user:
            named[function.name] += n
    return MappingProxyType(dict(named))
