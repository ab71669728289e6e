"""Programs to peek into: each returns, by hand, the values of some of its own names.

The truth of a program is what its jitted function returns under the query: a name, or
the steps to it, as `attention / scores`. `absent` are the names that have no value.
"""

# ruff: noqa: RET504, RUF059  (names are what these programs are about)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


@dataclass(frozen=True)
class Peeking:
    """A program.

    Attributes:
        build: makes the function and its arguments.
        absent: names of which it has no value.
        axes: by query, the axes that vmap has put in.
        loops: by query, the lengths of the loops that lead.
    """

    build: Callable[[], tuple[Any, ...]]
    absent: tuple[str, ...] = ()
    axes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    loops: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.build.__name__


PROGRAMS: list[Peeking] = []


def program(**options: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(build: Callable[[], Any]) -> Callable[[], Any]:
        PROGRAMS.append(Peeking(build, **options))
        return build

    return add


X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
W = np.linspace(0.5, -0.5, 9, dtype=np.float32).reshape(3, 3)


@program()
def plain() -> Any:
    def attention(q, k):
        scores = q @ k.T / jnp.sqrt(q.shape[-1])
        weights = jax.nn.softmax(scores)
        return weights, {"scores": scores, "weights": weights}

    @jax.jit
    def f(x, w):
        q, k = x @ w, x
        out, found = attention(q, k)
        return {**found, "q": q, "k": k, "out": out, "f / x": x, "attention / q": q}

    return f, X, W


@program()
def lines_of_all_kinds() -> Any:
    @jax.jit
    def f(x):
        total = jnp.add(
            x.sum(
                axis=0,
            ),
            1.0,
        )
        x = x * 2  # the same name again
        x += 1
        (first, *rest), last = (x[0], x[1], x[2]), x[3]
        if (largest := x.max()) is not None:
            scaled = x / largest
        state = {"h": scaled, "n": (total, 3)}
        state["g"] = state["h"] + 1
        mask = np.tri(3, dtype=bool)
        return {
            "total": total,
            "x#1": x / 1 - 1,
            "x#2": x,
            "first": first,
            "rest[1]": rest[1],
            "last": last,
            "largest": largest,
            'state["h"]': state["h"],
            'state["n"][0]': total,
            'state["g"]': state["g"],
            "mask": mask,
        }

    return f, X


@program()
def gradient() -> Any:
    @jax.jit
    def step(params, x):
        def loss_fn(params):
            hidden = jnp.tanh(x @ params["w"])
            err = hidden.sum(-1) - params["b"]
            loss = (err**2).mean()
            return loss, {"hidden": hidden, "err": err, "loss_fn / loss": loss}

        (loss, found), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        new = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        return {**found, 'grads["w"]': grads["w"], 'new["b"]': new["b"]}

    return step, {"w": W, "b": np.float32(0.5)}, X


@program(loops={"h": (4,), "row": (4,), "double": (4,)})
def scan() -> Any:
    @jax.jit
    def f(x, w):
        def body(carry, row):
            h = jnp.sin(carry @ w + row)
            double = h * 2
            return h, {"h": h, "double": double, "row": row}

        last, found = jax.lax.scan(body, x[0], x)
        return {**found, "last": last}

    return f, X, W


@program(loops={"h": (4,)})
def scan_from_the_end() -> Any:
    @jax.jit
    def f(x):
        def body(carry, row):
            h = carry * 0.5 + row
            return h, {"h": h}

        last, found = jax.lax.scan(body, x[0], x, reverse=True)
        return {**found, "last": last}

    return f, X


@program(loops={"h": (4,), "gate": (4,)})
def scan_in_a_gradient() -> Any:
    @jax.jit
    def f(w, x):
        def loss_fn(w):
            def body(carry, row):
                gate = jax.nn.sigmoid(row @ w)
                h = carry * gate
                return h, {"h": h, "gate": gate}

            last, found = jax.lax.scan(body, x[0], x)
            return last.sum(), found

        (_, found), slope = jax.value_and_grad(loss_fn, has_aux=True)(w)
        return {**found, "slope": slope}

    return f, W, X


@program(loops={"total": (4, 3), "inner / c": (4, 3), "outer / carry": (4,)})
def loops_in_loops() -> Any:
    @jax.jit
    def f(x):
        def inner(c, element):
            total = c + element
            return total, {"total": total, "inner / c": c}

        def outer(carry, row):
            c, found = jax.lax.scan(inner, carry, row)
            return c, {**found, "outer / carry": carry}

        _, found = jax.lax.scan(outer, jnp.float32(0), x)
        return found

    return f, X


@program(loops={"y": (3,)})
def while_loop() -> Any:
    @jax.jit
    def f(x):
        def body(state):
            i, x, seen = state
            y = x * 1.5
            return i + 1, y, seen.at[i].set(y)

        state = 0, x, jnp.zeros((3, 4, 3))
        _, end, seen = jax.lax.while_loop(lambda s: s[0] < 3, body, state)
        return {"y": seen, "end": end}

    return f, X


@program(loops={"half": (3,)})
def fori_loop() -> Any:
    @jax.jit
    def f(x):
        def body(i, state):
            x, seen = state
            half = x / 2 + i
            return half, seen.at[i].set(half)

        end, seen = jax.lax.fori_loop(0, 3, body, (x, jnp.zeros((3, 4, 3))))
        return {"half": seen, "end": end}

    return f, X


@program(absent=("square", "alias"))
def one_branch_is_taken() -> Any:
    @jax.jit
    def f(x):
        outside = x + 1

        def positive(x):
            root = jnp.sqrt(x + 2)
            return root, root

        def negative(x):
            square = x**2
            alias = outside
            return square, alias

        chosen, root = jax.lax.cond(x[0, 0] < 0, positive, negative, x)
        return {"root": root, "chosen": chosen, "outside": outside}

    return f, X


@program(axes={"one / scores": (0,), "other / column#1": (1,), "shift": ()})
def vmapped() -> Any:
    @jax.jit
    def f(x, w):
        def one(row, w):
            scores = row @ w
            shift = w * 2
            return scores, shift

        def other(column):
            column = column * 3
            return column

        scores, shift = jax.vmap(one, in_axes=(0, None), out_axes=(0, None))(x, w)
        column = jax.vmap(other, in_axes=1, out_axes=1)(x)
        return {"scores": scores, "shift": shift, "other / column#1": column}

    return f, X, W


@program(absent=("root", "square"))
def branches_of_rows() -> Any:
    @jax.jit
    def f(x):
        def positive(v):
            root = jnp.sqrt(v)
            return root

        def negative(v):
            square = v * v
            return square

        def one(v):
            either = jax.lax.cond(v > 0, positive, negative, v)
            return either

        both = jax.vmap(one)(x[:, 0])
        return {"either": both, "both": both}

    return f, X


@program(absent=("y",))
def while_of_rows() -> Any:
    @jax.jit
    def f(x):
        def body(v):
            y = v * 2
            return y

        def one(v):
            end = jax.lax.while_loop(lambda v: v < 1, body, v)
            return end

        ends = jax.vmap(one)(jnp.abs(x[:, 0]) + 0.1)
        return {"end": ends, "ends": ends}

    return f, X


@program(loops={"h": (4,)}, axes={"h": (1,)})
def scan_of_rows() -> Any:
    @jax.jit
    def f(x):
        def body(carry, element):
            h = jnp.cos(carry) + element
            return h, h

        def one(column):
            last, hs = jax.lax.scan(body, jnp.float32(0), column)
            return last, hs

        last, hs = jax.vmap(one, in_axes=1, out_axes=(0, 1))(x)
        return {"h": hs, "f / last": last}

    return f, X


@program()
def nested_jits() -> Any:
    @jax.jit
    def layer(h, w):
        pre = h @ w
        act = jnp.tanh(pre)
        return act, pre

    @jax.jit
    def f(x, w):
        one, pre_one = layer(x, w)
        two, pre_two = layer(one, w)
        return {"pre#0": pre_one, "pre#1": pre_two, "act#0": one, "act#1": two}

    return f, X, W


@program()
def nested_jits_in_a_gradient() -> Any:
    @jax.jit
    def layer(h, w):
        pre = h @ w
        return jnp.tanh(pre), pre

    @jax.jit
    def f(w, x):
        def loss_fn(w):
            one, first = layer(x, w)
            two, second = layer(one, w)
            return two.sum(), {"pre#0": first, "pre#1": second, "one": one}

        grads, found = jax.grad(loss_fn, has_aux=True)(w)
        return {**found, "grads": grads}

    return f, W, X


@program()
def a_loop_of_python() -> Any:
    def block(h, w):
        mixed = h @ w
        return h + mixed, mixed

    @jax.jit
    def f(x, w):
        h, found = x, []
        for _ in range(3):
            h, mixed = block(h, w)
            found.append(mixed)
        return {f"block / mixed#{i}": m for i, m in enumerate(found)} | {"f / h#3": h}

    return f, X, W


@program()
def rematerialised() -> Any:
    @jax.jit
    def f(w, x):
        @jax.checkpoint
        def block(w, x):
            hidden = jnp.sin(x @ w)
            twice = jnp.sin(hidden)
            return twice, hidden

        def loss_fn(w):
            twice, hidden = block(w, x)
            return (twice**2).sum(), {"hidden": hidden, "block / twice": twice}

        slope, found = jax.grad(loss_fn, has_aux=True)(w)
        return {**found, "slope": slope}

    return f, W, X


@program(loops={"hidden": (3,)})
def rematerialised_in_a_scan() -> Any:
    @jax.jit
    def f(w, x):
        @jax.checkpoint
        def body(h, w):
            hidden = jnp.sin(h @ w)
            return hidden, hidden

        def loss_fn(w):
            last, hidden = jax.lax.scan(body, x, jnp.stack([w, w + 1, w - 1]))
            return (last**2).sum(), {"hidden": hidden, "last": last}

        slope, found = jax.grad(loss_fn, has_aux=True)(w)
        return {**found, "slope": slope}

    return f, W, X


@program()
def rules_of_derivatives() -> Any:
    @jax.custom_vjp
    def clipped(x):
        return jnp.clip(x, -0.5, 0.5)

    def forward(x):
        inside = jnp.abs(x) < 0.5
        return clipped(x), inside

    def backward(inside, g):
        through = jnp.where(inside, g, 0)
        return (through,)

    clipped.defvjp(forward, backward)

    @jax.jit
    def f(x):
        grads = jax.grad(lambda x: (clipped(x) * 3).sum())(x)
        return {"forward / inside": jnp.abs(x) < 0.5, "through": grads, "grads": grads}

    return f, X


@program(absent=("back", "after"))
def callbacks() -> Any:
    calls: list[Any] = []
    prints: list[Any] = []

    def host(x):
        calls.append(x)
        if len(calls) > 1:
            raise AssertionError("it was called back again")
        return np.asarray(x) + 1

    def print_once(total):
        prints.append(total)
        if len(prints) > 1:
            raise AssertionError("it was called back again")

    @jax.jit
    def f(x):
        before = x * 2
        jax.debug.callback(print_once, before.sum())
        back = jax.pure_callback(host, jax.ShapeDtypeStruct(x.shape, x.dtype), before)
        after = back + 1
        beside = before - 1
        return {"before": before, "beside": beside, "_": after}

    return f, X


@program()
def types_of_all_kinds() -> Any:
    @jax.jit
    def f(x, key):
        half = x.astype(jnp.bfloat16) * 3
        whole = jnp.arange(4) - 2
        flags = x > 0
        wave = x + 1j
        noise = jax.random.normal(key, (5,))
        nothing = x[:0]
        bad = jnp.log(x)
        return {
            "half": half,
            "whole": whole,
            "flags": flags,
            "wave": wave,
            "noise": noise,
            "nothing": nothing,
            "bad": bad,
        }

    return f, X, jax.random.key(3)


@program()
def not_jitted() -> Any:
    def f(x, n, name="sum"):
        repeated = jnp.tile(x, n)
        total = getattr(jnp, name)(repeated)
        return {"repeated": repeated, "total": total}

    return f, X, 2


@program()
def static_and_donated() -> Any:
    def f(x, n, scale):
        powers = x**n
        new = x * scale
        shifted = powers + closed
        return {"powers": powers, "new": new, "shifted": shifted}

    closed = jnp.ones(3)
    jitted = jax.jit(f, static_argnums=1, donate_argnums=0)
    return jitted, jnp.asarray(X), 3, 2.0


class Attention(nnx.Module):
    def __init__(self, rngs):
        self.q = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        scores = self.q(x) @ x.T
        return jax.nn.softmax(scores) @ x, scores


class Block(nnx.Module):
    def __init__(self, rngs):
        self.attn = Attention(rngs)

    def __call__(self, x):
        mixed, scores = self.attn(x)
        return x + mixed, scores


class Model(nnx.Module):
    def __init__(self, rngs):
        self.blocks = nnx.List([Block(rngs) for _ in range(3)])
        self.count = nnx.Variable(jnp.zeros(()))

    def __call__(self, x):
        found = []
        self.count[...] += 1
        for block in self.blocks:
            x, scores = block(x)
            found.append(scores)
        return x, found


@program()
def module_of_nnx() -> Any:
    @nnx.jit
    def f(model, x):
        out, found = model(x)
        paths = (f"model.blocks[{i}].attn / scores" for i in range(3))
        return {**dict(zip(paths, found, strict=True)), "out": out}

    return f, Model(nnx.Rngs(0)), X


@program()
def training_step_of_nnx() -> Any:
    @nnx.jit
    def train_step(model, x):
        def loss_fn(model):
            out, found = model(x)
            return (out**2).mean(), found

        (loss, found), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
        params = nnx.state(model, nnx.Param)
        new = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        nnx.update(model, new)
        return {"model.blocks[2].attn / scores": found[2], "loss": loss}

    return train_step, Model(nnx.Rngs(0)), X


@program()
def model_of_nnx_that_is_not_jitted() -> Any:
    def f(model, x):
        out, found = model(x)
        return {"model.blocks[1].attn / scores": found[1], "out": out}

    return f, Model(nnx.Rngs(0)), X


class Layer(eqx.Module):
    weight: jax.Array
    name: str = "layer"

    def __call__(self, x):
        pre = x @ self.weight
        return jnp.tanh(pre), pre


class Net(eqx.Module):
    layers: list[Layer]

    def __call__(self, x):
        found = []
        for layer in self.layers:
            x, pre = layer(x)
            found.append(pre)
        return x, found


def net_of_equinox() -> Net:
    return Net([Layer(jnp.asarray(W)), Layer(jnp.asarray(W + 1), "second")])


@program()
def step_of_equinox() -> Any:
    @eqx.filter_jit
    def step(net, x):
        def loss_fn(net):
            out, found = net(x)
            return out.sum(), found

        (loss, found), _ = eqx.filter_value_and_grad(loss_fn, has_aux=True)(net)
        paths = (f"net.layers[{i}] / pre" for i in range(2))
        return {**dict(zip(paths, found, strict=True)), "loss": loss}

    return step, net_of_equinox(), X


@program(axes={"net.layers[0] / pre": (0,)})
def equinox_that_is_not_jitted() -> Any:
    def f(net, x):
        out, found = jax.vmap(net)(x)
        paths = (f"net.layers[{i}] / pre" for i in range(2))
        return {**dict(zip(paths, found, strict=True)), "out": out}

    return f, net_of_equinox(), X


class Ratio(nn.Module):
    @nn.compact
    def __call__(self, x):
        width = self.param("width", nn.initializers.ones, (3,))
        ratio = x / (width + 1)
        return ratio


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        first = Ratio(name="one")(nn.Dense(3)(x))
        second = Ratio(name="two")(first)
        return {"LinenNet/one / ratio": first, "LinenNet/two / ratio": second}


@program()
def apply_of_linen() -> Any:
    net = LinenNet()
    params = net.init(jax.random.key(0), X)

    @jax.jit
    def f(params, x):
        return net.apply(params, x)

    return f, params, X
