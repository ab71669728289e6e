"""A pytest plugin: runs each test of one module in a mode, and writes what it did."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from jaxdbg import Finding, Region
from jaxdbg.errors import Failure
from tests import leaks
from tests.peers.assertions import Asserted, watch
from tests.peers.compilations import count_phases
from tests.peers.digest import masked
from tests.peers.modes import AGAIN, MODES, PLAIN
from tests.peers.results import Result
from tests.peers.side_effects import count_runs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--peers-mode", choices=MODES)
    parser.addoption("--peers-results", type=Path)
    parser.addoption("--peers-module", type=Path)
    parser.addoption("--peers-sample", type=int, default=0)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Watcher(config), "peers")


def sampled(tests: list[str], number: int) -> set[str]:
    """Some of the tests, the same ones each time; all for 0."""
    by_hash = sorted(tests, key=lambda t: hashlib.blake2b(t.encode()).digest())
    return set(by_hash[: number or None])


class _Watcher:
    def __init__(self, config: pytest.Config):
        self._mode = config.option.peers_mode
        self._sample = config.option.peers_sample
        self._file = config.option.peers_results.open("a", buffering=1)
        self._asserted = Asserted()
        self._ran = count_runs(config.option.peers_module)
        self._phases = count_phases()
        watch(self._asserted)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        chosen = sampled([item.nodeid for item in items], self._sample)
        items[:] = [item for item in items if item.nodeid in chosen]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool, bool]:
        self._result = Result(item.nodeid)
        random.seed(0)
        np.random.seed(0)
        self._forget()
        try:
            return (yield)
        finally:
            self._file.write(self._result.to_line())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        before = self._state()
        started = time.perf_counter()
        self._forget()
        region = None
        try:
            with MODES[self._mode]() as region:
                yield
        finally:
            result = self._result
            result.seconds = round(time.perf_counter() - started, 4)
            result.left = leaks.left_behind(before, self._state())
            result.asserted = list(self._asserted.seen)
            result.ran, result.phases = dict(self._ran), dict(self._phases)
            if region is not None:
                _note_report(result, region)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call" or report.outcome != "passed":
            self._note_outcome(report, call)
        return report

    def _note_outcome(
        self, report: pytest.TestReport, call: pytest.CallInfo[None]
    ) -> None:
        if self._result.outcome == "failed":  # by a part of it: it stays failed
            return
        self._result.outcome = report.outcome
        if call.excinfo is not None:
            error = call.excinfo.value
            self._result.error = masked(f"{type(error).__name__}: {error}")[:500]
            self._result.raised = isinstance(error, Failure)

    def _state(self) -> leaks.Snapshot:
        plain = self._mode in (PLAIN, AGAIN)
        return leaks.of_jax() if plain else leaks.snapshot()

    def _forget(self) -> None:
        self._asserted.seen.clear()
        self._ran.clear()
        self._phases.clear()


def _note_report(result: Result, region: Region) -> None:
    report = region.report
    result.notices = list(report.notices)
    told = {_named(f): f for f in report.findings}
    result.findings = list(told)
    result.false_findings = [name for name, f in told.items() if not _is_true(f)]


def _named(finding: Finding) -> str:
    return f"{finding.kind} {finding.function} {finding.path}"


def _is_true(finding: Finding) -> bool:
    """Whether the array holds what the finding says; True where it is not kept."""
    if finding.kind not in ("nan", "inf"):
        return True
    try:
        array = np.asarray(finding.output())
    except (RuntimeError, ValueError):
        return True
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    return not np.isfinite(array.astype(wide)).all()
