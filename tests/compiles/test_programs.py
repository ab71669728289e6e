"""What jaxdbg says of the programs in `compile_programs` is what is true of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from jaxdbg.compiles import recorder
from jaxdbg.records import CompileEvent, Reason, Remark
from jaxdbg.records.retrace_causes import CAUSES
from tests.programs.compiles import PROGRAMS, Program, counting


@dataclass
class Observed:
    """How often each function's Python ran, and what was recorded meanwhile."""

    ran: Counter[str]
    events: list[CompileEvent]
    remarks: tuple[Remark, ...]


def observed(program: Program) -> Observed:
    ran, traced = counting()
    recorder.forget()
    recorder.start()
    try:
        kept = program.run(traced)
        events, remarks = recorder.events(), recorder.stale()
        del kept
    finally:
        recorder.stop()
    assert recorder.recorder().notices() == ()
    return Observed(ran, [e for e in events if e.function == program.function], remarks)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_counts(program: Program) -> None:
    seen = observed(program)
    assert seen.ran[program.function] == program.traces
    phases = Counter(e.phase for e in seen.events)
    assert phases["compile"] == program.compiles
    if program.traces:
        assert phases["trace"] == program.traces


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_reasons(program: Program) -> None:
    seen = observed(program)
    again = [e for e in seen.events if e.reason]
    if program.cause in ("", "stale closure"):
        assert again == []
    if program.cause == "stale closure":
        (remark,) = seen.remarks
        assert told(remark.reason) == expected(program)
        return
    assert seen.remarks == ()
    if program.cause:
        event = [e for e in again if e.phase == program.phase][-1]
        assert told(event.reason) == expected(program)
        assert event.source is not None
        assert event.source.code == program.at


def told(reason: Reason) -> tuple[str, ...]:
    return reason.cause, reason.where, reason.before, reason.after


def expected(program: Program) -> tuple[str, ...]:
    return program.cause, program.where, program.before, program.after


def test_every_cause_has_a_program() -> None:
    assert {p.cause for p in PROGRAMS if p.cause} == set(CAUSES) - {"unknown"}


def test_there_are_programs_where_nothing_is_wrong() -> None:
    assert sum(not p.cause for p in PROGRAMS) >= 6
    assert len(PROGRAMS) >= 45
