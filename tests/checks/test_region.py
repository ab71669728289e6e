"""Regions: how they nest, what they can be written as, and what their options do."""

from __future__ import annotations

import asyncio
import functools
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg

GOOD, BAD = jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, -2.0, 3.0])


@jax.jit
def log(x):
    """Bad at index 1 of BAD."""
    return jnp.log(x)


@functools.partial(jax.jit, donate_argnums=0)
def update(state, x):
    """A step whose state is donated."""
    return state + jnp.log(x)


def functions(region: jaxdbg.Region) -> list[tuple[str, int]]:
    """Function and call of each finding."""
    return [(f.function, f.call) for f in region.report.findings]


# -- nested, reused, shared -----------------------------------------------------------


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError) as refused:
        jaxdbg.checked(max_trace=1)  # type: ignore[call-arg]
    assert str(refused.value).startswith(
        "checked() has no option 'max_trace'. Did you mean 'max_traces'? Expected max_"
    )


def test_an_inner_region_ends_and_the_outer_goes_on() -> None:
    with jaxdbg.checked(record=True) as outer:
        log(BAD)
        with jaxdbg.checked(record=True) as inner:
            log(GOOD)
            log(BAD)
        log(BAD)
    assert functions(inner) == [("log", 2)]
    assert inner.report.calls_by_function == {"log": 2}
    assert functions(outer) == [("log", 1), ("log", 4)]
    assert outer.report.calls_by_function == {"log": 4}


def test_the_inner_options_hold_inside() -> None:
    with jaxdbg.checked() as outer:
        with jaxdbg.checked(record=True):
            log(BAD)
        with pytest.raises(jaxdbg.NonFiniteError):
            log(BAD)
    assert functions(outer) == [("log", 2)]


def test_a_failure_leaves_both_regions() -> None:
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked() as outer,
        jaxdbg.checked() as inner,
    ):
        log(BAD)
    assert functions(inner) == [("log", 1)]
    assert outer.report.calls == 1
    assert caught.value.report is inner.report  # where its finding is
    assert functions(outer) == [("log", 1)]


def test_regions_close_in_another_order() -> None:
    first, second = jaxdbg.checked(record=True), jaxdbg.checked(record=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    log(BAD)
    second.__exit__(None, None, None)
    assert (functions(first), functions(second)) == ([], [("log", 1)])


def test_a_region_closes_in_another_thread() -> None:
    region = jaxdbg.checked(record=True)
    region.__enter__()
    log(BAD)
    thread = threading.Thread(target=region.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert functions(region) == [("log", 1)]


def test_a_region_is_used_again() -> None:
    region = jaxdbg.checked(record=True)
    with region:
        log(BAD)
    with region:
        log(GOOD)
    assert functions(region) == []
    assert region.report.calls == 1


def test_an_open_region_is_not_opened_again() -> None:
    region = jaxdbg.checked()
    with region, pytest.raises(RuntimeError, match="already open"):
        region.__enter__()


def test_the_last_report() -> None:
    with jaxdbg.checked() as region:
        log(GOOD)
        assert region.report.calls == 1
    assert jaxdbg.last_report() is region.report
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        log(BAD)
    assert jaxdbg.last_report() is caught.value.report


# -- threads --------------------------------------------------------------------------


def test_a_failure_in_a_thread_nobody_waits_for() -> None:
    def work() -> None:
        with pytest.raises(jaxdbg.NonFiniteError):
            log(BAD)

    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked() as region:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert functions(region) == [("log", 1)]


def test_counts_are_exact_with_many_threads() -> None:
    with jaxdbg.checked(record=True) as region, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: log(BAD if i % 10 == 0 else GOOD), range(200)))
    assert region.report.calls == 200
    assert len(region.report.findings) == 20
    assert len({f.call for f in region.report.findings}) == 20


# -- as a decorator -------------------------------------------------------------------


def test_a_decorated_function() -> None:
    @jaxdbg.checked()
    def train(x):
        """What it does."""
        return log(x)

    assert (train.__name__, train.__doc__) == ("train", "What it does.")
    assert train(GOOD)[0] == 0
    with pytest.raises(jaxdbg.NonFiniteError):
        train(BAD)
    assert train(GOOD)[0] == 0


def test_a_decorated_function_calls_itself() -> None:
    @jaxdbg.checked()
    def countdown(n):
        log(GOOD)
        return countdown(n - 1) if n else jaxdbg.last_report()

    countdown(3)
    report = jaxdbg.last_report()
    assert report is not None
    assert report.calls == 4


