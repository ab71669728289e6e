"""After a region everything is as fast, and as it was, as if it had never been."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax._src import pjit, util

import jaxdbg
from tests import leaks
from tests.programs.hard_cases import Case, Program, each, each_that_fails, run


@contextlib.contextmanager
def python_passes() -> Iterator[list[str]]:
    """What JAX does in Python while this is open: traces, calls off the fast path."""
    seen: list[str] = []
    call, listener = pjit._pjit_call_impl_python, util.test_event_listener

    def calling(*args: Any, **params: Any) -> Any:
        seen.append(f"call of {params['name']}")
        return call(*args, **params)

    def listening(event: str, *args: Any) -> None:
        seen.append(event)
        if listener is not None:
            listener(event, *args)

    pjit._pjit_call_impl_python, util.test_event_listener = calling, listening
    try:
        yield seen
    finally:
        pjit._pjit_call_impl_python, util.test_event_listener = call, listener


def passes(program: Program, args: Any) -> list[str]:
    """What one call does in Python."""
    args = copy.deepcopy(args)
    with python_passes() as seen:
        program.call(*args)
    return sorted(seen)


@each
def test_dispatch_is_on_the_fast_path_again(case: Case) -> None:
    program = case.build()
    for _ in range(2):
        run(program, program.good)
    plain = passes(program, program.good)
    with jaxdbg.checked():
        run(program, program.good)
    assert passes(program, program.good) == plain


@each_that_fails
def test_after_a_failure_too(case: Case) -> None:
    program = case.build()
    for _ in range(2):
        run(program, program.good)
        run(program, program.bad)
    plain = passes(program, program.good), passes(program, program.bad)
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
        run(program, program.bad)
    assert (passes(program, program.good), passes(program, program.bad)) == plain


@each
def test_nothing_is_traced_again_in_a_region(case: Case) -> None:
    program = case.build()
    for _ in range(2):
        run(program, program.good)
    traces = passes(program, program.good).count("trace_to_jaxpr")
    with jaxdbg.checked() as region, python_passes() as seen:
        run(program, program.good)
    assert seen.count("trace_to_jaxpr") <= traces
    assert sum(region.report.traces.values()) <= traces


def test_a_cached_call_stays_in_the_cache() -> None:
    traces: list[Any] = []

    @jax.jit
    def f(x):
        traces.append(x)
        return x + 1

    x = jnp.ones(3)
    f(x)
    for _ in range(3):
        with jaxdbg.checked():
            f(x)
        f(x)
    # One entry is the plain program's, and one says that regions take the slow path.
    assert (f._cache_size(), len(traces)) == (2, 1)


def test_what_is_first_called_in_a_region_is_cached_as_ever() -> None:
    traces: list[Any] = []

    @jax.jit
    def f(x):
        traces.append(x)
        return x + 1

    with jaxdbg.checked() as region:
        f(jnp.ones(3))
    f(jnp.ones(3))
    f(jnp.ones(3))
    program = Program(f, (jnp.ones(3),))
    assert passes(program, program.good) == []
    assert len(traces) == region.report.traces["f"] == 1


def test_a_cached_call_costs_what_it_did() -> None:
    """Measured and shown (`pytest -s`), not asserted: machines are noisy."""

    @jax.jit
    def f(x):
        return x + 1

    x = jnp.ones(3)

    def microseconds() -> float:
        best = min(_seconds(lambda: [f(x) for _ in range(200)]) for _ in range(20))
        return best / 200 * 1e6

    f(x)
    before = microseconds()
    with jaxdbg.checked():
        f(x)
        inside = microseconds()
    after = microseconds()
    print(
        f"\na cached call: {before:.2f} us before, {inside:.1f} us in a region, "
        f"{after:.2f} us after, ratio {after / before:.2f}"
    )


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _interrupted() -> None:
    raise KeyboardInterrupt


def _wrong() -> None:
    raise ZeroDivisionError("the user's own")


def _exits() -> None:
    raise SystemExit(3)


def _stops() -> None:
    raise GeneratorExit


@pytest.mark.parametrize("how", [_interrupted, _wrong, _exits, _stops])
@pytest.mark.parametrize("async_", [False, True])
def test_an_exception_in_the_cell_is_the_users(
    how: Callable[[], None], async_: bool
) -> None:
    f = jax.jit(lambda x: x + 1)
    f(jnp.ones(3))
    with pytest.raises(BaseException) as caught, jaxdbg.checked(async_=async_) as r:
        f(jnp.ones(3))
        how()
    assert type(caught.value) in (
        KeyboardInterrupt,
        ZeroDivisionError,
        SystemExit,
        GeneratorExit,
    )
    assert not isinstance(caught.value, jaxdbg.NonFiniteError)
    assert caught.traceback[-1].name == how.__name__
    assert r.report.calls == 1


@pytest.mark.parametrize("how", [_interrupted, _wrong])
def test_an_exception_while_a_function_is_traced(how: Callable[[], None]) -> None:
    broken = [True]

    @jax.jit
    def f(x):
        if broken:
            how()
        return x + 1

    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)), jaxdbg.checked() as r:
        f(jnp.ones(3))
    assert (r.report.traces, r.report.compiles) == ({"f": 1}, {})
    broken.clear()
    assert f(jnp.ones(3))[0] == 2


def test_an_exception_while_a_function_runs() -> None:
    @jax.jit
    def f(x):
        return jax.pure_callback(_raise_on_host, jax.typeof(x), x)

    with pytest.raises(Exception, match="the user's own"), jaxdbg.checked() as region:
        jax.block_until_ready(f(jnp.ones(3)))
    assert region.report.findings == ()


def _raise_on_host(x: Any) -> Any:
    raise ZeroDivisionError("the user's own")


def test_a_failure_that_the_user_catches_is_caught() -> None:
    f = jax.jit(jnp.log)
    with jaxdbg.checked() as region:
        with pytest.raises(jaxdbg.NonFiniteError):
            f(-jnp.ones(3))
        assert f(jnp.ones(3)).sum() == 0
    assert len(region.report.findings) == 1


def test_what_a_function_prints_as_it_is_traced_is_shown_once(capsys: Any) -> None:
    @nnx.jit
    def step(model: nnx.Linear, x: jax.Array) -> jax.Array:
        traced.append(x)
        print("traced")
        return jnp.log(model(x))

    traced: list[Any] = []
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
        step(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), -jnp.ones((1, 2)) * jnp.ones(2))
    assert len(traced) == 3  # the second is to name the module, the third for frames
    assert capsys.readouterr().out == "traced\n"


def test_the_fixture_sees_an_open_region() -> None:
    before = leaks.snapshot()
    with jaxdbg.checked():
        left = leaks.left_behind(before, leaks.snapshot())
    assert {"open regions", "jit's call implementation", "region state"} <= set(left)
    assert {"the trace listener", "chex storage", "Compiled.__call__"} <= set(left)


def test_the_fixture_sees_a_thread() -> None:
    before = leaks.snapshot()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    left = leaks.left_behind(before, leaks.snapshot())
    done.set()
    thread.join()
    assert left == ["threads"]


def test_a_warm_call_outside_never_meets_jaxdbg(monkeypatch: Any) -> None:
    """Even a region open in the past leaves no code of ours on the path of a call."""

    @functools.partial(jax.jit, donate_argnums=0)
    def f(x):
        return x * 2

    with jaxdbg.checked():
        f(jnp.ones(3))
    monkeypatch.setattr("jaxdbg.checks.hub.Hub.jitted", _wrong)
    assert f(jnp.ones(3))[0] == 2
