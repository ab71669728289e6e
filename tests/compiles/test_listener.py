"""Traces and compilations in the report are those that happened, and so are budgets."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax._src import test_util

import jaxdbg
from jaxdbg.compiles import recorder
from jaxdbg.jax_internals.functions import Function

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
    assert (finding.kind, finding.function, finding.call) == ("compiles", "f", 2)
    assert (region.report.traces, region.report.compiles) == ({"f": 2}, {"f": 1})
    assert f(Y)[0] == 2
    assert counted.traces == {"f": 2}


def test_a_budget_of_another_function_is_no_limit_and_said_to_be() -> None:
    @jax.jit
    def evaluate(x):
        return x + 1

    budgets = {"max_traces": {"evalute": 0}, "max_compiles": {"other_name": 0}}
    with jaxdbg.checked(**budgets) as region:
        evaluate(X)
        evaluate(Y)
    assert region.report.notices == (
        "max_traces names evalute, and no function of that name was traced or "
        "compiled, nor called outside of jit. Did you mean 'evaluate'?",
        "max_compiles names other_name, and no function of that name was traced or "
        "compiled, nor called outside of jit.",
    )
    assert region.report.ok


def test_budgets_of_functions_that_are_known_or_to_come_are_not_spoken_of() -> None:
    @jax.jit
    def evaluate(x):
        return x + 1

    budget = {"evaluate": 1}
    for run in (lambda: X + 1, lambda: evaluate(X), lambda: evaluate(X), scan_of_body):
        with jaxdbg.checked(max_traces=budget, max_compile_seconds=budget) as region:
            run()
        assert region.report.notices == ()


def scan_of_body() -> None:
    jax.lax.scan(lambda c, x: (c + x, c), jnp.float32(0), X)


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


# -- control flow outside of jit ------------------------------------------------------


def scans_of_new_lambdas(n: int) -> None:
    for k in range(n):
        jax.lax.scan(lambda c, x: (c + x * k, c), jnp.float32(0), X)  # noqa: B023


@pytest.mark.parametrize(
    ("option", "budget"),
    [
        ("max_traces", 1),
        ("max_traces", {"<lambda>": 1}),
        ("max_compiles", 1),
        ("max_compiles", {"scan": 1}),
        ("max_compiles", {"scan of <lambda>": 1}),
    ],
)
def test_control_flow_outside_of_jit_has_budgets(option: str, budget: Any) -> None:
    is_traced = option == "max_traces"
    with (
        pytest.raises(jaxdbg.TraceBudgetError) as caught,
        jaxdbg.checked(**{option: budget}) as region,
    ):
        scans_of_new_lambdas(3)
    name = "<lambda>" if is_traced else "scan of <lambda>"
    place = "the function" if is_traced else "the body of scan"
    done = "traced" if is_traced else "compiled"
    assert str(caught.value).splitlines() == [
        f"{name} is being {done} for the 2nd time in this region; {option} allows 1.",
        "  since the earlier time that is most like it, each made with another k:",
        f"    {place}: a lambda → another lambda of the same code",
        "  next: define it once, with what changes among its operands, or jit what is",
        "    around it, and call that",
    ]
    assert caught.value.finding.function == name
    assert region.report.traces == {"<lambda>": 1 if is_traced else 2}
    assert region.report.compiles == {"scan": 1}


def test_control_flow_outside_of_jit_within_its_budget() -> None:
    def body(c, x):
        return c + x, c

    with jaxdbg.checked(max_traces=1, max_compiles=1):
        for _ in range(3):
            jax.lax.scan(body, jnp.float32(0), X)


# -- budgets of seconds ---------------------------------------------------------------


def timeless(text: str) -> str:
    text = re.sub(r"[\d.]+ m?s\b", "T", text)
    return re.sub(r"test_listener\.py:\d+", "FILE", text)


def test_a_budget_of_seconds_stops_before_the_next_phase() -> None:
    @jax.jit
    def step(x):
        time.sleep(0.2)
        return x + 1

    with (
        pytest.raises(jaxdbg.TraceBudgetError) as caught,
        jaxdbg.checked(max_compile_seconds=0.2) as region,
    ):
        step(X)
    assert timeless(str(caught.value)) == (
        "compiling has taken T in this region; max_compile_seconds allows 0.2.\n"
        "  most of it: step, traced once, T\n"
        "  none of it was compiled again"
    )
    finding = caught.value.finding
    assert (finding.kind, finding.function, finding.call) == (
        "compile_seconds",
        "step",
        1,
    )
    assert region.report.findings == (finding,)
    assert (region.report.traces, region.report.compiles) == ({"step": 1}, {})
    assert step(X)[0] == 2


@pytest.mark.parametrize("budget", [100, {"step": 100}])
def test_a_budget_of_seconds_says_why_it_is_spent(budget: Any) -> None:
    recorder.forget()  # what an earlier run of this test has compiled

    @jax.jit
    def step(x):
        return x + 1

    with (
        pytest.raises(jaxdbg.TraceBudgetError) as caught,
        jaxdbg.checked(max_compile_seconds=budget) as region,
    ):
        for n in (3, 5, 7):
            step(np.ones(n, np.float32))
        region._session._seconds[Function("step", "")] += 100
        step(np.ones(9, np.float32))
    whose = " step" if isinstance(budget, dict) else ""
    assert timeless(str(caught.value)) == (
        f"compiling{whose} has taken T in this region; max_compile_seconds allows 100."
        "\n"
        "  most of it: step, compiled 3 times, T\n"
        "  step traced 2 more times: x f32[5] → f32[7] the last time · T in all · "
        "FILE\n"
        "  next: pad it to few sizes: each shape is a program of its own"
    )


def test_a_budget_of_seconds_stops_after_a_compilation() -> None:
    """A long compilation is stopped as it ends, and not by the next thing that runs."""
    f = jax.jit(lambda x: x + 1)
    with (
        pytest.raises(jaxdbg.TraceBudgetError, match="compiled once"),
        jaxdbg.checked(max_compile_seconds={"<lambda>": 0.3}) as region,
    ):
        lowered = f.lower(X)
        session = region._session
        left = 0.3 - session.compiling("<lambda>") - 1e-6
        session._seconds[Function("<lambda>", "")] += left
        lowered.compile()
    assert f(X)[0] == 2


def test_a_budget_of_seconds_that_is_spent_is_recorded_once() -> None:
    with jaxdbg.checked(max_compile_seconds=0, record=True) as region:
        for n in (3, 4, 5):
            jax.jit(lambda x: x + 1)(np.ones(n, np.float32))
    assert [f.kind for f in region.report.findings] == ["compile_seconds"]


def test_a_budget_of_seconds_that_is_kept() -> None:
    with jaxdbg.checked(max_compile_seconds={"g": 0}):
        jax.jit(lambda x: x + 1)(X)
    with jaxdbg.checked(max_compile_seconds=100.0):
        jax.jit(lambda x: x + 2)(X)