def test_a_decorated_coroutine() -> None:
    @jaxdbg.checked()
    async def train(x):
        await asyncio.sleep(0)
        return log(x)

    assert asyncio.run(train(GOOD))[0] == 0
    with pytest.raises(jaxdbg.NonFiniteError):
        asyncio.run(train(BAD))


def test_a_decorated_generator_is_checked_while_it_runs() -> None:
    @jaxdbg.checked()
    def batches(*values):
        for x in values:
            got = yield log(x)
            assert got is None
        return "done"

    steps = batches(GOOD, BAD)
    next(steps)
    with pytest.raises(jaxdbg.NonFiniteError):
        next(steps)
    assert [x.shape for x in batches(GOOD, GOOD)] == [(3,), (3,)]


def test_a_decorated_generator_is_one_to_its_callers() -> None:
    closed: list[str] = []

    @jaxdbg.checked()
    def echo():
        """What it does."""
        try:
            received = yield "first"
            while True:
                try:
                    received = yield received
                except ValueError:
                    received = "thrown"
        finally:
            closed.append("closed")

    steps = echo()
    assert (next(steps), steps.send("sent")) == ("first", "sent")
    assert steps.throw(ValueError()) == "thrown"
    steps.close()
    assert closed == ["closed"]


def test_a_generator_leaves_nothing_open_between_its_steps() -> None:
    @jaxdbg.checked()
    def batches():
        yield log(GOOD)
        yield log(GOOD)

    steps = batches()
    next(steps)
    assert np.isnan(log(BAD)[1])  # not in the region: it belongs to the caller
    steps.close()


def test_a_decorated_async_generator() -> None:
    @jaxdbg.checked()
    async def batches(*values) -> AsyncIterator[jax.Array]:
        for x in values:
            await asyncio.sleep(0)
            yield log(x)

    async def collect(*values):
        return [x async for x in batches(*values)]

    assert len(asyncio.run(collect(GOOD, GOOD))) == 2
    with pytest.raises(jaxdbg.NonFiniteError):
        asyncio.run(collect(GOOD, BAD))


def test_a_generator_that_is_used_in_a_region() -> None:
    def batches() -> Iterator[Any]:
        yield log(GOOD)
        yield log(BAD)

    steps = batches()
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked() as region:
        next(steps)
        next(steps)
    assert functions(region) == [("log", 2)]


# -- async_ ---------------------------------------------------------------------------


def test_async_raises_at_the_end_all_failures_together() -> None:
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(async_=True, record=False) as region,
    ):
        jaxdbg.block_until_checked()
        with _held_back():
            log(BAD)
            log(GOOD)
            log(-GOOD)
    assert functions(region) == [("log", 1), ("log", 3)]
    assert caught.value.finding.call == 1
    assert "log (call 3" in "".join([str(caught.value), *caught.value.__notes__])


def test_async_tells_what_only_follows_from_another_failure_as_that() -> None:
    total = jax.jit(lambda y: y.sum())
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(async_=True) as region,
        _held_back(),
    ):
        logs = log(BAD)
        total(logs)
        log(-GOOD)
    assert functions(region) == [("log", 1), ("<lambda>", 1), ("log", 2)]
    follows, own = caught.value.__notes__
    assert follows == (
        "and NaN in <lambda>(...), from <lambda> (call 1 in this region)\n"
        "  it only follows: came in through logs[1], from log (call 1)"
    )
    assert "NaN was born in `jnp.log`" in own


class _held_back:
    """Nothing is ready while this is open, as on a busy device."""

    def __enter__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("jaxdbg.checks.checker._ready", lambda checked: False)

    def __exit__(self, *exc: object) -> None:
        self._patch.undo()


def test_async_raises_at_the_barrier() -> None:
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked(async_=True):
        with _held_back():
            log(BAD)
        with pytest.raises(jaxdbg.NonFiniteError):
            jaxdbg.block_until_checked()
        jaxdbg.block_until_checked()
        log(BAD)
        jaxdbg.block_until_checked()


def test_async_raises_at_a_later_call() -> None:
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(async_=True) as region,
    ):
        with _held_back():
            jax.block_until_ready(log(BAD))
        for _ in range(100):
            log(GOOD)
    assert caught.value.finding.call == 1
    assert region.report.calls < 100


def test_async_leaves_few_calls_unchecked() -> None:
    with (
        pytest.raises(jaxdbg.NonFiniteError),
        jaxdbg.checked(async_=True) as region,
        _held_back(),
    ):
        log(BAD)
        for _ in range(1000):
            log(GOOD)
    assert region.report.calls < 50


