"""`jaxdbg.max_traces`: functions that carry a budget, and say why it is spent."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.compiles import recorder


def refused(function: Any, *args: Any, **kwargs: Any) -> str:
    """What the function says when it fails for its budget."""
    with pytest.raises(jaxdbg.TraceBudgetError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def ones(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


def test_it_fails_before_the_trace_and_says_why() -> None:
    traced = []

    @jaxdbg.max_traces(1)
    @jax.jit
    def step(x):
        traced.append(x.shape)
        return x.sum()

    assert [float(step(ones(8, 3))) for _ in range(3)] == [24, 24, 24]
    assert refused(step, ones(5, 3)) == (
        "step is being traced for the 2nd time; jaxdbg.max_traces allows 1.\n"
        "  since the earlier time that is most like it:\n"
        "    x f32[8,3] → f32[5,3]\n"
        "  next: pad it to few sizes: each shape is a program of its own"
    )
    assert traced == [(8, 3)]
    assert step(ones(8, 3)) == 24  # the function can be used on
    assert "for the 2nd time" in refused(step, ones(5, 3))
    assert traced == [(8, 3)]


def test_the_traceback_ends_in_the_users_line() -> None:
    step = jaxdbg.max_traces(jax.jit(lambda x: x), 0)
    with pytest.raises(jaxdbg.TraceBudgetError) as caught:
        step(1.0)
    files = [str(frame.path) for frame in caught.traceback]
    assert files[0] == __file__
    assert files[-1].endswith("max_traces.py")
    assert len(files) == 2  # ours says __tracebackhide__
    assert caught.value.__suppress_context__


def test_a_budget_inside_another_keeps_the_frames_of_the_user() -> None:
    inner = jaxdbg.max_traces(jax.jit(lambda x: x), 0)

    @jaxdbg.max_traces(1)
    @jax.jit
    def outer(x):
        return inner(x)

    with pytest.raises(jaxdbg.TraceBudgetError) as caught:
        outer(1.0)
    assert "outer" in [frame.name for frame in caught.traceback]


def test_the_finding() -> None:
    step = jaxdbg.max_traces(jax.jit(lambda x: x), 0)
    with pytest.raises(jaxdbg.TraceBudgetError) as caught:
        step(1.0)
    finding = caught.value.finding
    assert (finding.kind, finding.function) == ("traces", "<lambda>")
    assert __file__ in finding.location
    assert str(caught.value) == (
        "<lambda> is being traced for the 1st time; jaxdbg.max_traces allows 0."
    )
    assert isinstance(caught.value, AssertionError)


def test_nnx_with_a_method_and_an_attribute() -> None:
    class Net(nnx.Module):
        def __init__(self) -> None:
            self.linear = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
            self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

        @jaxdbg.max_traces(1)
        @nnx.jit
        def __call__(self, x):
            return self.drop(self.linear(x))

    net = Net()
    net(ones(4, 3))
    assert net(ones(4, 3)).shape == (4, 2)
    net.drop.deterministic = True
    said = refused(net, ones(4, 3))
    assert said.startswith("__call__ is being traced for the 2nd time;")
    assert "drop.deterministic: False → True" in said
    assert "give train and eval a jitted function each" in said
    net.drop.deterministic = False
    assert net(ones(4, 3)).shape == (4, 2)


def test_nnx_state_is_whole_after_a_refusal() -> None:
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    @jaxdbg.max_traces(1)
    @nnx.jit
    def double(model, x):
        model.kernel[...] *= 2
        return model(x)

    double(model, ones(4, 3))
    before = np.asarray(model.kernel[...])
    refused(double, model, ones(5, 3))
    assert (np.asarray(model.kernel[...]) == before).all()
    double(model, ones(4, 3))
    assert np.allclose(np.asarray(model.kernel[...]), before * 2)


@pytest.mark.parametrize("form", ["call", "named", "above"])
def test_forms(form: str) -> None:
    def double(x):
        return x * 2

    wrap = {
        "call": lambda f: jaxdbg.max_traces(f, 1),
        "named": jaxdbg.max_traces(n=1),
        "above": jaxdbg.max_traces(1),
    }[form]
    step = wrap(jax.jit(double))
    step(ones(2))
    assert "x f32[2] → f32[3]" in refused(step, ones(3))


def test_decorated_again_it_starts_afresh() -> None:
    def cell() -> None:
        @jaxdbg.max_traces(1)
        @jax.jit
        def step(x):
            return x + 1

        step(ones(2))

    for _ in range(3):
        cell()


def test_below_jit_it_counts_too() -> None:
    @jax.jit
    @jaxdbg.max_traces(1)
    def step(x):
        return x + 1

    step(ones(2))
    step(ones(2))
    assert refused(step, ones(3)) == (
        "step is being traced for the 2nd time; jaxdbg.max_traces allows 1."
    )
    assert step(ones(2)).shape == (2,)


def test_below_jit_the_recorder_knows_the_reason() -> None:
    @jax.jit
    @jaxdbg.max_traces(1)
    def step(x):
        return x + 1

    recorder.start()
    try:
        step(ones(2))
        assert "    x f32[2] → f32[3]\n" in refused(step, ones(3))
    finally:
        recorder.stop()


def test_calls_outside_of_jit_are_free() -> None:
    @jaxdbg.max_traces(0)
    def plain(x):
        return x + 1

    assert plain(1) == 2
    assert jax.grad(plain)(1.0) == 1.0
    assert "jaxdbg.max_traces allows 0" in refused(jax.jit(plain), 1.0)


def test_inside_a_region_it_is_in_the_report() -> None:
    step = jaxdbg.max_traces(jax.jit(lambda x: x + 1), 1)
    with pytest.raises(jaxdbg.TraceBudgetError), jaxdbg.checked() as region:
        step(ones(2))
        step(ones(3))
    assert [f.kind for f in region.report.findings] == ["traces"]
    with jaxdbg.checked():
        step(ones(2))


def test_inner_functions_have_their_own() -> None:
    @jax.jit
    def inner(x):
        return x * 2

    @jaxdbg.max_traces(1)
    @jax.jit
    def outer(x):
        return inner(x) + inner(x[:1]) + inner(x[:2]).sum()

    outer(ones(3))
    assert "outer is being traced" in refused(outer, ones(4))


def test_gradients_and_ahead_of_time() -> None:
    @jaxdbg.max_traces(1)
    @jax.jit
    def loss(x):
        return (x**2).sum()

    jax.grad(loss)(ones(3))
    assert loss.lower(ones(3)).compile()(ones(3)) == 3
    assert "loss is being traced for the 2nd" in refused(loss.lower, ones(4))
    assert "loss is being traced for the 2nd" in refused(jax.grad(loss), ones(4))


def test_threads_share_the_budget() -> None:
    step = jaxdbg.max_traces(jax.jit(lambda x: x + 1), 2)
    ready = threading.Barrier(4)

    def run(size: int) -> int:
        ready.wait()
        try:
            return int(step(ones(size)).size)
        except jaxdbg.TraceBudgetError:
            return -1

    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(run, [2, 3, 4, 5]))
    assert sizes.count(-1) == 2


def test_a_function_that_raises_is_left_as_it_was() -> None:
    @jaxdbg.max_traces(2)
    @jax.jit
    def step(x):
        if x.shape[0] == 3:
            raise KeyError("three")
        return x

    with pytest.raises(KeyError):
        step(ones(3))
    step(ones(2))
    assert "the 3rd time" in refused(step, ones(4))


@jaxdbg.max_traces(1)
@jax.jit
def at_module_level(x):
    """Adds one."""
    return x + 1


def test_it_looks_like_the_function() -> None:
    assert at_module_level.__name__ == "at_module_level"
    assert at_module_level.__doc__ == "Adds one."
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level
    assert float(jax.vmap(at_module_level)(jnp.zeros(1))[0]) == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: jaxdbg.max_traces(-1),
            "max_traces takes a whole number of at least 0, not -1: "
            "`@jaxdbg.max_traces(1)` above the function, or `max_traces(f, 1)`.",
        ),
        (
            lambda: jaxdbg.max_traces(n=True),
            "max_traces takes a whole number of at least 0, not True: "
            "`@jaxdbg.max_traces(1)` above the function, or `max_traces(f, 1)`.",
        ),
        (
            lambda: jaxdbg.max_traces("step", 1),
            "max_traces goes around a function; str cannot be called.",
        ),
    ],
)
def test_what_is_no_budget(make: Any, says: str) -> None:
    with pytest.raises(jaxdbg.UsageError) as caught:
        make()
    assert str(caught.value) == says


def test_decorator_without_a_number() -> None:
    with pytest.raises(jaxdbg.UsageError, match="takes a whole number"):

        @jaxdbg.max_traces
        def step(x):
            return x
