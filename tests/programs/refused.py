"""Programs that JAX or chex refuses while it traces, with what is true of the error.

Each is called in a region, and raises there what it raises outside. The truth was
written before the first run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import chex
import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx


@dataclass(frozen=True)
class Program:
    """A program, and what is to be noted on its error: each of these, and no more."""

    run: Callable[[], Any]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return self.run.__name__


PROGRAMS: list[Program] = []


def program(*notes: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(run: Callable[[], Any]) -> Callable[[], Any]:
        PROGRAMS.append(Program(run, notes))
        return run

    return add


X = np.ones((2, 4), np.float32)
WIDE = np.ones((2, 5), np.float32)


class Attention(nnx.Module):
    def __init__(self) -> None:
        self.query = nnx.Linear(4, 4, rngs=nnx.Rngs(0))

    def __call__(self, x: Any) -> Any:
        chex.assert_rank(x, 2)
        chex.assert_type(x, jnp.float32)
        return self.query(x)


class Block(nnx.Module):
    def __init__(self, scale: Any) -> None:
        self.attn, self.scale = Attention(), nnx.Param(scale)

    def __call__(self, x: Any) -> Any:
        return self.attn(x) + self.scale


class Net(nnx.Module):
    def __init__(self, scales: Any = (1.0, 1.0, 1.0)) -> None:
        self.blocks = nnx.List([Block(jnp.asarray(s)) for s in scales])

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


@nnx.jit
def step(model: Any, x: Any) -> Any:
    return model(x).sum()


@program("raised in model.blocks[0].attn")
def an_assertion_of_a_rank() -> None:
    step(Net(), X[None])


@program("raised in model.blocks[0].attn")
def an_assertion_of_a_type() -> None:
    step(Net(), X.astype(np.int32))


@program("raised in model.blocks[0].attn.query")
def a_product_that_does_not_fit() -> None:
    step(Net(), WIDE)


@program("raised in model.blocks[1]")
def a_sum_that_does_not_fit() -> None:
    step(Net([1.0, np.ones(3), 1.0]), X)


@program("raised in net.blocks[2]")
def eagerly() -> None:
    net = Net([1.0, 1.0, np.ones(3)])
    net(X)


@program("raised in Net.blocks[2]")
def eagerly_without_a_name() -> None:
    Net([1.0, 1.0, np.ones(3)])(X)


@program("raised in model.blocks[1]")
def in_a_loss_under_grad() -> None:
    @nnx.jit
    def train(model: Any, x: Any) -> Any:
        def loss(model: Any) -> Any:
            return model(x).sum()

        return nnx.value_and_grad(loss)(model)

    train(Net([1.0, np.ones(3)]), X)


@program()
def outside_of_any_module() -> None:
    @jax.jit
    def add(x: Any, y: Any) -> Any:
        return x + y

    add(np.ones(3), np.ones(4))


@program()
def in_a_function_that_takes_a_module() -> None:
    @nnx.jit
    def both(model: Any, x: Any) -> Any:
        return model(x) + x[:, :3]

    both(Net(), X)


class Head(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(3, name="out")(x) + jnp.ones(4)


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return Head(name="head")(nn.Dense(4)(x))


@program("raised in LinenNet/head")
def in_linen() -> None:
    jax.jit(LinenNet().init)(jax.random.key(0), X)


@program("raised in net/~/second")
def in_haiku() -> None:
    hk = pytest.importorskip("haiku")

    class Net(hk.Module):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.second = hk.Linear(4, name="second")

        def __call__(self, x: Any) -> Any:
            return self.second(x) + self.second(x[0, 0])

    hk.transform(lambda x: Net()(x)).init(jax.random.key(0), X)


class Layer(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x: Any) -> Any:
        return self.linear(x)


class EqxNet(eqx.Module):
    layers: list[Layer]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


@program("raised in model.layers[1].linear")
def in_equinox() -> None:
    @eqx.filter_jit
    def predict(model: Any, x: Any) -> Any:
        return jax.vmap(model)(x)

    key = jax.random.key(0)
    sizes = [(4, 3), (4, 3)]
    predict(EqxNet([Layer(eqx.nn.Linear(*s, key=key)) for s in sizes]), X)


# -- a traced value used as a static one -----------------------------------------------

MARK_N = (
    "`n` is a Python value that jit traces. Mark it static: "
    '`static_argnames="n"` in the jit of f, which is then traced for each new value.'
)


@program(MARK_N)
def a_branch() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return x if n > 3 else -x

    f(X, 5)


@program(MARK_N)
def a_shape() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return jnp.zeros((n, 2)) + x.sum()

    size = 5
    f(X, n=size)


@program(MARK_N)
def a_range() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        for i in range(n + 1):
            x = x + i
        return x

    f(X, 5)


@program(MARK_N)
def a_list() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return [x, -x][n]

    f(X, 1)


@program(
    "`train` is a Python value that jit traces. Mark it static: "
    '`static_argnames="train"` in the jit of f, which is then traced for each new '
    "value."
)
def a_flag_of_nnx() -> None:
    @nnx.jit
    def f(model: Any, x: Any, train: Any) -> Any:
        if train:
            return model(x)
        return x

    model = Net()
    f(model, X, True)


@program(
    "no argument of f can be marked static here: the value is computed from `x`, an "
    "array, which is known only when f runs. `jnp.where` or `jax.lax.cond` choose by "
    "such a value.",
)
def a_branch_on_an_array() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return x if x.sum() > n else -x

    f(X, 3)


@program(
    "no argument of f can be marked static here: the value is computed from `x`, an "
    "array, which is known only when f runs.",
)
def numpy_of_an_array() -> None:
    @jax.jit
    def f(x: Any) -> Any:
        return np.sin(x)

    f(X)


@program(
    "no argument of f can be marked static here: the value is computed inside f.",
)
def made_inside() -> None:
    @jax.jit
    def f(x: Any) -> Any:
        return x if jnp.arange(3).sum() > 2 else -x

    f(X)


@program(MARK_N)
def an_axis_of_a_method() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return x.min(n)

    f(X, 0)


@program(MARK_N)
def the_length_of_a_scan() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return jax.lax.scan(lambda c, _: (c + 1, c), x, None, length=n)

    f(X, 5)


@program(
    "no argument of f can be marked static here: the value is computed from `x`, an "
    "array, which is known only when f runs.",
)
def an_array_that_the_line_makes() -> None:
    @jax.jit
    def f(x: Any) -> Any:
        return jnp.where(x < 0)

    f(jnp.ones(3) - 2)


@program()
def that_jax_computes_of_it() -> None:
    """A static argument is traced again by JAX's function: it is no cure."""

    @jax.jit
    def f(x: Any, n: Any) -> Any:
        return x if jnp.maximum(n, 3) > 3 else -x

    f(X, 5)


@program()
def that_an_array_made_inside_takes_part_in() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        k = jnp.arange(3).sum()
        return x if k > n else -x

    f(X, 5)


@program()
def that_is_replaced_first() -> None:
    @jax.jit
    def f(x: Any, n: Any) -> Any:
        n = jnp.abs(n)
        return x if n > 3 else -x

    f(X, 5)


@program()
def of_a_function_traced_inside() -> None:
    @jax.jit
    def inner(x: Any, n: Any) -> Any:
        return x if n > 3 else -x

    @jax.jit
    def outer(x: Any, n: Any) -> Any:
        return inner(x, n)

    outer(X, 5)


@program()
def in_the_body_of_a_scan() -> None:
    @jax.jit
    def f(x: Any) -> Any:
        return jax.lax.scan(lambda c, v: (c if c > 0 else -c, v), 0.0, x[0])

    f(X)


@program("`sizes` of f is static, and a list cannot be hashed: pass a tuple.")
def a_list_that_is_static() -> None:
    @functools.partial(jax.jit, static_argnames="sizes")
    def f(x: Any, sizes: Any) -> Any:
        return x.reshape(sizes)

    f(X, [8])


@program()
def an_error_of_their_own() -> None:
    raise ValueError("depends on the value of the argument n.")
