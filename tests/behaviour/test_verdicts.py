"""A verdict cannot be lost, whichever part of jaxdbg breaks.

Each function of jaxdbg that a failing call runs is broken in turn. What runs once the
results are known to be bad can cost a line and a name, and not the failure. What runs
before can cost the check, and then the report says that the call was not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.errors import Failure
from tests.programs import faults

EACH = 97
"""Of how many functions one is broken: `JAXDBG_FAULTS=all`, of all, takes an hour."""

DIAGNOSIS = (
    "origins/",
    "trees/",
    "views/",
    "frameworks/",
    "checks/afterwards/",
    "checks/diagnosis.py",
    "checks/failure_messages.py",
    "checks/assertion_texts.py",
    "checks/known_masks.py",
)
"""What runs once a verdict is known, and all of which can break."""

JUDGES = (
    "checks/judge.py:Judge._of_outputs",
    "checks/judge.py:Judge._of_opaque",
    "checks/diagnosis.py:of_check",
)
"""When one of these runs, results are known to be bad, or a check to have failed."""


def _log(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return jnp.log(model(x)).sum()


def nan_in_a_model() -> None:
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    step = nnx.jit(nnx.value_and_grad(_log))
    with jaxdbg.checked():
        step(model, jnp.ones((3, 2)))
        step(model, -jnp.ones((3, 2)))


def nan_in_jit() -> None:
    with jaxdbg.checked():
        jax.jit(lambda x: jnp.log(x) * 2)(np.array([1.0, -1.0], np.float32))


def nan_in_eager_code() -> None:
    with jaxdbg.checked():
        jnp.log(np.float32(-1))


def nan_under_async() -> None:
    with jaxdbg.checked(async_=True):
        jax.jit(lambda x: jnp.log(x) * 2)(np.array([1.0, -1.0], np.float32))


def nan_ahead_of_time() -> None:
    bad = np.array([1.0, -1.0], np.float32)
    compiled = jax.jit(lambda x: jnp.log(x)).lower(bad).compile()
    with jaxdbg.checked():
        compiled(bad)


def chex_assertion() -> None:
    @jax.jit
    def step(x: jax.Array) -> jax.Array:
        chex.assert_tree_all_finite(x)
        return x

    with jaxdbg.checked():
        step(np.array([1.0, np.nan], np.float32))


PROGRAMS: list[Callable[[], None]] = [
    nan_in_a_model,
    nan_in_jit,
    nan_in_eager_code,
    nan_under_async,
    nan_ahead_of_time,
    chex_assertion,
]


def outcome(program: Callable[[], None]) -> BaseException | None:
    try:
        program()
    except BaseException as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("error", [faults.Bug, MemoryError, RecursionError])
def test_a_failure_is_raised_whatever_of_its_diagnosis_breaks(
    program: Callable[[], None], error: type[Exception]
) -> None:
    outcome(program)  # what is remembered from call to call is there
    called = faults.called_by(lambda: outcome(program))
    names = list(called)
    known = min(names.index(judge) for judge in JUDGES if judge in called)
    parts = [called[n] for n in names[known + 1 :] if n.startswith(DIAGNOSIS)]
    lost: dict[str, Any] = {}
    for code in chosen(parts, error):
        with faults.broken(code, error):
            raised = outcome(program)
        if not isinstance(raised, Failure) or raised.report is None:
            lost[faults.name_of(code)] = repr(raised)
    assert parts
    assert not lost, lost


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_call_that_is_not_checked_is_not_green(program: Callable[[], None]) -> None:
    outcome(program)
    called = faults.called_by(lambda: outcome(program))
    parts = [c for n, c in called.items() if n.startswith(CHECKS)]
    green: dict[str, Any] = {}
    for code in chosen(parts, faults.Bug):
        if faults.name_of(code) in CANNOT_BREAK:
            continue
        with faults.broken(code):
            raised = outcome(program)
        report = jaxdbg.last_report()
        if not isinstance(raised, Failure) and (report is None or report.ok):
            green[faults.name_of(code)] = raised
    assert not green, green


CHECKS = ("checks/judge", "checks/checker", "checks/plan", "checks/calls/", "trees/")
"""What checks a call; what opens and closes a region is no part of it."""

CANNOT_BREAK = frozenset({"checks/session.py:Session.unchecked"})
"""A line or two, without which nothing can be said at all."""


def chosen(parts: list[CodeType], error: type[Exception]) -> list[CodeType]:
    """Some of the functions, other ones for each error."""
    first = [faults.Bug, MemoryError, RecursionError].index(error)
    by_name = {faults.name_of(code): code for code in parts}
    return [by_name[name] for name in faults.sample(list(by_name), EACH, first)]
