"""Functions that the user has wrapped in `chex.chexify`, inside a region."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import chex
import jax
import jax.numpy as jnp
import pytest
from chex._src import asserts_internal
from flax import nnx

import jaxdbg


@pytest.fixture
def positive() -> Iterator[Callable[[jax.Array], jax.Array]]:
    waiting = asserts_internal.CHEXIFY_STORAGE.wait_fns
    before = list(waiting)

    @chex.chexify
    @jax.jit
    def positive(x: jax.Array) -> jax.Array:
        chex.assert_scalar_positive(x.sum())
        return x + 1

    yield positive
    waiting[:] = before


Positive = Callable[[jax.Array], jax.Array]


def test_what_fails_last_is_raised_at_the_end(positive: Positive) -> None:
    with pytest.raises(jaxdbg.CheckError) as caught, jaxdbg.checked() as region:
        positive(jnp.ones(3))
        positive(-jnp.ones(3))
    assert caught.value.finding.kind == "check"
    assert "positive" in str(caught.value)
    assert "wrapped in chex.chexify, after its call" in str(caught.value)
    assert region.report.findings == (caught.value.finding,)


def test_what_fails_is_raised_at_the_next_call(positive: Positive) -> None:
    bad, after = -jnp.ones(3), []
    with pytest.raises(jaxdbg.CheckError), jaxdbg.checked():
        positive(bad)
        after.append(bad + 1)
    assert not after


def test_it_is_recorded(positive: Positive) -> None:
    with jaxdbg.checked(record=True) as region:
        positive(-jnp.ones(3))
    assert [f.kind for f in region.report.findings] == ["check"]


def test_what_is_good_passes(positive: Positive) -> None:
    with jaxdbg.checked() as region:
        positive(jnp.ones(3))
    assert region.report.ok


def test_async_leaves_it_to_chex(positive: Positive) -> None:
    with jaxdbg.checked(async_=True):
        positive(-jnp.ones(3))
    with pytest.raises(AssertionError):
        positive.wait_checks()  # type: ignore[attr-defined]


@nnx.jit
def scaled(model: nnx.Linear, x: jax.Array) -> jax.Array:
    chex.assert_tree_all_finite(nnx.state(model))
    return model(x)


def broken_model() -> nnx.Linear:
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    model.kernel[...] = model.kernel[...] * jnp.nan
    return model


def test_nnx_jit_wrapped_in_chexify_is_as_without_a_region() -> None:
    """Flax refuses it: chexify runs the function in a trace of its own."""
    waiting = asserts_internal.CHEXIFY_STORAGE.wait_fns
    before = list(waiting)
    wrapped = chex.chexify(scaled)
    with pytest.raises(Exception) as plain:
        wrapped(broken_model(), jnp.ones((1, 2)))
    with pytest.raises(type(plain.value)), jaxdbg.checked() as region:
        wrapped(broken_model(), jnp.ones((1, 2)))
    waiting[:] = before
    assert region.report.findings == ()


def test_nnx_jit_needs_no_chexify() -> None:
    model = broken_model()
    with pytest.raises(jaxdbg.CheckError, match="non-finite"), jaxdbg.checked():
        scaled(model, jnp.ones((1, 2)))
    model.kernel[...] = jnp.ones((2, 2))
    with jaxdbg.checked() as region:
        assert scaled(model, jnp.ones((1, 2))).shape == (1, 2)
    assert region.report.ok
