"""Traces and compilations in the report are those that happened, and so are budgets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax._src import test_util

import jaxdbg

Counts = dict[str, int]


class Counted:
    """Functions that count, as their Python runs, how often they were traced."""

    def __init__(self) -> None:
        self.traces: Counts = {}

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            name = function.__name__
            self.traces[name] = self.traces.get(name, 0) + 1
            return function(*args, **kwargs)

        return counted


@pytest.fixture
def counted() -> Counted:
    """Marks the functions of a test that are counted."""
    return Counted()


X, Y = jnp.ones(3), jnp.ones(4)


def counts(cell: Callable[[], Any], **options: Any) -> tuple[Counts, Counts]:
    """The traces and compilations that a region reports for a cell."""
    with jaxdbg.checked(**options) as region:
        cell()
    return dict(region.report.traces), dict(region.report.compiles)


def test_one_of_each_for_each_shape(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    def cell():
        for x in (X, Y, X, Y):
            f(x)

    assert counts(cell) == ({"f": 2}, {"f": 2})
    assert counts(cell) == ({}, {})
    assert counted.traces == {"f": 2}


def test_inner_functions_are_traced_and_not_compiled(counted: Counted) -> None:
    @jax.jit
    @counted
    def inner(x):
        return x * 2

    @jax.jit
    @counted
    def outer(x):
        return inner(x) + inner(x)

    assert counts(lambda: outer(X)) == (counted.traces, {"outer": 1})
    assert counted.traces == {"inner": 1, "outer": 1}
    assert counts(lambda: inner(X)) == ({}, {"inner": 1})


def test_grad_of_jit(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return (x**2).sum()

    traces, compiles = counts(lambda: jax.grad(f)(X))
    assert traces == counted.traces == {"f": 1}
    assert compiles == {"f": 2}  # forward and backward


def test_jit_of_grad_of_jit(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return (x**2).sum()

    step = jax.jit(jax.grad(f))
    assert counts(lambda: step(X)) == ({"f": 1}, {"f": 1})
    assert counts(lambda: step(X)) == ({}, {})
    assert counted.traces == {"f": 1}


def test_vmap_of_jit(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    assert counts(lambda: jax.vmap(f)(X)) == ({"f": 1}, {"f": 1})
    assert counted.traces == {"f": 1}


def test_other_jit_options_compile_and_do_not_trace(counted: Counted) -> None:
    @counted
    def f(x):
        return x + 1

    plain, donating = jax.jit(f), jax.jit(f, donate_argnums=0)
    assert counts(lambda: plain(X)) == ({"f": 1}, {"f": 1})
    assert counts(lambda: donating(X + 0)) == ({}, {"f": 1})
    assert counts(lambda: jax.jit(f)(X)) == ({}, {})
    assert counted.traces == {"f": 1}


def test_eval_shape_traces_and_does_not_compile(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    assert counts(lambda: jax.eval_shape(f, X)) == ({"f": 1}, {})
    assert counts(lambda: f(X)) == ({}, {"f": 1})
    assert counted.traces == {"f": 1}


def test_failed_traces_count_each_time(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        raise ValueError("the user's own")

    def cell():
        for _ in range(2):
            with pytest.raises(ValueError, match="the user's own"):
                f(X)

    assert counts(cell) == ({"f": 2}, {})
    assert counted.traces == {"f": 2}


def test_control_flow_is_part_of_its_function(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return jax.lax.scan(lambda c, v: (c + v, jax.checkpoint(jnp.sin)(v)), 0.0, x)

    assert counts(lambda: f(X)) == ({"f": 1}, {"f": 1})


def test_pmap_goes_by_the_users_name(counted: Counted) -> None:
    @counted
    def f(x):
        return x + 1

    mapped = jax.pmap(f)
    assert counts(lambda: mapped(jnp.ones((2, 3)))) == ({"f": 1}, {"f": 1})
    assert counts(lambda: mapped(jnp.ones((2, 3)))) == ({}, {})
    assert counted.traces == {"f": 1}


def test_ahead_of_time(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    def cell():
        compiled = f.lower(X).compile()
        compiled(X)
        compiled(X)

    with jaxdbg.checked() as region:
        cell()
    report = region.report
    assert (report.traces, report.compiles) == ({"f": 1}, {"f": 1})
    assert report.calls_by_function == {"f": 2}
    assert counted.traces == {"f": 1}


def test_nnx_jit(counted: Counted) -> None:
    @nnx.jit
    @counted
    def predict(model, x):
        return model(x)

    models = [nnx.Linear(3, 2, rngs=nnx.Rngs(i)) for i in range(2)]

    def cell():
        for model in models:
            predict(model, jnp.ones((1, 3)))

    assert counts(cell) == ({"predict": 1}, {"predict": 1})
    assert counts(cell) == ({}, {})
    assert counted.traces == {"predict": 1}


def test_a_lambda_in_a_loop_is_one_function() -> None:
    def cell():
        for i in range(3):
            jax.jit(lambda x, i=i: x + i)(X)

    assert counts(cell) == ({"<lambda>": 3}, {"<lambda>": 3})


def test_committed_arguments_compile_and_do_not_trace(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    other = jax.device_put(X, jax.devices()[1])
    assert counts(lambda: (f(X), f(other))) == ({"f": 1}, {"f": 2})


def test_library_functions_and_eager_ops_are_one_row() -> None:
    with jaxdbg.checked() as region:
        jnp.linspace(0.0, 1.0, 23) * jnp.arange(23) + jnp.var(jnp.ones(23))
    report = region.report
    assert (report.traces, report.compiles, report.calls) == ({}, {}, 0)
    assert report.library_compiles > 0
    assert report.eager_ops > 0


def test_what_jax_itself_counts() -> None:
    """JAX's own counters of its tests see no more and no less."""

    @jax.jit
    def f(x):
        return jnp.sin(x) + 1

    with (
        jaxdbg.checked() as region,
        test_util.count_jit_compilation_cache_miss() as compiled,
    ):
        f(X)
        f(Y)
    assert compiled() == sum(region.report.compiles.values()) == 2


