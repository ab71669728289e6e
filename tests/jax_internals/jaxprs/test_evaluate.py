"""A jaxpr evaluated equation by equation: what it gives, and what a visitor sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from jaxdbg.jax_internals.jaxprs.evaluate import Frame, Visitor, Wanted, evaluate
from jaxdbg.jax_internals.jaxprs.higher_order import Cond, HigherOrder

X = np.linspace(-1, 2, 4, dtype=np.float32)


# What a newcomer writes: the value of each name, with the iterations around it.


class Named(Visitor[Any]):
    def __init__(self) -> None:
        self.values: dict[tuple[Any, ...], Any] = {}

    def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
        outs = super().bind(frame, n, ins)
        eqn = frame.eqns[n]
        if eqn.primitive.name == "name":
            iterations = [i for _, i, _ in frame.loop]
            self.values[(eqn.params["name"], *iterations)] = float(outs[0])
        return outs


def test_the_value_of_each_name_in_each_iteration():
    @jax.jit
    def layer(x):
        return checkpoint_name(x * 2, "doubled")

    def step(x, w):
        y = checkpoint_name(x + w, "sum")
        return jax.lax.fori_loop(0, 2, lambda i, v: layer(v) + i, y), y

    named = Named()
    jaxpr = jax.make_jaxpr(lambda x, w: jax.lax.scan(step, x, w))(1.0, jnp.arange(2.0))
    outs = evaluate(jaxpr, [np.float32(1), np.arange(2, dtype=np.float32)], named)
    assert named.values == {
        ("sum", 0): 1,
        ("doubled", 0, 0): 2,
        ("doubled", 0, 1): 4,
        ("sum", 1): 6,
        ("doubled", 1, 0): 12,
        ("doubled", 1, 1): 24,
    }
    assert [np.asarray(o).tolist() for o in outs] == [25, [1, 6]]


# What is evaluated is what JAX computes.


@jax.custom_jvp
def softened(x):
    return jnp.tanh(x)


softened.defjvp(lambda x, t: (jnp.tanh(x[0]), t[0] * 3))


def batched_while(x):
    def count(v):
        return jax.lax.while_loop(lambda s: s[0] < v, lambda s: (s[0] + 1, s[1] * 2), s)

    s = (jnp.float32(0), jnp.float32(1))
    return jax.vmap(count)(x)


PROGRAMS = {
    "calls": lambda x: jax.jit(jnp.sin)(x) + jax.checkpoint(jnp.cos)(x) + softened(x),
    "gradient": jax.grad(lambda x: (softened(x) * jax.checkpoint(jnp.exp)(x)).sum()),
    "cond": lambda x: jax.lax.switch(1, [jnp.sin, lambda v: v * x, jnp.cos], x),
    "scan": lambda x: jax.lax.scan(lambda c, v: (c * x[0] + v, c - v), x[1], x),
    "scan in reverse": lambda x: jax.lax.scan(
        lambda c, v: (c + v, c), x[1], x, reverse=True
    ),
    "scan without an iteration": lambda x: jax.lax.scan(
        lambda c, v: (c + v, c), x, x[:0, None]
    ),
    "while": lambda x: jax.lax.while_loop(
        lambda s: s.sum() < x.sum() + 9, lambda s: s + x[3], x
    ),
    "while under vmap": batched_while,
    "keys": lambda x: jax.lax.scan(
        lambda c, k: (c + jax.random.uniform(k), k),
        x,
        jax.random.split(jax.random.key(0)),
    )[0],
    "solve": lambda x: jax.lax.custom_linear_solve(
        lambda v: x[3] * v, x, lambda _, b: b / x[3], symmetric=True
    ),
}


@pytest.mark.parametrize("wanted", [True, None])
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_gives_what_jax_gives(name: str, wanted: bool | None):
    jaxpr = jax.make_jaxpr(PROGRAMS[name])(X)
    some = wanted and [wanted] * len(jaxpr.out_avals)
    outs = Visitor[Any]().run(Frame(jaxpr), [X], some)
    for out, expected in zip(outs, jax.tree.leaves(PROGRAMS[name](X)), strict=True):
        np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_only_what_is_wanted_is_evaluated():
    class Seen(Visitor[Any]):
        names: Sequence[str] = ()

        def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
            self.names = (*self.names, frame.eqns[n].primitive.name)
            return super().bind(frame, n, ins)

    jaxpr = jax.make_jaxpr(jax.jit(lambda x: (jnp.sin(x), jnp.cos(x))))(X)
    seen = Seen()
    sine, cosine = seen.run(Frame(jaxpr), [X], [True, False])
    assert (seen.names, cosine) == (("sin",), None)
    np.testing.assert_allclose(sine, np.sin(X), rtol=1e-6)


def test_a_frame_says_where_it_is():
    frames = []

    class Entered(Visitor[Any]):
        def enter(
            self, frame: Frame, n: int, inner: HigherOrder, which: int = 0, i: int = 0
        ) -> Frame:
            frames.append(super().enter(frame, n, inner, which, i))
            return frames[-1]

    def step(c, v):
        return jax.lax.cond(v > 0, lambda: c + v, lambda: c), None

    evaluate(jax.make_jaxpr(lambda x: jax.lax.scan(step, 0.0, x)[0])(X), [X], Entered())
    steps = [f for f in frames if not f.branches]
    taken = [f.branches[0][0] for f in frames if f.branches]
    assert [f.loop for f in steps] == [(("scan", i, 4),) for i in range(4)]
    assert [f.order[:2] for f in steps] == [(steps[0].order[0], i) for i in range(4)]
    assert taken == [0, 0, 1, 1]


def test_a_visitor_may_take_both_branches():
    class Both(Visitor[Any]):
        def cond(
            self, frame: Frame, n: int, inner: Cond, ins: list[Any], wanted: Wanted
        ) -> list[Any]:
            _, *operands = ins
            outs = [
                self.run(self.enter(frame, n, inner, which), operands)
                for which in range(len(inner.bodies))
            ]
            return [sum(pair) for pair in zip(*outs, strict=True)]

    jaxpr = jax.make_jaxpr(lambda x: jax.lax.cond(x > 0, lambda: x, lambda: -3 * x))(
        X[0]
    )
    (out,) = evaluate(jaxpr, [np.float32(5)], Both())
    assert out == -10
