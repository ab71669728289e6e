"""What a region remembers of its earlier calls."""

from __future__ import annotations

import gc
import itertools
import weakref

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks.calls import earlier_calls


@pytest.fixture
def recording() -> jaxdbg.Region:
    return jaxdbg.checked(record=True)


@jax.jit
def init_state(key: jax.Array) -> jax.Array:
    return jnp.log(jax.random.uniform(key, (4,)) - 2.0)


@jax.jit
def step(state: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    state = state * x
    return state, state.sum()


def test_the_call_that_made_an_array_is_known(recording: jaxdbg.Region) -> None:
    key = jax.random.key(0)
    with recording as region:
        state = init_state(key)
        for x in (1.0, 2.0):
            kept, _ = step(state, jnp.float32(x))
    made = region.session.earlier.made(state)
    assert str(made) == "init_state (call 1)"
    assert made is not None
    assert made.output == 0
    assert made.args == (key,)
    assert str(region.session.earlier.made(kept)) == "step (call 2)"
    assert region.session.earlier.made(jnp.ones(4)) is None


def test_no_array_lives_longer() -> None:
    with jaxdbg.checked() as region:
        state = step(jnp.ones(40), jnp.float32(1))[0]
        seen = weakref.ref(state)
        del state
        gc.collect()
        assert seen() is None
        again = step(jnp.ones(40), jnp.float32(1))[0]
    made = region.session.earlier.made(again)
    assert made is not None
    assert made.args is None  # what it was given is gone


def test_donated_arguments_are_not_kept() -> None:
    donating = jax.jit(lambda x: x + 1, donate_argnums=0)
    with jaxdbg.checked() as region:
        before = jnp.ones(40)
        after = donating(before)
        assert before.is_deleted()
    made = region.session.earlier.made(after)
    assert made is not None
    assert made.args is None


def test_a_thousand_calls_are_not_a_thousand_notes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(earlier_calls, "MAX_CALLS", 8)
    monkeypatch.setattr(earlier_calls, "RECENT", 8)
    losses = []
    with jaxdbg.checked() as region:
        first = init_state_good(jax.random.key(0))
        state = first
        for _ in range(40):
            state, loss = step(state, jnp.float32(1))
            losses.append(loss)
    notes = region.session.earlier._notes()
    assert len(notes) <= 8 + 8
    assert str(region.session.earlier.made(first)) == "init_state_good (call 1)"
    assert str(region.session.earlier.made(state)) == "step (call 40)"
    assert region.session.earlier.made(losses[20]) is None  # the middle is forgotten
    # Of a step whose state is gone, the loss is all that is remembered.
    assert [1] in [list(note.outs) for note in notes]


@jax.jit
def init_state_good(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (40,))


def test_growth_of_small_results(recording: jaxdbg.Region) -> None:
    with recording as region:
        state = jnp.full(100, 1e-3)
        for _ in range(12):
            state, loss = step(state, jnp.float32(100.0))
        growth = region.session.earlier.growth(made_by(region, loss))
    assert list(growth) == [1]  # the loss; the state is not held
    last = growth[1]
    assert len(last) == earlier_calls.GROWTH
    ratios = [b / a for a, b in itertools.pairwise(last)]
    assert ratios == pytest.approx([100.0] * 7, rel=1e-3)
    assert region.session.earlier.growth(made_by(region, loss)) == {}  # it has ended


def made_by(region: jaxdbg.Region, array: jax.Array):  # type: ignore[no-untyped-def]
    made = region.session.earlier.made(array)
    assert made is not None
    return made.call.function


def test_growth_tells_what_is_finite(recording: jaxdbg.Region) -> None:
    with recording as region:
        for x in (1.0, 3e38, jnp.nan):
            _, loss = step(jnp.ones(2), jnp.float32(x))
        found = region.session.earlier.growth(made_by(region, loss))[1]
    assert found[0] == 2.0
    assert found[1] != found[1]  # Inf: nothing finite
    assert found[2] != found[2]


def test_nnx_steps_hand_their_arrays_on(recording: jaxdbg.Region) -> None:
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    opt = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def train_step(model, opt, x):  # type: ignore[no-untyped-def]
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        opt.update(model, grads)
        return loss

    with recording as region:
        for _ in range(3):
            train_step(model, opt, jnp.ones((4, 3)))
    kernel = model.kernel.get_raw_value()
    assert str(region.session.earlier.made(kernel)) == "train_step (call 3)"


def test_aot_calls_are_noted(recording: jaxdbg.Region) -> None:
    x = jnp.ones(4)
    compiled = jax.jit(lambda x: x + 1).lower(x).compile()
    with recording as region:
        y = compiled(x)
    made = region.session.earlier.made(y)
    assert made is not None
    assert made.jaxpr is None
    assert made.call.number == 1
