"""Nothing lives longer in a region: functions, traces, executables and arrays.

JAX's caches hold functions weakly. A region that keeps one alive changes what is traced
again, and with it results; one that keeps a jaxpr keeps what that closes over.
"""

import contextlib
import dataclasses
import functools
import gc
import itertools
import weakref

import chex
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks.afterwards import kept_calls
from jaxdbg.checks.calls import earlier_calls
from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.checker import MAX_PENDING
from jaxdbg.jax_internals.functions import Function
from tests import quick

MODES = {
    "recorder": jaxdbg.record_compilations,
    "default": jaxdbg.checked,
    "record": lambda: jaxdbg.checked(record=True, errors=("index", "div")),
    "async": lambda: jaxdbg.checked(async_=True, watch="agent"),
    "every_op": lambda: _nested(jaxdbg.checked(), jaxdbg.checked(every_op=True)),
}

modes = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
REGIONS = {name: mode for name, mode in MODES.items() if name != "recorder"}
in_regions = pytest.mark.parametrize("mode", REGIONS.values(), ids=REGIONS)
one_quickly = pytest.mark.parametrize(
    "mode", [quick.row(m, when=n == "record", name=n) for n, m in MODES.items()]
)


def each_in_all_modes(table):
    """Each row of a table in all modes; quick are those in one, and the first row."""
    first = next(iter(table))
    rows = [
        quick.row(use, mode, when=n == "record" or c == first, name=f"{c}-{n}")
        for (c, use), (n, mode) in itertools.product(table.items(), MODES.items())
    ]
    return pytest.mark.parametrize(("use", "mode"), rows)


@pytest.fixture(autouse=True, scope="module")
def only_what_these_tests_make_is_swept():
    """A collection takes a second where earlier tests have left much in memory."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextlib.contextmanager
def _nested(*regions):
    with contextlib.ExitStack() as stack:
        for region in regions:
            stack.enter_context(region)
        yield


# -- traces --------------------------------------------------------------------------


class Agent:
    """JAX reads `k` while it traces; bound methods of one agent are equal."""

    def __init__(self):
        self.k, self.traces = 0.0, 0

    def loss(self, w):
        self.traces += 1
        return (w * self.k).sum()

    def step(self, carry, x):
        self.traces += 1
        return carry + x * self.k, carry

    def branch(self, x):
        self.traces += 1
        return x + self.k

    def asserting(self, w):
        chex.assert_tree_all_finite(w)
        return self.loss(w)

    def static(self, function, w):
        return function(w)


class Equal:
    """A callable whose instances are all equal."""

    def __init__(self, agent):
        self.agent, self.k = agent, agent.k

    def __eq__(self, other):
        return type(other) is Equal

    def __hash__(self):
        return 1

    def __call__(self, w):
        return self.agent.loss(w)


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A callable that is equal to another by what it holds."""

    agent: Agent

    def __call__(self, w):
        return self.agent.loss(w)


def _take(agent, w):
    return agent.loss(w)


def _jitted_inside(agent, w):
    return jax.jit(lambda x: jax.jit(agent.loss)(x))(w)


def _static(agent, w):
    return jax.jit(agent.static, static_argnums=0)(agent.loss, w)


class Scale(nnx.Module):
    """A module with one parameter."""

    def __init__(self):
        self.w = nnx.Param(jnp.ones(3))


FRESH = {
    "bound method": lambda a, w: jax.jit(a.loss)(w),
    "equal": lambda a, w: jax.jit(Equal(a))(w),
    "frozen dataclass": lambda a, w: jax.jit(Frozen(a))(w),
    "partial": lambda a, w: jax.jit(functools.partial(_take, a))(w),
    "lambda": lambda a, w: jax.jit(lambda x: a.loss(x))(w),
    "nested jit": _jitted_inside,
    "static argument": _static,
    "nnx.jit": lambda a, w: nnx.jit(lambda m, x: a.loss(m.w * x))(Scale(), w),
    "nnx.jit of equals": lambda a, w: nnx.jit(Equal(a))(w),
    "scan": lambda a, w: jax.lax.scan(a.step, 0.0, w)[0],
    "scan in jit": lambda a, w: jax.jit(lambda x: jax.lax.scan(a.step, 0.0, x)[0])(w),
    "cond": lambda a, w: jax.lax.cond(w[0] > 0, a.branch, a.branch, w),
    "checkpoint": lambda a, w: jax.grad(jax.checkpoint(a.loss))(w),
    "checkpoint in jit": lambda a, w: jax.jit(jax.grad(jax.checkpoint(a.loss)))(w),
    "vmap": lambda a, w: jax.jit(jax.vmap(a.branch))(w),
    "grad": lambda a, w: jax.jit(jax.grad(a.loss))(w),
    "eager grad": lambda a, w: jax.grad(a.loss)(w),
    "eval_shape": lambda a, w: jax.eval_shape(a.branch, w),
    "make_jaxpr": lambda a, w: str(jax.make_jaxpr(a.loss)(w)),
    "lower": lambda a, w: jax.jit(a.loss).lower(w).as_text(),
    "ahead of time": lambda a, w: jax.jit(a.loss).lower(w).compile()(w),
    "custom_vjp": lambda a, w: jax.jit(_custom(a.loss))(w),
}


