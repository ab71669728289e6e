"""Whatever function of jaxdbg breaks, the program runs on, and is never ✓ for it.

The region has a good call, a bad one and one whose assertion fails. A function that
raises each time it is called may cost the check, which the report then says; it may not
cost the program a result, and nothing of ours is left.
"""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.checks.hub import hub
from tests import leaks
from tests.programs import faults

EACH = 120
"""Of how many functions one is broken: `JAXDBG_FAULTS=all` takes half an hour."""

EXEMPT = {
    # The user or Python calls it, so that what it raises as it starts meets no line of
    # ours. What it calls is broken in turn.
    "checks/region.py:Region.__enter__",
    "checks/region.py:Region.__exit__",
    "checks/region.py:Region.__del__",
    "checks/region.py:Region.report",
    # JAX or chex calls it: the same.
    "jax_internals/interpose.py:_jit.<locals>.call_impl",
    "jax_internals/stand_ins.py:in_use.<locals>.infer_params",
    "jax_internals/stand_ins.py:_stand_in.<locals>.stand_in",
    "jax_internals/chex/assertions.py:_LiveStorage.level",
    "jax_internals/no_tracing.py:_NoTracing.value",
    "jax_internals/events.py:hear_traces.<locals>.hook",
    "compiles/listener.py:Listener._safely.<locals>.safe",
    "compiles/listener.py:Listener._wrapped.<locals>.trace_for_jit",
    # Without these there is no running of the plain call: its arguments, and the count
    # by which JAX goes its own way.
    "jax_internals/interpose.py:Invocation.__init__",
    "jax_internals/interpose.py:_Running.__init__",
    "jax_internals/interpose.py:_Running.__enter__",
    "jax_internals/interpose.py:_Running.__exit__",
    # The report that would say so is made of it.
    "records/read_only.py:ReadOnly.__init__",
    # They take away what is installed, and nothing else does. The program runs on.
    "compiles/recorder.py:Recorder.unwant",
    "compiles/listener.py:Listener.stop",
    "jax_internals/events.py:hear_traces.<locals>.stop",
    "jax_internals/interrupts.py:HeldBack.__exit__",
}
"""Functions that no other part can stand in for, and why."""

NOT_ALWAYS_CALLED = {
    "checks/region.py:Region.__del__",  # when Python likes
    "jax_internals/stand_ins.py:in_use.<locals>.infer_params",  # not by JAX 0.9
    "jax_internals/stand_ins.py:_stand_in.<locals>.stand_in",
}

GOOD = np.ones(3, np.float32)
BAD = np.array([1, -1, 2], np.float32)
NAN = np.array([1, np.nan, 2], np.float32)


@jax.jit
def double(x):
    return x * 2


@jax.jit
def log(x):
    return jnp.log(x)


@jax.jit
def asserts(x):
    chex.assert_tree_all_finite(x)
    return x + 1


def new_region() -> jaxdbg.Region:
    """A region that is made before a function breaks: to make one may raise."""
    return jaxdbg.checked(record=True)


def program(region: jaxdbg.Region) -> tuple[list[Any], jaxdbg.Report]:
    """The results, with None for what raises in the plain program; and the report."""
    results = []
    with region:
        results += [double(GOOD), log(BAD)]
        try:
            results.append(asserts(NAN))
        except (RuntimeError, ValueError):
            results.append(None)
    return [r if r is None else np.asarray(r) for r in results], region.report


def faults_in(name: str, results: list[Any], report: jaxdbg.Report) -> list[str]:
    """What is wrong after a run in which a function was broken."""
    said = []
    plain = [GOOD * 2, np.asarray(log(BAD)), NAN + 1]
    for result, wanted in zip(results, plain, strict=True):
        if result is not None and not np.array_equal(result, wanted, equal_nan=True):
            said.append(f"{name}: {result} and not {wanted}")
    if report.ok:
        said.append(f"{name}: {report}")
    kinds = sorted(f.kind for f in report.findings)
    if not report.unchecked and kinds != ["check", "nan"]:
        said.append(f"{name}: lost, of {kinds}: {report}")
    if results[2] is None and not report.unchecked:
        said.append(f"{name}: a call raises: {report}")
    return said


def function_of(name: str) -> str:
    """The function that a comprehension is in."""
    return name.partition(".<locals>.<")[0]


@pytest.mark.slow
def test_the_program_runs_on_whatever_breaks() -> None:
    program(new_region())
    called = faults.called_by(functools.partial(program, new_region()))
    names = [name for name in called if function_of(name) not in EXEMPT]
    assert EXEMPT - called.keys() <= NOT_ALWAYS_CALLED
    wrong: list[str] = []
    before = leaks.snapshot()
    for name in faults.sample(names, EACH):
        region = new_region()
        try:
            with faults.broken(called[name]):
                results, report = program(region)
            wrong += faults_in(name, results, report)
        except BaseException as error:
            wrong.append(f"{name}: the user sees {error!r}")
        double(GOOD)  # where the end of a region broke, the next call removes its hooks
        left = leaks.left_behind(before, leaks.snapshot())
        wrong += [f"{name}: left {what}" for what in left]
        while hub.regions():
            hub.close(hub.regions()[0])
        jax.clear_caches()
    assert not wrong, "\n".join(wrong)