def test_async_with_donated_arguments() -> None:
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(async_=True),
    ):
        state = jnp.zeros(3)
        with _held_back():
            for x in (GOOD, BAD, GOOD):
                state = update(state, x)
    finding = caught.value.finding
    assert (finding.function, finding.call, finding.index) == ("update", 2, (1,))
    assert "log" in finding.message  # born there, though the state is gone


def test_async_raises_before_a_call_takes_what_it_is_donated() -> None:
    state = jnp.zeros(3)
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(async_=True),
    ):
        for x in (BAD, GOOD, GOOD):
            state = update(state, x)
    assert caught.value.finding.call == 1
    assert not state.is_deleted()


# -- record, keep_donation ------------------------------------------------------------


def test_recorded_the_results_are_the_plain_programs() -> None:
    plain = log(BAD)
    with jaxdbg.checked(record=True) as region:
        recorded = log(BAD)
    np.testing.assert_array_equal(plain, recorded)
    assert functions(region) == [("log", 1)]


def test_a_donated_argument_is_gone_after_a_good_call() -> None:
    state = jnp.zeros(3)
    with jaxdbg.checked():
        update(state, GOOD)
    assert state.is_deleted()


def test_recorded_a_donated_argument_is_gone() -> None:
    state = jnp.zeros(3)
    with jaxdbg.checked(record=True):
        update(state, BAD)
    assert state.is_deleted()


def test_keep_donation_keeps_no_copy() -> None:
    state = jnp.zeros(3)
    pointer = state.unsafe_buffer_pointer()
    with jaxdbg.checked(keep_donation=True) as region:
        state = update(state, GOOD)
        assert state.unsafe_buffer_pointer() == pointer
    assert region.report.notices == ()


def test_keep_donation_takes_missing_data_for_what_it_is() -> None:
    add = jax.jit(lambda s, x: s + x, donate_argnums=0)
    compiled = add.lower(GOOD, GOOD).compile()
    for call in (add, compiled):
        with jaxdbg.checked(keep_donation=True) as region:
            call(jnp.full(3, jnp.nan), GOOD)
        assert (functions(region), region.report.notices) == ([], ())


def test_keep_donation_still_finds_what_is_bad() -> None:
    state = jnp.zeros(3)
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(keep_donation=True) as region,
    ):
        update(state, BAD)
    assert caught.value.finding.index == (1,)
    assert region.report.notices == ()


# -- every_op -------------------------------------------------------------------------


@jax.jit
def discards(x):
    """A NaN that no result shows."""
    return jnp.where(x > 0, jnp.log(x), 0.0)


def test_every_op_finds_what_where_discards() -> None:
    with jaxdbg.checked():
        discards(BAD)
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(every_op=True),
    ):
        discards(GOOD)
        discards(BAD)
    finding = caught.value.finding
    assert (finding.kind, finding.function, finding.call) == ("nan", "discards", 2)
    assert "test_region.py" in finding.location


@pytest.mark.parametrize("where", ["scan", "while", "cond", "jit", "grad"])
def test_every_op_looks_into(where: str) -> None:
    def inside(x):
        if where == "scan":
            return jax.lax.scan(lambda c, v: (c, discards(v)), 0, x)[1]
        if where == "while":
            return jax.lax.while_loop(
                lambda s: s[0] < 3, lambda s: (s[0] + 1, discards(s[1]) + 2), (0, x)
            )[1]
        if where == "cond":
            return jax.lax.cond(x[0] > 0, discards, jnp.cos, x)
        if where == "grad":
            return jax.grad(lambda x: jax.lax.stop_gradient(discards(x)).sum())(x)
        return discards(x)

    f = jax.jit(inside)
    f(GOOD)
    with jaxdbg.checked(every_op=True) as region:
        f(GOOD)
    assert functions(region) == []
    with (
        pytest.raises(jaxdbg.NonFiniteError) as caught,
        jaxdbg.checked(every_op=True),
    ):
        f(BAD)
    assert caught.value.finding.kind == "nan"


def test_every_op_is_silent_for_a_masked_model() -> None:
    model = nnx.Sequential(nnx.LayerNorm(4, rngs=nnx.Rngs(0)), nnx.relu)

    @nnx.jit
    def attend(model, x):
        scores = model(x) @ x.T
        mask = jnp.tril(jnp.ones(scores.shape, bool))
        return jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)) @ x

    x = jnp.linspace(-1, 1, 12).reshape(3, 4)
    plain = attend(model, x)
    with jaxdbg.checked(every_op=True) as region:
        checked = attend(model, x)
    np.testing.assert_allclose(plain, checked, rtol=1e-5)
    assert (functions(region), region.report.notices) == ([], ())


