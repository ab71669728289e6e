"""Each hard case, in a region: good values stay as they are, bad ones are found."""

from __future__ import annotations

import copy

import pytest
from hard_cases import Case, bits, each, each_that_fails, run

import jaxdbg


@each
def test_good_values_are_the_plain_programs(case: Case) -> None:
    program = case.build()
    plain = run(program, program.good)
    with jaxdbg.checked() as region:
        checked = run(program, program.good)
    assert checked == plain
    report = region.report
    assert report.findings == ()
    assert report.notices == ()
    assert report.placed == ()
    assert report.calls + report.eager_ops > 0
    assert run(program, program.good) == plain


@each_that_fails
def test_a_bad_value_is_found(case: Case) -> None:
    program = case.build()
    run(program, program.good)
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked() as region:
        run(program, program.good)
        run(program, program.bad)
    assert isinstance(caught.value, FloatingPointError)
    finding = caught.value.finding
    found = finding.kind, finding.function, finding.call, finding.index
    assert found == (case.kind, case.function, case.call, case.index)
    assert region.report.findings == (finding,)
    assert region.report.notices == ()


@each_that_fails
def test_a_failed_call_leaves_its_arguments_as_they_were(case: Case) -> None:
    program = case.build()
    args = copy.deepcopy(program.bad)
    before = bits(args)
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
        program.call(*args)
    assert bits(args) == before
    # The arguments are still of use to the plain program.
    program.call(*copy.deepcopy(args))
