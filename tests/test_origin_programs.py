"""Programs whose truth is known: the origin says it; what is benign stays silent."""

from __future__ import annotations

import pytest
from origin_programs import BENIGN, PROGRAMS, Program

import jaxdbg
from jaxdbg.records import Origin


def origin_of(program: Program) -> Origin:
    """What a region tells of the first failure of a program."""
    # An underscore: else the arrays' names would be ways through this variable.
    _built = program.build()
    with (
        pytest.raises(jaxdbg.NonFiniteError) as raised,
        jaxdbg.checked(namespace=_built.names),
    ):
        _built.call(*_built.args)
    return raised.value.finding.origin


def by_name(program: Program) -> str:
    return program.name


@pytest.mark.parametrize("program", PROGRAMS, ids=by_name)
def test_the_origin_is_the_true_one(program):
    origin = origin_of(program)
    assert origin.verdict == program.verdict
    if program.verdict == "came in":
        assert origin.argument == program.argument
        return
    assert origin.source.line == program.line()
    assert origin.source.file == PROGRAMS[0].build.__code__.co_filename
    assert "# <- origin" in origin.source.code
    assert origin.primitive in program.primitive
    assert origin.module == program.module
    assert origin.direction == program.direction
    if program.loop is not None:
        assert origin.loop == program.loop
    if program.forward:
        assert origin.forward_source.line == program.line(program.forward)
    assert origin.cause == program.cause


@pytest.mark.parametrize("program", BENIGN, ids=by_name)
def test_what_is_benign_stays_silent(program):
    _built = program.build()
    with jaxdbg.checked(namespace=_built.names) as region:
        _built.call(*_built.args)
        _built.call(*_built.args)
    assert region.report.findings == ()


def test_there_are_enough_of_them():
    assert len(PROGRAMS) >= 40
    assert len(BENIGN) >= 10
    assert len({p.name for p in PROGRAMS + BENIGN}) == len(PROGRAMS) + len(BENIGN)
