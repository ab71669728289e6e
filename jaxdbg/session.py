"""A session collects what one region saw; frozen, that is the report.

Hooks append from any thread, so every change is made under one lock.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from jaxdbg.errors import Failure, TraceBudgetError
from jaxdbg.hooks.compiles import Function
from jaxdbg.options import Options
from jaxdbg.records import Finding, Report

MAX_PLACED = 50
"""How many placed leaves a report lists; the rest is counted."""


class Session:
    """The raw records of one region, while it is open."""

    def __init__(self, options: Options, cell: int | None = None):
        self.options = options
        self.cell = cell
        self.findings: list[Finding] = []
        self.in_threads: list[Failure] = []
        self._thread = threading.current_thread()
        self._lock = threading.Lock()
        self._calls: Counter[Function] = Counter()
        self._traces: Counter[Function] = Counter()
        self._compiles: Counter[Function] = Counter()
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

    def traced(self, function: Function) -> None:
        """Counts a trace; raises TraceBudgetError where the budget is spent."""
        with self._lock:
            self._traces[function] += 1
            times = self._traces[function]
        self._budget("traces", function, times, self.options.max_traces)

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
        """Stops the clock."""
        self._ended = time.perf_counter()

    def report(self) -> Report:
        """What was collected up to now, frozen."""
        with self._lock:
            return Report(
                calls=sum(n for f, n in self._calls.items() if f.user),
                eager_ops=sum(n for f, n in self._calls.items() if not f.user),
                calls_by_function=_by_name(self._calls),
                traces=_by_name(self._traces),
                compiles=_by_name(self._compiles),
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
    ) -> None:
        if isinstance(budget, Mapping):
            budget = budget.get(function.name)
        if budget is None or not function.user or times <= budget:
            return
        finding = Finding(
            kind=kind,
            function=function.name,
            call=self._calls[function] + 1,
            message=_over_budget(kind, function.name, times, budget, self.scope),
            location=function.source,
        )
        self.failed(TraceBudgetError(finding.message, finding))


def _by_name(counts: Counter[Function]) -> Mapping[str, int]:
    named: Counter[str] = Counter()
    for function, n in counts.items():
        if function.user:
            named[function.name] += n
    return MappingProxyType(dict(named))


def _over_budget(kind: str, name: str, times: int, budget: int, scope: str) -> str:
    done = {"traces": "traced", "compiles": "compiled"}[kind]
    option = {"traces": "--max-traces", "compiles": "--max-compiles"}[kind]
    return (
        f"{name} is being {done} for the {_ordinal(times)} time in {scope}; "
        f"{option} allows {budget}.\n"
        f"  next: look at the shapes, dtypes and static arguments of this call; each\n"
        f"    new combination is {done} again. A smaller last batch is the usual\n"
        f"    cause: drop it or pad it."
    )


def _ordinal(n: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(
        n % 10 if n % 100 not in (11, 12, 13) else 0
    )
    return f"{n}{suffix or 'th'}"