def _custom(fun):
    custom = jax.custom_vjp(fun)
    custom.defvjp(lambda w: (fun(w), w), lambda w, bar: (w * bar,))
    return custom


@functools.cache
def _in_a_plain_loop(use):
    return _in_a_loop(use)


def _in_a_loop(use):
    agent, results = Agent(), []
    for i in range(3):
        agent.k = float(i)
        results.append(str(use(agent, jnp.ones(3))))
    return results, agent.traces


@each_in_all_modes(FRESH)
def test_fresh_equal_callables_are_traced_as_in_the_plain_program(use, mode):
    plain = _in_a_plain_loop(use)
    with mode():
        assert _in_a_loop(use) == plain


@in_regions
def test_a_function_that_asserts_is_traced_for_each_new_value(mode):
    plain = _in_a_plain_loop(FRESH["bound method"])
    with mode():
        assert _in_a_loop(lambda a, w: jax.jit(a.asserting)(w)) == plain


def test_the_trace_of_a_function_that_asserts_is_gone_after_the_region():
    agent = Agent()
    held = jax.jit(agent.asserting)
    with jaxdbg.checked():
        jax.jit(agent.asserting)(jnp.ones(3))
        held(jnp.ones(3))
    with pytest.raises(RuntimeError, match="chexify"):
        held(jnp.ones(3))


# -- arrays --------------------------------------------------------------------------


def _asserting(x):
    chex.assert_tree_all_finite(x)
    return x


class Holder:
    """Compared by identity; holds an array, and is a static argument."""

    def __init__(self, array):
        self.array = array

    def scaled(self, x):
        return x * self.array


CAPTURES = {
    "jit": lambda a: jax.jit(lambda x: x + a)(1.0),
    "constant": lambda a: jax.jit(lambda x: x + jnp.sin(a))(1.0),
    "bound method": lambda a: jax.jit(Holder(a).scaled)(1.0),
    "partial": lambda a: jax.jit(functools.partial(jnp.add, a))(1.0),
    "static argument": lambda a: jax.jit(lambda h, x: h.scaled(x), static_argnums=0)(
        Holder(a), 1.0
    ),
    "argument": lambda a: jax.jit(jnp.sin)(a),
    "eager": lambda a: a + 1,
    "grad": lambda a: jax.jit(jax.grad(lambda x: (x * a).sum()))(1.0),
    "checkpoint": lambda a: jax.jit(jax.checkpoint(lambda x: x + a))(1.0),
    "scan": lambda a: jax.lax.scan(lambda c, x: (c + a[0], x), 0.0, jnp.ones(3)),
    "nested": lambda a: jax.jit(lambda x: jax.jit(lambda y: y + a)(x))(1.0),
    "nnx.jit": lambda a: nnx.jit(lambda m, x: m.w[0] * x + a)(Scale(), 1.0),
    "ahead of time": lambda a: jax.jit(lambda x: x + a).lower(1.0).compile()(1.0),
    "traced only": lambda a: jax.eval_shape(lambda x: x + a, 1.0),
}


def _settle(results):
    """Waits until `--async` holds no call: until then it holds its inputs."""
    jax.block_until_ready(results)
    jaxdbg.block_until_checked()


@functools.cache
def _alive_in_the_plain_program(use):
    use(jnp.ones(1000))  # what JAX compiles for itself
    return _alive(use)


def _alive(use):
    """Of the arrays and results of two calls, how many live on: now, and swept."""
    references = []
    gc.collect()
    gc.disable()
    try:
        for i in range(2):
            array = jnp.ones(1000) + i
            results = jax.tree.leaves(use(array))
            _settle(results)
            references.append(weakref.ref(array))
            references += [weakref.ref(r) for r in results if isinstance(r, jax.Array)]
            del array, results
        now = [reference() is not None for reference in references]
        gc.collect()
        return now, [reference() is not None for reference in references]
    finally:
        gc.enable()


@each_in_all_modes(CAPTURES)
def test_what_a_call_takes_makes_and_captures_dies_as_in_the_plain_program(use, mode):
    plain = _alive_in_the_plain_program(use)
    with mode():
        assert _alive(use) == plain


@in_regions
def test_what_an_asserting_function_captures_dies(mode):
    with mode():
        _, swept = _alive(lambda a: jax.jit(lambda x: _asserting(x + a))(1.0))
    assert not any(swept)


# -- executables ---------------------------------------------------------------------


