"""The same model and training loop in each library of models, with the truth.

Two blocks of a dense layer and a root. In the third call row 2 of the batch is bad, and
the root of the second block makes a NaN of it, as does its derivative. The truth was
written before the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

WIDTH = 3
GOOD = np.ones((4, WIDTH), np.float32)
BAD = GOOD.copy()
BAD[2] = 0.35  # sqrt(3x - 1) is finite, and below 1/3
BATCHES = (GOOD, GOOD, BAD)
KEY = jax.random.key(0)


def optimizer() -> optax.GradientTransformation:
    return optax.sgd(1e-3, momentum=0.9)


@dataclass(frozen=True)
class Program:
    """A program and the truth about it.

    Attributes:
        library: what the model is written with.
        train: runs the training loop over batches.
        predict: a jitted function of the model and a batch, and what it is called.
        jit: the library's jit, for functions of plain arrays.
        model: makes the model that `predict` takes.
        cast: the model with the first leaf of its second block in half precision.
        paths: of the bad results of the training step, as typed.
        module: the one whose root makes the NaN.
        trees: the trees that are carried from call to call, each with a leaf.
        leaf: of `predict`, the leaf that `cast` changes.
    """

    library: str
    train: Callable[[Sequence[Any]], Any]
    predict: Callable[..., Any]
    jit: Callable[..., Any]
    model: Callable[[], Any]
    cast: Callable[[Any], Any]
    paths: frozenset[str]
    module: str
    trees: dict[str, str]
    leaf: str

    def __str__(self) -> str:
        return self.library


def of_both(*paths: str, also: Sequence[str] = ()) -> frozenset[str]:
    """Paths with a `*` for the number of the block."""
    both = (path.replace("*", str(i)) for path in paths for i in range(2))
    return frozenset([*both, *also])


def mean(call: Callable[[Any], Any], x: Any) -> Any:
    return call(x).mean()


# -- NNX -------------------------------------------------------------------------------


class NnxBlock(nnx.Module):
    def __init__(self) -> None:
        one = nnx.initializers.ones
        self.dense = nnx.Linear(WIDTH, WIDTH, kernel_init=one, rngs=nnx.Rngs(0))

    def __call__(self, x: Any) -> Any:
        return jnp.sqrt(self.dense(x) - 1)


class NnxNet(nnx.Module):
    def __init__(self) -> None:
        self.blocks = nnx.List([NnxBlock(), NnxBlock()])

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


@nnx.jit
def nnx_step(model: Any, opt: Any, x: Any) -> Any:
    value, grads = nnx.value_and_grad(lambda m: mean(m, x))(model)
    opt.update(model, grads)
    return value


def train_nnx(batches: Sequence[Any]) -> None:
    model = NnxNet()
    opt = nnx.Optimizer(model, optimizer(), wrt=nnx.Param)
    for x in batches:
        value = nnx_step(model, opt, x)
    del value


@nnx.jit
def nnx_predict(model: Any, x: Any) -> Any:
    return model(x)


def cast_nnx(model: Any) -> Any:
    bias = model.blocks[1].dense.bias
    bias.set_value(bias[...].astype(jnp.bfloat16))
    return model


NNX = Program(
    library="nnx",
    train=train_nnx,
    predict=nnx_predict,
    jit=nnx.jit,
    model=NnxNet,
    cast=cast_nnx,
    paths=of_both(
        "model.blocks[*].dense.kernel",
        "model.blocks[*].dense.bias",
        "opt.opt_state[0].trace.blocks[*].dense.kernel",
        "opt.opt_state[0].trace.blocks[*].dense.bias",
        also=["value"],
    ),
    module="model.blocks[1]",
    trees={
        "model": "model.blocks[0].dense.kernel",
        "opt": "opt.opt_state[0].trace.blocks[0].dense.kernel",
    },
    leaf="model.blocks[1].dense.bias",
)


# -- Equinox ---------------------------------------------------------------------------


class EqxBlock(eqx.Module):
    dense: eqx.nn.Linear

    def __init__(self) -> None:
        dense = eqx.nn.Linear(WIDTH, WIDTH, key=KEY)
        ones = (jnp.ones((WIDTH, WIDTH)), jnp.zeros(WIDTH))
        self.dense = eqx.tree_at(lambda d: (d.weight, d.bias), dense, ones)

    def __call__(self, x: Any) -> Any:
        return jnp.sqrt(self.dense(x) - 1)


class EqxNet(eqx.Module):
    blocks: list[EqxBlock]

    def __init__(self) -> None:
        self.blocks = [EqxBlock(), EqxBlock()]

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


@eqx.filter_value_and_grad
def eqx_loss(model: Any, x: Any) -> Any:
    return mean(eqx.filter_vmap(model), x)


@eqx.filter_jit
def eqx_step(model: Any, opt_state: Any, x: Any) -> Any:
    value, grads = eqx_loss(model, x)
    updates, opt_state = optimizer().update(grads, opt_state)
    return eqx.apply_updates(model, updates), opt_state, value


def train_eqx(batches: Sequence[Any]) -> None:
    model = EqxNet()
    opt_state = optimizer().init(eqx.filter(model, eqx.is_array))
    for x in batches:
        model, opt_state, value = eqx_step(model, opt_state, x)
    del value


@eqx.filter_jit
def eqx_predict(model: Any, x: Any) -> Any:
    return eqx.filter_vmap(model)(x)


EQUINOX = Program(
    library="equinox",
    train=train_eqx,
    predict=eqx_predict,
    jit=eqx.filter_jit,
    model=EqxNet,
    cast=lambda model: eqx.tree_at(
        lambda m: m.blocks[1].dense.bias, model, jnp.zeros(WIDTH, jnp.bfloat16)
    ),
    paths=of_both(
        "model.blocks[*].dense.weight",
        "model.blocks[*].dense.bias",
        "opt_state[0].trace.blocks[*].dense.weight",
        "opt_state[0].trace.blocks[*].dense.bias",
        also=["value"],
    ),
    module="model.blocks[1]",
    trees={
        "model": "model.blocks[0].dense.weight",
        "opt_state": "opt_state[0].trace.blocks[0].dense.weight",
    },
    leaf="model.blocks[1].dense.bias",
)


# -- Linen -----------------------------------------------------------------------------


class Block(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return jnp.sqrt(nn.Dense(WIDTH, kernel_init=nn.initializers.ones)(x) - 1)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        inner = Block()(x)
        return Block()(inner)


LINEN_NET = Net()


@jax.jit
def linen_step(state: TrainState, x: Any) -> Any:
    def loss(params: Any) -> Any:
        return mean(lambda x: state.apply_fn({"params": params}, x), x)

    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), value


def train_linen(batches: Sequence[Any]) -> None:
    params = LINEN_NET.init(KEY, GOOD)["params"]
    state = TrainState.create(apply_fn=LINEN_NET.apply, params=params, tx=optimizer())
    del params
    for x in batches:
        state, value = linen_step(state, x)
    del value


@jax.jit
def linen_predict(params: Any, x: Any) -> Any:
    return LINEN_NET.apply({"params": params}, x)


def cast_linen(params: Any) -> Any:
    dense = params["Block_1"]["Dense_0"]
    half = {**dense, "bias": dense["bias"].astype(jnp.bfloat16)}
    return {**params, "Block_1": {"Dense_0": half}}


LINEN = Program(
    library="linen",
    train=train_linen,
    predict=linen_predict,
    jit=jax.jit,
    model=lambda: LINEN_NET.init(KEY, GOOD)["params"],
    cast=cast_linen,
    paths=of_both(
        'state.params["Block_*"]["Dense_0"]["kernel"]',
        'state.params["Block_*"]["Dense_0"]["bias"]',
        'state.opt_state[0].trace["Block_*"]["Dense_0"]["kernel"]',
        'state.opt_state[0].trace["Block_*"]["Dense_0"]["bias"]',
        also=["value"],
    ),
    module="Net/Block_1",
    trees={"state": 'state.params["Block_0"]["Dense_0"]["kernel"]'},
    leaf='params["Block_1"]["Dense_0"]["bias"]',
)


# -- Haiku -----------------------------------------------------------------------------


def haiku_net() -> Any:
    import haiku as hk

    class Block(hk.Module):
        def __call__(self, x: Any) -> Any:
            init = hk.initializers.Constant(1.0)
            return jnp.sqrt(hk.Linear(WIDTH, w_init=init)(x) - 1)

    class Net(hk.Module):
        def __call__(self, x: Any) -> Any:
            inner = Block()(x)
            return Block()(inner)

    return hk.without_apply_rng(hk.transform(lambda x: Net()(x)))


class Haiku:
    """The functions of the net, which is made when Haiku is known to be there."""

    @cached_property
    def net(self) -> Any:
        return haiku_net()

    @cached_property
    def step(self) -> Any:
        @jax.jit
        def haiku_step(params: Any, opt_state: Any, x: Any) -> Any:
            loss = lambda params: mean(lambda x: self.net.apply(params, x), x)  # noqa: E731
            value, grads = jax.value_and_grad(loss)(params)
            updates, opt_state = optimizer().update(grads, opt_state)
            return optax.apply_updates(params, updates), opt_state, value

        return haiku_step

    @cached_property
    def predict(self) -> Any:
        @jax.jit
        def haiku_predict(params: Any, x: Any) -> Any:
            return self.net.apply(params, x)

        return haiku_predict


HAIKU_NET = Haiku()


def train_haiku(batches: Sequence[Any]) -> None:
    params = HAIKU_NET.net.init(KEY, GOOD)
    opt_state = optimizer().init(params)
    step = HAIKU_NET.step
    for x in batches:
        params, opt_state, value = step(params, opt_state, x)
    del value


def cast_haiku(params: Any) -> Any:
    linear = params["net/block_1/linear"]
    half = {**linear, "b": linear["b"].astype(jnp.bfloat16)}
    return {**params, "net/block_1/linear": half}


HAIKU = Program(
    library="haiku",
    train=train_haiku,
    predict=lambda *args: HAIKU_NET.predict(*args),
    jit=jax.jit,
    model=lambda: HAIKU_NET.net.init(KEY, GOOD),
    cast=cast_haiku,
    paths=frozenset(
        f'{tree}["{module}/linear"]["{name}"]'
        for tree in ("params", "opt_state[0].trace")
        for module in ("net/block", "net/block_1")
        for name in "wb"
    )
    | {"value"},
    module="net/block_1",
    trees={
        "params": 'params["net/block/linear"]["w"]',
        "opt_state": 'opt_state[0].trace["net/block/linear"]["w"]',
    },
    leaf='params["net/block_1/linear"]["b"]',
)


# -- plain pytrees ---------------------------------------------------------------------


def plain_params() -> dict[str, Any]:
    return {
        "layers": [
            {"w": jnp.ones((WIDTH, WIDTH)), "b": jnp.zeros(WIDTH)} for _ in range(2)
        ]
    }


def plain_net(params: Any, x: Any) -> Any:
    for layer in params["layers"]:
        x = jnp.sqrt(x @ layer["w"] + layer["b"] - 1)
    return x


@jax.jit
def plain_step(params: Any, opt_state: Any, x: Any) -> Any:
    value, grads = jax.value_and_grad(lambda p: plain_net(p, x).mean())(params)
    updates, opt_state = optimizer().update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state, value


def train_plain(batches: Sequence[Any]) -> None:
    params = plain_params()
    opt_state = optimizer().init(params)
    for x in batches:
        params, opt_state, value = plain_step(params, opt_state, x)
    del value


@jax.jit
def plain_predict(params: Any, x: Any) -> Any:
    return plain_net(params, x)


def cast_plain(params: Any) -> Any:
    first, last = params["layers"]
    half = {**last, "b": last["b"].astype(jnp.bfloat16)}
    return {"layers": [first, half]}


PLAIN = Program(
    library="plain",
    train=train_plain,
    predict=plain_predict,
    jit=jax.jit,
    model=plain_params,
    cast=cast_plain,
    paths=of_both(
        'params["layers"][*]["w"]',
        'params["layers"][*]["b"]',
        'opt_state[0].trace["layers"][*]["w"]',
        'opt_state[0].trace["layers"][*]["b"]',
        also=["value"],
    ),
    module="",
    trees={
        "params": 'params["layers"][0]["w"]',
        "opt_state": 'opt_state[0].trace["layers"][0]["w"]',
    },
    leaf='params["layers"][1]["b"]',
)

PROGRAMS = (NNX, EQUINOX, LINEN, HAIKU, PLAIN)
