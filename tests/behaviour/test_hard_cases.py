"""Each hard case, in a region: good values stay as they are, bad ones are found."""

from __future__ import annotations

import copy
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import io_callback

import jaxdbg
from tests.programs.hard_cases import (
    MIXED,
    POSITIVE,
    Case,
    bits,
    each,
    each_that_fails,
    run,
)


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


EVERYTHING: dict[str, Any] = {
    "every_op": True,
    "errors": ("index", "div"),
    "async_": True,
}


@pytest.mark.slow
@each
def test_good_values_are_good_with_every_option(case: Case) -> None:
    if case.name == "vmap_of_cond":
        pytest.skip("vmap runs both branches, and here each operation counts")
    program = case.build()
    plain = run(program, program.good)
    with jaxdbg.checked(**EVERYTHING) as region:
        checked = run(program, program.good)
    assert region.report.findings == ()
    assert region.report.notices == ()
    assert list(map(without_values, checked)) == list(map(without_values, plain))


def without_values(leaf: Any) -> Any:
    """All but the bits: XLA may fuse other operations when each result is looked at."""
    return leaf[:-1] if isinstance(leaf, tuple) else leaf


@pytest.mark.slow
@each_that_fails
def test_a_bad_value_is_found_with_every_option(case: Case) -> None:
    program = case.build()
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(**EVERYTHING) as region,
    ):
        run(program, program.bad)
    assert caught.value.finding.function == case.function
    assert region.report.notices == ()


@pytest.mark.slow
@each_that_fails
def test_a_bad_value_is_found_later(case: Case) -> None:
    program = case.build()
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(async_=True) as region,
    ):
        run(program, program.good)
        run(program, program.bad)
    finding = caught.value.finding
    found = finding.kind, finding.function, finding.call, finding.index
    assert found == (case.kind, case.function, case.call, case.index)
    assert region.report.notices == ()


def test_a_bad_value_in_a_ref_is_found() -> None:
    @jax.jit
    def write(ref, x):
        ref[...] = jnp.log(x)

    ref = jax.new_ref(jnp.zeros(3))
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        write(ref, POSITIVE)
        write(ref, MIXED)
    finding = caught.value.finding
    assert (finding.function, finding.call) == ("write", 2)
    assert (finding.path, finding.index) == ("ref", (1,))


def test_a_ref_is_written_to_once() -> None:
    @jax.jit
    def add(ref, x):
        ref[...] += x
        return jnp.log(x)

    ref = jax.new_ref(jnp.zeros(3))
    with jaxdbg.checked(record=True) as region:
        add(ref, MIXED)
    assert len(region.report.findings) == 1
    assert ref[...].tolist() == MIXED.tolist()


@pytest.mark.parametrize(("value", "ok"), [(POSITIVE, True), (MIXED, False)])
def test_a_ref_that_a_function_closes_over_is_no_check_mark_if_it_is_bad(
    value: Any, ok: bool
) -> None:
    ref = jax.new_ref(jnp.zeros(3))

    @jax.jit
    def write(x):
        ref[...] = jnp.log(x)
        return x * 2

    with jaxdbg.checked() as region:
        write(value)
    assert region.report.ok is ok
    assert not region.report.findings


def test_a_bad_value_that_a_ref_held_before_came_in() -> None:
    @jax.jit
    def total(ref, x):
        return (ref[...] * x).sum()

    ref = jax.new_ref(jnp.array([1.0, jnp.nan]))
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        total(ref, jnp.ones(2))
    finding = caught.value.finding
    assert finding.paths == ("total(...)",)
    assert finding.origin is not None
    assert (finding.origin.verdict, finding.origin.argument) == ("came in", "ref[1]")


def test_missing_data_in_a_ref_is_no_failure() -> None:
    @jax.jit
    def step(ref, x):
        ref[0] = x
        return ref[...] * 2

    ref = jax.new_ref(jnp.full(3, jnp.nan))
    with jaxdbg.checked() as region:
        step(ref, 1.0)
    assert region.report.findings == ()


@pytest.mark.parametrize("times", [1, 2])
def test_what_prints_and_calls_back_does_so_once(times: int) -> None:
    called: list[Any] = []

    @jax.jit
    def f(x):
        def step(c, v):
            jax.debug.callback(called.append, v)
            return c, jnp.log(v)

        jax.debug.callback(called.append, x)
        y = io_callback(lambda x: called.append(x) or x, x, x)
        return jax.lax.scan(step, 0, x)[1] + y

    with jaxdbg.checked(record=True) as region:
        for _ in range(times):
            f(MIXED)
        jax.effects_barrier()
    assert len(region.report.findings) == times
    assert len(called) == 5 * times


def test_a_benign_verdict_does_not_hide_a_later_birth() -> None:
    @jax.jit
    def prepare(x):
        return jnp.log(x)

    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        prepare(jnp.array([1.0, jnp.nan, 3.0]))  # missing data
        prepare(MIXED)
    assert caught.value.finding.call == 2
