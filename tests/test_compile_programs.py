"""What jaxdbg says of the programs in `compile_programs` is what is true of them."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest
from compile_programs import PROGRAMS, Program

from jaxdbg import recorder
from jaxdbg.records import CompileEvent
from jaxdbg.records.compilations import CAUSES


def observed(program: Program) -> tuple[Counter[str], list[CompileEvent]]:
    """How often each function's Python ran, and what was recorded meanwhile."""
    ran: Counter[str] = Counter()

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            ran[function.__name__] += 1
            return function(*args, **kwargs)

        return counted

    recorder.forget()
    recorder.start()
    try:
        program.run(traced)
        events = recorder.events()
    finally:
        recorder.stop()
    assert recorder.recorder().notices() == ()
    return ran, [e for e in events if e.function == program.function]


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_counts(program: Program) -> None:
    ran, events = observed(program)
    assert ran[program.function] == program.traces
    phases = Counter(e.phase for e in events if e.user or not program.traces)
    assert phases["compile"] == program.compiles
    if program.traces:
        assert phases["trace"] == program.traces


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_reasons(program: Program) -> None:
    _, events = observed(program)
    reasons = [(e, e.reason) for e in events if e.reason and e.phase == program.phase]
    if not program.cause:
        assert [e.reason for e in events if e.reason] == []
        return
    event, reason = reasons[-1]
    told = reason.cause, reason.where, reason.before, reason.after
    if program.where:
        assert told == (program.cause, program.where, program.before, program.after)
    else:
        assert reason.cause == program.cause
    if program.at:
        assert event.source is not None
        assert event.source.code == program.at


def test_every_cause_has_a_program() -> None:
    assert {p.cause for p in PROGRAMS if p.cause} == set(CAUSES) - {"unknown"}


def test_there_are_programs_where_nothing_is_wrong() -> None:
    assert sum(not p.cause for p in PROGRAMS) >= 6
    assert len(PROGRAMS) >= 45
