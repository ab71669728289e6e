"""Records and failures travel: between processes, into copies, from newer formats."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest

import jaxdbg
from jaxdbg import errors
from jaxdbg.records import Compilations, Report
from jaxdbg.records.read_only import ReadOnly

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "old pickle": lambda value: pickle.loads(pickle.dumps(value, 2)),
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
}


class Hot(ValueError):
    """A type that the user asks an assertion to raise."""

    def __init__(self, what: str, *more: Any):
        super().__init__(f"hot: {what}", *more)


def non_finite(watched: Any = None) -> None:
    step = jax.jit(lambda x: jnp.log(x))
    with jaxdbg.checked(max_traces=3):
        step(jnp.ones(2))
        step(-jnp.ones(2))


def check() -> None:
    @jax.jit
    def step(x: jax.Array) -> jax.Array:
        chex.assert_tree_all_finite(x)
        return x

    with jaxdbg.checked():
        step(jnp.ones(2) * jnp.nan)


def check_of_a_type() -> None:
    @jax.jit
    def step(x: jax.Array) -> jax.Array:
        chex.assert_tree_all_finite(x, exception_type=Hot)
        return x

    with jaxdbg.checked():
        step(jnp.ones(2) * jnp.nan)


def check_of_a_local_type() -> None:
    class Local(ValueError):
        pass

    @jax.jit
    def step(x: jax.Array) -> jax.Array:
        chex.assert_tree_all_finite(x, exception_type=Local)
        return x

    with jaxdbg.checked():
        step(jnp.ones(2) * jnp.nan)


def budget() -> None:
    with jaxdbg.checked(max_traces=0):
        jax.jit(lambda x: x + 1)(jnp.ones(2))


FAILURES = [non_finite, check, check_of_a_type, budget]


def failure_of(run: Callable[[], None]) -> errors.Failure:
    with pytest.raises(errors.Failure) as caught:
        run()
    return caught.value


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("run", FAILURES)
def test_a_failure_travels(run: Callable[[], None], way: Callable[[Any], Any]) -> None:
    failure = failure_of(run)
    failure.add_note("a note of the user's")
    again = way(failure)
    assert type(again).__mro__[1:] == type(failure).__mro__[1:]
    assert type(again).__name__ == type(failure).__name__
    assert str(again) == str(failure)
    assert again.finding == failure.finding
    assert again.report == failure.report
    assert again.__notes__ == failure.__notes__


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("run", FAILURES)
def test_a_report_and_its_findings_travel(
    run: Callable[[], None], way: Callable[[Any], Any]
) -> None:
    report = failure_of(run).report
    assert report is not None
    assert way(report) == report
    assert str(way(report)) == str(report)
    assert way(report.findings[0]) == report.findings[0]
    compilations = Compilations.from_report(report)
    assert way(compilations) == compilations


def test_a_type_that_cannot_travel_is_left_behind() -> None:
    """The failure is then a CheckError, and no PicklingError in its place."""
    again = WAYS["pickle"](failure_of(check_of_a_local_type))
    assert type(again) is jaxdbg.CheckError
    assert again.finding.kind == "check"


@pytest.mark.slow
@pytest.mark.parametrize("run", FAILURES)
def test_a_failure_arrives_from_a_worker_process(run: Callable[[], None]) -> None:
    spawn = multiprocessing.get_context("spawn")
    here = failure_of(run)
    with (
        ProcessPoolExecutor(1, mp_context=spawn) as pool,
        pytest.raises(errors.Failure) as caught,
    ):
        pool.submit(run).result(timeout=120)
    assert str(caught.value) == str(here)
    assert caught.value.report is not None
    assert caught.value.report.findings == (caught.value.finding,)


def test_a_mapping_of_a_record_is_read_only() -> None:
    counts = ReadOnly({"step": 2})
    assert counts == {"step": 2}
    assert counts == {"step": 2}
    assert repr(counts) == "{'step': 2}"
    with pytest.raises(TypeError):
        counts["step"] = 3  # type: ignore[index]
    with pytest.raises(AttributeError):
        counts.update(step=3)  # type: ignore[attr-defined]


def with_more(value: Any) -> Any:
    """JSON with a field at each depth that no jaxdbg of today knows."""
    if isinstance(value, list):
        return [with_more(one) for one in value]
    if not isinstance(value, dict):
        return value
    more = {key: with_more(one) for key, one in value.items()}
    # What is counted by name is no record, and has no fields.
    is_record = any(not isinstance(one, str | int) for one in value.values())
    return more | {"of_tomorrow": {"x": [1]}, "VIEW": "y"} if is_record else more


@pytest.mark.parametrize("run", FAILURES)
def test_fields_of_a_newer_jaxdbg_are_ignored(run: Callable[[], None]) -> None:
    report = failure_of(run).report
    assert report is not None
    newer = json.dumps(with_more(json.loads(report.to_json())))
    assert "of_tomorrow" in newer
    assert Report.from_json(newer) == report
    compilations = Compilations.from_report(report)
    newer = json.dumps(with_more(json.loads(compilations.to_json())))
    assert Compilations.from_json(newer) == compilations