# -- errors ---------------------------------------------------------------------------


@jax.jit
def pick(x, i):
    """Out of bounds, JAX clamps."""
    return x[i]


@jax.jit
def divide(a, b):
    """By zero, the integers give anything."""
    return a // b


def test_index_errors_are_found_where_asked_for() -> None:
    with jaxdbg.checked():
        pick(GOOD, 7)
    with (
        pytest.raises(jaxdbg.CheckError) as caught,
        jaxdbg.checked(errors=("index",)),
    ):
        pick(GOOD, 2)
        pick(GOOD, 7)
    finding = caught.value.finding
    assert (finding.kind, finding.function, finding.call) == ("index", "pick", 2)


def test_integer_division_by_zero_is_found_where_asked_for() -> None:
    with jaxdbg.checked():
        divide(1, 0)
    with (
        pytest.raises(jaxdbg.CheckError) as caught,
        jaxdbg.checked(errors=("div",)),
    ):
        divide(1, 2)
        divide(1, 0)
    finding = caught.value.finding
    assert (finding.kind, finding.function, finding.call) == ("div", "divide", 2)


def test_index_and_div_together_in_loops_and_nnx() -> None:
    @nnx.jit
    def f(model, x, i):
        return jax.lax.scan(lambda c, v: (c, x[v] // c), 2, i)[1]

    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    x = jnp.arange(4)
    f(model, x, jnp.array([0, 1]))
    with jaxdbg.checked(errors=("index", "div"), record=True) as region:
        f(model, x, jnp.array([0, 1]))
        f(model, x, jnp.array([0, 9]))
    assert [(f.kind, f.call) for f in region.report.findings] == [("index", 2)]


def test_a_float_division_by_zero_is_an_inf() -> None:
    f = jax.jit(lambda a, b: a / b)
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked(errors=("div",)):
        f(1.0, 0.0)


# -- tracebacks -----------------------------------------------------------------------


def frames(run: Any) -> list[tuple[str, str]]:
    """File and function of each frame of what this raises, below this test file's."""
    with pytest.raises(Exception) as caught:
        run()
    every = traceback.extract_tb(caught.value.__traceback__)
    return [(f.filename, f.name) for f in every if f.name not in ("run", "__call__")]


def calls_back(x):
    raise ValueError("of the user's")


@pytest.mark.parametrize(
    "fails",
    [
        lambda: jax.jit(lambda x: {}["in a trace"])(1.0),
        lambda: jax.jit(jnp.log)("no array"),
        lambda: jax.jit(
            lambda x: jax.pure_callback(
                calls_back, jax.ShapeDtypeStruct((), x.dtype), x
            )
        )(np.float32(1)).block_until_ready(),
    ],
    ids=["in a trace", "at the call", "as it runs"],
)
def test_an_error_of_the_users_own_has_the_traceback_it_would_have(fails: Any) -> None:
    def in_region() -> None:
        with jaxdbg.checked():
            fails()

    plain = frames(fails)
    assert [f for f in frames(in_region) if f[1] != "in_region"] == plain
    assert frames(jaxdbg.checked()(fails)) == plain


def test_a_decorated_function_leaves_no_frame_of_ours() -> None:
    @jaxdbg.checked()
    def plain(x):
        return log(x)

    @jaxdbg.checked()
    def steps(x):
        yield log(x)

    @jaxdbg.checked()
    async def waits(x):
        return log(x)

    runs = (lambda: plain(BAD), lambda: next(steps(BAD)), lambda: waits(BAD).send(None))
    for run in runs:
        assert {file for file, _ in frames(run)} == {__file__}


def test_an_interrupt_of_ours_ends_in_the_users_line(monkeypatch) -> None:
    def run() -> None:
        with jaxdbg.checked():
            log(GOOD)

    interrupted = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr("jaxdbg.trees.finiteness.suspects", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run()
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.name) == (__file__, "run")


def test_an_interrupt_of_the_users_own_stays_as_it_is() -> None:
    @jax.jit
    def step(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught, jaxdbg.checked():
        step(GOOD)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "step"


# -- used wrongly ---------------------------------------------------------------------


def test_without_parentheses_it_says_so() -> None:
    with pytest.raises(jaxdbg.UsageError, match=r"write `@jaxdbg\.checked\(\)` above"):
        jaxdbg.checked(log)
    with pytest.raises(jaxdbg.UsageError, match="int cannot be called"):
        jaxdbg.checked()(3)
