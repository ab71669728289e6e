"""A user gets the same with each library of models: the table of docs/failures.md."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks.watch import watcher
from tests.programs.models import BATCHES, GOOD, HAIKU, PROGRAMS, Program


@pytest.fixture(scope="module", params=PROGRAMS, ids=str)
def program(request: pytest.FixtureRequest) -> Program:
    if request.param is HAIKU:
        pytest.importorskip("haiku")
    return request.param


@pytest.fixture(scope="module")
def failed(program: Program) -> tuple[jaxdbg.Finding, jaxdbg.Report]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher, "SHARE", 1e9)  # looks at each call
        with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked() as region:
            program.train(BATCHES)
    return caught.value.finding, region.report


Failed = tuple[jaxdbg.Finding, jaxdbg.Report]


def test_paths_are_as_typed(program: Program, failed: Failed) -> None:
    finding, _ = failed
    assert set(finding.paths) == program.paths
    assert finding.path in program.paths


def test_the_module_of_birth(program: Program, failed: Failed) -> None:
    finding, _ = failed
    assert finding.origin is not None
    assert finding.origin.module == program.module
    assert not any("module" in note for note in finding.origin.notes)


def test_the_trees_that_are_carried_have_histories(
    program: Program, failed: Failed
) -> None:
    _, report = failed
    histories = {history.name: history for history in report.histories}
    assert set(histories) == set(program.trees)
    for name, leaf in program.trees.items():
        history = histories[name]
        assert history.calls == (1, 2, 3)
        assert leaf in history.paths
        assert history.first_bad_call == 3
        magnitudes = [row[history.paths.index(leaf)] for row in history.largest]
        assert magnitudes[0] != magnitudes[1]


def test_the_row_of_the_batch(failed: Failed) -> None:
    finding, _ = failed
    assert finding.origin is not None
    assert [row for _, row in finding.origin.rows] == [2]


def test_why_it_is_compiled_again(program: Program) -> None:
    model = program.model()
    with jaxdbg.checked() as region:
        program.predict(model, GOOD)
        program.predict(model, GOOD[:3])
        program.predict(program.cast(model), GOOD[:3])
    events = [e for e in region.report.compilations if e.user and e.phase == "trace"]
    first, *again = [event.reason for event in events]
    assert [reason.where for reason in again if reason] == ["x", program.leaf]
    assert again[-1] is not None
    assert again[-1].cause == "dtype"
    assert first is None
    (name,) = region.report.traces
    assert (region.report.traces[name], region.report.compiles[name]) == (3, 3)


# -- budgets ---------------------------------------------------------------------------


def double(x: Any) -> Any:
    return x * 2


def ones(n: int) -> Any:
    return np.ones(n, np.float32)


def test_a_budget_is_enforced(program: Program) -> None:
    limited = jaxdbg.max_traces(program.jit(lambda x: x * 2), 1)
    assert limited(ones(2)).tolist() == limited(ones(2)).tolist() == [2, 2]
    with pytest.raises(jaxdbg.TraceBudgetError, match=r"x f32\[2\] → f32\[3\]"):
        limited(ones(3))
    assert limited(ones(2)).tolist() == [2, 2]


class Doubling(eqx.Module):
    factor: Any

    @jaxdbg.max_traces(1)
    @eqx.filter_jit
    def __call__(self, x: Any) -> Any:
        return self.factor * x


class Scaling(eqx.Module):
    factor: Any

    def __call__(self, x: Any) -> Any:
        return self.scaled(x)

    def scaled(self, x: Any) -> Any:
        return self.factor * x


class Twice:
    def __call__(self, x: Any) -> Any:
        return x * 2


def method() -> Callable[..., Any]:
    return Doubling(jnp.float32(2))


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


WRAPPERS: dict[str, Callable[[], Callable[..., Any]]] = {
    "partial of jit": lambda: jaxdbg.max_traces(
        functools.partial(jax.jit(lambda n, x: n * x), 2.0), 1
    ),
    "a decorator around jit": lambda: jaxdbg.max_traces(
        timed(jax.jit(lambda x: x * 2)), 1
    ),
    "a decorator around filter_jit": lambda: jaxdbg.max_traces(
        timed(eqx.filter_jit(lambda x: x * 2)), 1
    ),
    "filter_jit of filter_vmap": lambda: jaxdbg.max_traces(
        eqx.filter_jit(eqx.filter_vmap(lambda x: x * 2)), 1
    ),
    "filter_jit of filter_grad": lambda: jaxdbg.max_traces(
        eqx.filter_jit(eqx.filter_grad(lambda x: (x**2).sum())), 1
    ),
    "filter_jit with options": lambda: jaxdbg.max_traces(
        eqx.filter_jit(donate="all")(lambda x: x * 2), 1
    ),
    "partial of filter_jit": lambda: jaxdbg.max_traces(
        eqx.Partial(eqx.filter_jit(lambda n, x: n * x), 2.0), 1
    ),
    "partial of nnx.jit": lambda: jaxdbg.max_traces(
        functools.partial(nnx.jit(lambda n, x: n * x), 2.0), 1
    ),
    "method under filter_jit": method,
    "filter_jit of a method": lambda: jaxdbg.max_traces(
        eqx.filter_jit(Scaling(jnp.float32(2)).scaled), 1
    ),
    "filter_jit of a module": lambda: jaxdbg.max_traces(
        eqx.filter_jit(Scaling(jnp.float32(2))), 1
    ),
    "jit of an object": lambda: jaxdbg.max_traces(jax.jit(Twice()), 1),
    "value_and_grad of filter_jit": lambda: jaxdbg.max_traces(
        eqx.filter_grad(eqx.filter_jit(lambda x: (x**2).sum())), 1
    ),
    "filter_jit above": lambda: eqx.filter_jit(jaxdbg.max_traces(lambda x: x * 2, 1)),
    "filter_vmap above, in jit": lambda: jax.jit(
        jaxdbg.max_traces(eqx.filter_vmap(lambda x: x * 2), 1)
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_budget_is_enforced_through_wrappers(wrapper: str) -> None:
    limited = WRAPPERS[wrapper]()
    for _ in range(2):
        assert limited(ones(2)).tolist() == [2, 2]
    with pytest.raises(jaxdbg.TraceBudgetError, match="for the 2nd time"):
        limited(ones(3))


def test_a_budget_of_a_filter_jit_function_knows_ahead_of_time_traces() -> None:
    limited = jaxdbg.max_traces(eqx.filter_jit(lambda x: x * 2), 0)
    with pytest.raises(jaxdbg.TraceBudgetError):
        limited.lower(ones(2))


def test_a_budget_that_nothing_can_spend_is_refused() -> None:
    compiled = jax.jit(double).lower(ones(2)).compile()
    with pytest.raises(jaxdbg.UsageError, match="never traced"):
        jaxdbg.max_traces(compiled, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: eqx.filter_jit(eqx.nn.Linear(2, 2, key=jax.random.key(0))),
        lambda: eqx.filter_pmap(double),
        lambda: jax.jit(jax.nn.softmax),
    ],
    ids=["a layer of a library", "filter_pmap", "a function of JAX"],
)
def test_a_budget_that_cannot_be_enforced_is_refused(make: Any) -> None:
    with pytest.raises(jaxdbg.UsageError, match="cannot tell which traces"):
        jaxdbg.max_traces(make(), 1)


def test_functions_of_one_name_have_counts_of_their_own() -> None:
    def scaled(by: float) -> Any:
        def step(x: Any) -> Any:
            return x * by

        return eqx.filter_jit(step)

    def halved() -> Any:
        def step(x: Any) -> Any:
            return x / 2

        step.__qualname__ = scaled.__qualname__ + ".<locals>.step"
        return eqx.filter_jit(step)

    with jaxdbg.checked(max_traces=1) as region:
        assert scaled(2.0)(ones(2)).tolist() == [2, 2]
        assert halved()(ones(2)).tolist() == [0.5, 0.5]
    assert sum(region.report.traces.values()) == 2


# -- what is no model ------------------------------------------------------------------


def test_data_that_is_not_carried_is_not_watched() -> None:
    @jax.jit
    def score(params: Any, batch: Any) -> Any:
        return (batch["x"] @ params["w"]).sum()

    params = {"w": jnp.ones(3)}
    batches = [{"x": jnp.full((2, 3), float(n))} for n in range(4)]
    with jaxdbg.checked() as region:
        for batch in batches:
            score(params, batch)
    assert "batch" not in {history.name for history in region.report.histories}


def test_a_carried_array_alone_is_no_model() -> None:
    step = jax.jit(lambda x: x + 1)
    x = jnp.ones(3)
    with jaxdbg.checked() as region:
        for _ in range(3):
            x = step(x)
    assert region.report.histories == ()
