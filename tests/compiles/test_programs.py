"""What jaxdbg says of the programs in `compile_programs` is what is true of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import pytest

from jaxdbg.compiles import recorder
from jaxdbg.records import CompileEvent, Reason, Remark
from jaxdbg.records.retrace_causes import CAUSES
from tests.programs.compiles import PROGRAMS, Program, counting
from tests.programs.reported import REPORTED
from tests.programs.retraces import MORE

OF_REMARKS = ("stale closure", "replaced body")
"""What makes nothing run again."""


@dataclass
class Observed:
    """How often each function's Python ran, and what was recorded meanwhile."""

    ran: Counter[str]
    events: list[CompileEvent]
    remarks: tuple[Remark, ...]


def observed(program: Program) -> Observed:
    return observed_with_all(program)[0]


def observed_with_all(program: Program) -> tuple[Observed, tuple[CompileEvent, ...]]:
    """What was observed of the function in question, and the phases of all."""
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
    of_it = [e for e in events if e.function == program.function]
    return Observed(ran, of_it, remarks), events


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
    if program.cause in ("", *OF_REMARKS):
        assert again == []
    if program.cause in OF_REMARKS:
        (remark,) = seen.remarks
        assert told(remark.reason) == expected(program)
        return
    assert seen.remarks == ()
    if program.cause:
        event = [e for e in again if e.phase == program.phase][-1]
        assert told(event.reason) == expected(program)
        assert event.source is not None
        assert event.source.code == program.at


@pytest.mark.parametrize("program", [*MORE, *REPORTED], ids=str)
def test_more_reasons(program: Program) -> None:
    if program.needs:
        pytest.importorskip(program.needs)
    assert judged(program) == []


def judged(program: Program) -> list[str]:
    """What is wrong with what is said of a program."""
    seen, every = observed_with_all(program)
    assert seen.remarks == ()
    causes = {e.reason.cause for e in every if e.reason}
    wrong = [f"says {c}" for c in causes & {program.never_cause}]
    if program.never_cause:
        return wrong
    phases = Counter(e.phase for e in seen.events)
    ran = seen.ran[program.python]
    if (ran, phases["compile"]) != (program.traces, program.compiles):
        wrong.append(f"counts {ran} traces, {phases['compile']} compilations")
    again = [e for e in seen.events if e.reason]
    if not program.cause:
        return wrong + [f"not quiet: {e.reason}" for e in again]
    reasons = [e.reason for e in again if e.phase == program.phase and e.reason]
    if not reasons:
        return [*wrong, "no reason"]
    reason = reasons[-1]
    if not fits(program, reason):
        wrong.append(f"wrong reason: {reason}")
    if reason.advice and not (
        program.advice and re.search(program.advice, reason.advice)
    ):
        wrong.append(f"wrong advice: {reason.advice}")
    return wrong


def fits(program: Program, reason: Reason) -> bool:
    """Whether a reason is the right one."""
    said = " ".join([reason.note, reason.before, reason.after, *reason.others])
    return (
        (reason.cause, reason.where) == (program.cause, program.where)
        and program.before in reason.before
        and program.after in reason.after
        and program.says in said
        and (not program.never or program.never not in said)
    )


def told(reason: Reason) -> tuple[str, ...]:
    return reason.cause, reason.where, reason.before, reason.after


def expected(program: Program) -> tuple[str, ...]:
    return program.cause, program.where, program.before, program.after


def test_every_cause_has_a_program() -> None:
    assert {p.cause for p in PROGRAMS if p.cause} == set(CAUSES) - {"unknown"}


def test_there_are_programs_where_nothing_is_wrong() -> None:
    assert sum(not p.cause for p in PROGRAMS) >= 6
    assert len(PROGRAMS) >= 45