def _executables():
    """Executables after a call, and after `clear_cache`; both less those before."""
    function = jax.jit(lambda x, y: x + y)
    client = jax.devices()[0].client
    gc.collect()
    before = len(client.live_executables())
    _settle(function(1, 2))
    gc.collect()
    called = len(client.live_executables())
    function.clear_cache()
    gc.collect()
    return called - before, len(client.live_executables()) - before


@one_quickly
def test_clear_cache_frees_the_executable(mode):
    with mode():
        _executables()  # what compiles for jaxdbg itself
    with mode():
        assert _executables() == (1, 0)


# -- afterwards ----------------------------------------------------------------------


@one_quickly
def test_a_thousand_fresh_functions_leave_nothing(mode):
    references = []
    with mode():
        for i in range(1000):
            array = jnp.ones(2)
            fun = functools.partial(jnp.add, array)
            if i % 50:
                jax.eval_shape(fun, 1.0)
            else:
                jax.jit(fun)(1.0)
            references += [weakref.ref(array), weakref.ref(fun)]
        _settle(())
        del array, fun
        gc.collect()
        assert not any(reference() for reference in references)


# -- errors --------------------------------------------------------------------------


@modes
def test_what_an_error_of_the_users_holds_dies_with_it(mode):
    gone = jnp.ones(3)
    gone.delete()
    step = jax.jit(lambda x, y: x + y[0])
    gc.collect()
    gc.disable()
    try:
        with mode():
            array = jnp.ones(1000)
            reference = weakref.ref(array)
            with contextlib.suppress(RuntimeError):
                step(gone, array)
            del array
            assert reference() is None
    finally:
        gc.enable()


# -- what a failing call needs, and no more ------------------------------------------


def test_the_calls_that_wait_for_their_check_are_bounded():
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 50, lambda _, y: jnp.sin(y @ y), x))
    references = []
    with jaxdbg.checked(async_=True):
        for i in range(3 * MAX_PENDING):
            argument = jnp.ones((100, 100)) * i
            references.append(weakref.ref(argument))
            work(argument)
        del argument
        assert sum(r() is not None for r in references) <= MAX_PENDING + 1
    assert not any(r() for r in references)


def test_of_failing_calls_the_first_and_a_few_bytes_are_kept(monkeypatch):
    monkeypatch.setattr(kept_calls, "MORE", 3 * 4000)
    log, references = jax.jit(lambda x: jnp.log(x)), []
    with jaxdbg.checked(record=True) as region:
        for i in range(10):
            argument = -jnp.ones(1000) - i
            references.append(weakref.ref(argument))
            log(argument)
        del argument
    gc.collect()
    assert len(region.report.findings) == 10
    assert [r() is not None for r in references] == [True] * 4 + [False] * 6
    with jaxdbg.checked():
        log(jnp.ones(1000))
    assert not any(r() for r in references)


def test_small_results_are_held_of_a_few_functions_only():
    earlier = earlier_calls.EarlierCalls()
    jaxpr = jax.make_jaxpr(jnp.sin)(1.0)
    for i in range(2 * earlier_calls.MAX_GROWING):
        call = Call(Function(f"f{i}", "a.py:1"), 1, "")
        for _ in range(2 * earlier_calls.GROWTH):
            earlier.note(call, jaxpr, [], [jnp.ones(())])
    held = earlier._grown.values()
    assert len(held) == earlier_calls.MAX_GROWING
    assert {len(calls) for calls in held} == {earlier_calls.GROWTH}
    earlier.end()
    assert not earlier._grown


# -- what is read of frames ----------------------------------------------------------


def _trained(lr=0.1):
    config = locals()  # the usual way to log hyperparameters
    step = jax.jit(lambda x: x + 1)
    model = Scale()
    for _ in range(2):
        (step if config else nnx.jit(step))(model.w[...])
        lr += 1
    return dict(config)


@modes
def test_the_dict_that_locals_returned_is_not_written_to(mode):
    plain = _trained()
    with mode():
        assert _trained() == plain


@in_regions
def test_a_failing_call_does_not_write_to_it_either(mode):
    config = locals()
    before = dict(config)
    with contextlib.suppress(jaxdbg.NonFiniteError), mode():
        jax.jit(jnp.log)(jnp.float32(-1))
    assert dict(config) == before


@modes
def test_no_tracer_leaks(mode):
    def leaves_none(x):
        return jax.jit(lambda y: jnp.sin(y) + 1)(x) * 2

    with mode(), jax.checking_leaks():
        jax.jit(leaves_none)(jnp.ones(2))


@in_regions
def test_no_tracer_of_a_function_that_asserts_leaks(mode):
    with mode(), jax.checking_leaks():
        jax.jit(lambda x: _asserting(x) + 1)(jnp.ones(2))


@modes
def test_what_the_user_deletes_dies_where_frames_are_read(mode):
    with mode():
        array = jnp.ones(1000)
        reference = weakref.ref(array)
        _settle(jax.jit(lambda x: x + 1)(array))
        del array
        assert reference() is None