# -- budgets --------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, {"f": 1}, {"f": 1, "g": 0}])
def test_a_budget_of_traces_stops_the_trace(counted: Counted, budget: Any) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    with (
        pytest.raises(jaxdbg.TraceBudgetError) as caught,
        jaxdbg.checked(max_traces=budget) as region,
    ):
        f(X)
        f(X)
        f(Y)
    finding = caught.value.finding
    assert isinstance(caught.value, AssertionError)
    assert (finding.kind, finding.function, finding.call) == ("traces", "f", 3)
    assert counted.traces == {"f": 1}  # it stopped before the user's Python ran
    assert region.report.compiles == {"f": 1}
    assert region.report.findings == (finding,)
    assert f(Y)[0] == 2
    assert counted.traces == {"f": 2}


def test_a_budget_of_compilations_stops_the_compilation(counted: Counted) -> None:
    @jax.jit
    @counted
    def f(x):
        return x + 1

    with (
        pytest.raises(jaxdbg.TraceBudgetError) as caught,
        jaxdbg.checked(max_compiles=1) as region,
    ):
        f(X)
        f(Y)
    finding = caught.value.finding
    assert (finding.kind, finding.function) == ("compiles", "f")
    assert (region.report.traces, region.report.compiles) == ({"f": 2}, {"f": 1})
    assert f(Y)[0] == 2
    assert counted.traces == {"f": 2}


def test_a_budget_of_another_function_is_no_limit() -> None:
    f = jax.jit(lambda x: x + 1)
    with jaxdbg.checked(max_traces={"g": 0}, max_compiles={"g": 0}):
        f(X)
        f(Y)


@pytest.mark.parametrize("option", ["max_traces", "max_compiles"])
def test_libraries_have_no_budget(option: str) -> None:
    with jaxdbg.checked(**{option: 0}):
        (jnp.linspace(0.0, 1.0, 29) * jnp.arange(29)).block_until_ready()


@pytest.mark.parametrize("option", ["max_traces", "max_compiles"])
def test_recorded_the_program_goes_on(option: str) -> None:
    @jax.jit
    def f(x):
        return x + 1

    with jaxdbg.checked(**{option: 1}, record=True) as region:
        results = [f(jnp.ones(n)) for n in (3, 4, 5)]
    kinds = [finding.kind for finding in region.report.findings]
    assert kinds == [option.removeprefix("max_")] * 2
    assert [r.shape for r in results] == [(3,), (4,), (5,)]
    assert region.report.compiles == {"f": 3}


def test_the_same_cell_twice_is_within_the_budget() -> None:
    @jax.jit
    def f(x):
        return x + 1

    for _ in range(3):
        with jaxdbg.checked(max_traces=1, max_compiles=1):
            f(X)


def test_the_same_cell_twice_defines_its_function_anew() -> None:
    cell = """
@jax.jit
def f(x):
    return x + 1

f(X)
"""
    for _ in range(3):
        with jaxdbg.checked(max_traces=1) as region:
            exec(compile(cell, "<a cell>", "exec"), {"jax": jax, "X": X})
        assert region.report.traces == {"f": 1}


def test_a_last_partial_batch_is_found() -> None:
    @jax.jit
    def train_step(x):
        return x.mean()

    data = jnp.ones((10, 2))
    with (
        pytest.raises(jaxdbg.TraceBudgetError, match="train_step is being traced"),
        jaxdbg.checked(max_traces={"train_step": 1}),
    ):
        for i in range(0, 10, 4):
            train_step(data[i : i + 4])


def test_a_trace_that_a_budget_refuses_is_not_counted() -> None:
    @jax.jit
    def step(x):
        return x + 1

    with jaxdbg.checked() as outer:
        with (
            pytest.raises(jaxdbg.TraceBudgetError) as caught,
            jaxdbg.checked(max_traces=1) as inner,
        ):
            step(jnp.ones(3))
            step(jnp.ones(4))
        for region in (outer, inner):
            assert region.report.traces == region.report.compiles == {"step": 1}
        assert caught.value.report == inner.report
        step(jnp.ones(4))
    assert outer.report.traces == {"step": 2}
    assert [e.phase for e in inner.report.compilations if e.user].count("trace") == 1
    assert [e.phase for e in outer.report.compilations if e.user].count("trace") == 2
    with pytest.raises(jaxdbg.TraceBudgetError), jaxdbg.checked(max_traces=0) as none:
        jax.jit(lambda x: x)(jnp.ones(3))
    assert none.report.traces == {}
