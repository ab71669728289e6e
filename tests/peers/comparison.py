"""A comparison: modules, each run plain and in some modes; what came out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.peers import processes
from tests.peers.allowed import unexplained
from tests.peers.compare import Difference, differences, stopped
from tests.peers.modes import AGAIN, PLAIN
from tests.peers.processes import Limits
from tests.peers.results import Result
from tests.peers.suites import Module

Run = Callable[[Module, str, Limits], dict[str, Result]]


@dataclass
class Figures:
    """The figures of one suite in one mode."""

    tests: int = 0
    passed: int = 0
    stopped: int = 0
    with_findings: int = 0
    assertions: int = 0
    seconds: float = 0.0
    plain_seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, plain: Result, other: Result) -> None:
        """Counts a test."""
        self.tests += 1
        self.passed += plain.outcome == "passed"
        self.stopped += stopped(other)
        self.with_findings += bool(other.findings)
        self.assertions += len(other.asserted)
        if plain.outcome == other.outcome:  # a test that was stopped is no measure
            self.seconds += other.seconds
            self.plain_seconds += plain.seconds


@dataclass
class Comparison:
    """What differs, what ran, and how steady the tests are by themselves.

    Attributes:
        unsteady: tests that differ from one plain run to the next, in the same way.
    """

    found: list[Difference] = field(default_factory=list)
    unsteady: list[Difference] = field(default_factory=list)
    ran: set[tuple[str, str]] = field(default_factory=set)
    figures: dict[tuple[str, str], Figures] = field(default_factory=dict)


def compare(
    modules: Iterable[Module],
    modes: Sequence[str],
    limits: Limits,
    run: Run = processes.run,
    done: Callable[[Module, Sequence[Difference]], None] = lambda module, found: None,
) -> Comparison:
    """Runs each module plain and in each mode, one process at a time."""
    comparison = Comparison()
    for module in modules:
        plain = run(module, PLAIN, limits)
        others = {mode: run(module, mode, limits) for mode in modes}
        found = [d for m in modes for d in differences(plain, others[m], m)]
        steady = found
        if unexplained(found):
            again = differences(plain, run(module, AGAIN, limits), AGAIN)
            by_itself = {(d.test, d.kind) for d in again}
            steady = [d for d in found if (d.test, d.kind) not in by_itself]
        _count(comparison, module, plain, others, steady)
        comparison.found += steady
        comparison.unsteady += [d for d in found if d not in steady]
        done(module, steady)
    return comparison


def _count(
    comparison: Comparison,
    module: Module,
    plain: dict[str, Result],
    others: dict[str, dict[str, Result]],
    found: Sequence[Difference],
) -> None:
    for mode, results in others.items():
        figures = comparison.figures.setdefault((module.suite, mode), Figures())
        for test, result in plain.items():
            figures.add(result, results.get(test, Result(test)))
            comparison.ran.add((test, mode))
        different = {(d.test, d.kind) for d in found if d.mode == mode}
        figures.kinds.update(kind for _, kind in different)
