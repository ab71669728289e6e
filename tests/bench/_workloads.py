"""The training steps that `overhead.py` measures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

Guard = Callable[[Any, Any], Any]
Step = Callable[[Any, Any], Any]

WIDTH, HEADS, LAYERS, VOCABULARY = 256, 8, 3, 256
BATCH, LENGTH = 8, 128


@dataclass(frozen=True)
class Workload:
    """A training step and what it is fed.

    Attributes:
        name: for the table.
        start: gives the state before the first step.
        make_step: gives `step(state, batch) -> (state, loss)`, a new function each
            time; `guard(loss, grads)` is called in the middle of it.
        batch: what every step is fed.
        jit: how the step is jitted.
        rounds, steps: how often the modes take turns, and with how many steps each.
        first_rounds: how often the first call is measured.
    """

    name: str
    start: Callable[[], Any]
    make_step: Callable[[Guard], Step]
    batch: Any
    jit: Callable[[Step], Step] = jax.jit
    rounds: int = 15
    steps: int = 1
    first_rounds: int = 3


def unguarded(loss: Any, grads: Any) -> Any:
    """No check in the step."""
    return loss, grads


def transformer(donate: bool = False) -> Workload:
    """An NNX transformer with Adam, 2.5 M parameters, in functional form.

    `nnx.split` and `nnx.merge` in `jax.jit`, because checkify and chexify do not work
    around `nnx.jit`.
    """
    tx = optax.adam(1e-3)
    graph, params = nnx.split(Transformer(nnx.Rngs(0)))

    def make_step(guard: Guard) -> Step:
        def step(state: Any, tokens: jax.Array) -> Any:
            params, moments = state
            loss, grads = guard(
                *jax.value_and_grad(lambda p: loss_of(nnx.merge(graph, p), tokens))(
                    params
                )
            )
            updates, moments = tx.update(grads, moments, params)
            return (optax.apply_updates(params, updates), moments), loss

        return step

    return Workload(
        name="transformer" + ", donated" * donate,
        start=lambda: _copy((params, tx.init(params))),
        make_step=make_step,
        batch=_tokens(),
        jit=_donating if donate else jax.jit,
    )


def nnx_transformer() -> Workload:
    """The same as its author would write it, with `nnx.jit` and `nnx.Optimizer`."""

    def start() -> Any:
        model = Transformer(nnx.Rngs(0))
        return model, nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    def make_step(guard: Guard) -> Step:
        def step(model: Any, optimizer: Any, tokens: jax.Array) -> jax.Array:
            loss, grads = guard(*nnx.value_and_grad(loss_of)(model, tokens))
            optimizer.update(model, grads)
            return loss

        return step

    def jit(step: Step) -> Step:
        jitted = nnx.jit(step)
        return lambda state, batch: (state, jitted(*state, batch))

    return Workload("transformer, `nnx.jit`", start, make_step, _tokens(), jit)


def mlp(donate: bool = False) -> Workload:
    """Three small layers with Adam: a step of less than a millisecond."""
    tx = optax.adam(1e-3)
    keys = jax.random.split(jax.random.key(0), 4)
    sizes = [(64, 128), (128, 128), (128, 10)]
    params = [
        (0.1 * jax.random.normal(k, s), jnp.zeros(s[1]))
        for k, s in zip(keys, sizes, strict=False)
    ]

    def loss_of(params: Any, batch: Any) -> jax.Array:
        x, labels = batch
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        logits = x @ params[-1][0] + params[-1][1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def make_step(guard: Guard) -> Step:
        def step(state: Any, batch: Any) -> Any:
            params, moments = state
            loss, grads = guard(*jax.value_and_grad(loss_of)(params, batch))
            updates, moments = tx.update(grads, moments, params)
            return (optax.apply_updates(params, updates), moments), loss

        return step

    return Workload(
        name="MLP" + ", donated" * donate,
        start=lambda: _copy((params, tx.init(params))),
        make_step=make_step,
        batch=(jax.random.normal(keys[3], (128, 64)), jnp.arange(128) % 10),
        jit=_donating if donate else jax.jit,
        rounds=60,
        steps=40,
        first_rounds=7,
    )


class Transformer(nnx.Module):
    """Predicts the next of 256 tokens."""

    def __init__(self, rngs: nnx.Rngs):
        self.embed = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)
        self.blocks = nnx.List(Block(rngs) for _ in range(LAYERS))
        self.norm = nnx.LayerNorm(WIDTH, rngs=rngs)
        self.head = nnx.Linear(WIDTH, VOCABULARY, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.embed(tokens)
        mask = nnx.make_causal_mask(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(x))


class Block(nnx.Module):
    """Attention and two dense layers, each behind a norm."""

    def __init__(self, rngs: nnx.Rngs):
        self.attention_norm = nnx.LayerNorm(WIDTH, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.dense_norm = nnx.LayerNorm(WIDTH, rngs=rngs)
        self.grow = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.shrink = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        x = x + self.attention(self.attention_norm(x), mask=mask)
        return x + self.shrink(jax.nn.gelu(self.grow(self.dense_norm(x))))


def loss_of(model: Any, tokens: jax.Array) -> jax.Array:
    """Mean cross entropy of the next token."""
    logits = model(tokens[:, :-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:])
    return losses.mean()


def _tokens() -> jax.Array:
    return jax.random.randint(jax.random.key(1), (BATCH, LENGTH + 1), 0, VOCABULARY)


def _copy(tree: Any) -> Any:
    return jax.block_until_ready(jax.tree.map(jnp.copy, tree))


_donating = functools.partial(jax.jit, donate_argnums=0)
