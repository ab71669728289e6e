"""The user's function is told where a library's transform stands around it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

import jaxdbg


def loss(model: Any, x: Any) -> jax.Array:
    return jnp.log(model(x) ** 2).sum()


def _model() -> nnx.Linear:
    return nnx.Linear(3, 1, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("transform", [nnx.grad, nnx.value_and_grad])
def test_a_gradient_of_nnx_is_told_by_its_loss(transform: Any) -> None:
    step = nnx.jit(transform(loss))

    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        step(_model(), jnp.zeros((2, 3)))

    assert "loss (call 1 in this region)" in str(caught.value)
    assert "grad_wrapper" not in str(caught.value)


def test_the_traces_of_a_gradient_of_nnx_are_counted() -> None:
    step, model = nnx.jit(nnx.value_and_grad(loss)), _model()

    with jaxdbg.checked(max_traces=1):
        step(model, jnp.ones((2, 3)))
        with pytest.raises(jaxdbg.TraceBudgetError, match="loss"):
            step(model, jnp.ones((4, 3)))


def test_what_another_library_made_is_no_eager_op() -> None:
    net, x = linen.Dense(2), jnp.ones((1, 3))
    params = jax.tree.map(lambda p: p / 0.0, net.init(jax.random.key(0), x))

    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        jax.jit(net.apply)(params, x)

    assert "eager op" not in str(caught.value)


def test_a_gradient_of_nnx_carries_its_budget() -> None:
    step, model = jaxdbg.max_traces(nnx.jit(nnx.value_and_grad(loss)), 1), _model()
    step(model, jnp.ones((2, 3)))
    with pytest.raises(jaxdbg.TraceBudgetError, match="loss"):
        step(model, jnp.ones((4, 3)))
