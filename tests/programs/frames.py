"""Short jitted functions that go wrong, with the frames inside and what is in them.

The truth beside each is what the same function does without jit: the frames from
outside in, and some variables of the innermost one at the moment of birth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from tests.programs.origins import Built, f32


@dataclass(frozen=True)
class Inside:
    """A program, and the frames inside its call.

    Attributes:
        build: makes it anew.
        frames: names of the functions, from outside in.
        here: variables of the innermost frame, by the expression that gives them.
        outer: the same of the outermost frame.
        axes: of which axes of a variable vmap has put in.
        absent: variables of the innermost frame whose value cannot be known.
    """

    build: Callable[[], Built]
    frames: str
    here: Mapping[str, Any]
    outer: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the function that builds it."""
        return self.build.__name__


PROGRAMS: list[Inside] = []


def inside(frames: str, **truth: Any) -> Callable[[Callable[[], Built]], Any]:
    """Adds a program with the truth about it."""

    def add(build: Callable[[], Built]) -> Callable[[], Built]:
        PROGRAMS.append(Inside(build, frames, **truth))
        return build

    return add


def logarithm(x: jax.Array) -> jax.Array:
    """Is -Inf at 0 and NaN below."""
    shifted = x - 1
    return jnp.log(shifted)


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with twice its argument."""

    @functools.wraps(function)
    def wrapper(x: Any) -> Any:
        return function(2 * x)

    return wrapper


@inside("f logarithm", here={"shifted": [1, -1], "x": [2, 0]}, outer={"y": [2, 0]})
def nested_call() -> Built:
    @jax.jit
    def f(y):
        return logarithm(y)

    return Built(f, (f32(2, 0),))


@inside("f <lambda> logarithm", here={"x": 0.5}, outer={"rows": [2, 3, 0.5, 7]})
def scan_step() -> Built:
    @jax.jit
    def f(rows):
        return jax.lax.scan(lambda c, row: (c + row, logarithm(row)), 0.0, rows)

    return Built(f, (f32(2, 3, 0.5, 7),))


@inside("f <lambda> logarithm", here={"x": 1, "shifted": 0})
def while_step() -> Built:
    @jax.jit
    def f(x):
        return jax.lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] - 2 + logarithm(c[1]) * 0), x
        )

    return Built(f, ((0, jnp.float32(3)),))


@inside("f low", here={"x": -2.0, "y": -6.0})
def branch() -> Built:
    def low(x):
        y = x * 3
        return jnp.log(y)

    @jax.jit
    def f(x):
        return jax.lax.cond(x > 0, jnp.sin, low, x)

    return Built(f, (jnp.float32(-2),))


@inside("f logarithm", here={"x": [2, 0, 3]}, axes={"x": (0,), "shifted": (0,)})
def batched() -> Built:
    return Built(jax.jit(lambda_named_f(jax.vmap(logarithm))), (f32(2, 0, 3),))


def lambda_named_f(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function `f` that calls another."""

    def f(x):
        return function(x)

    return f


@inside("f block", here={"x": [3, 0], "h": [0, -3]}, outer={"y": [3, 0]})
def rematerialised() -> Built:
    @jax.checkpoint
    def block(x):
        h = x - 3
        return jnp.log(h + 1)

    def f(y):
        return block(y).sum()

    return Built(jax.jit(jax.value_and_grad(f)), (f32(3, 0),))


@inside("block", here={"x": [0, 2], "s": 0.0})
def second_of_three_equal_blocks_rematerialised() -> Built:
    # JAX traces the block once: in which of its calls it is, nothing says.
    @jax.checkpoint
    def block(x, s):
        return x / s

    def f(x, s):
        for i in range(3):
            x = block(2 * x, s[i])
        return x.sum()

    return Built(jax.jit(jax.value_and_grad(f)), (f32(0, 0.5), f32(1, 0, 1)))


@inside("f layer", here={"x": [2, 2], "s": 0.0}, outer={"i": 1, "x": [2, 2]})
def backward_in_the_second_of_three_equal_layers() -> Built:
    @jax.jit
    def layer(x, s):
        return jnp.sqrt(x * s)

    def f(x, s):
        for i in range(3):
            x = layer(x, s[i]) + 1
        return x.sum()

    return Built(jax.jit(jax.grad(f)), (f32(1, 1), f32(1, 0, 1)))


@inside(
    "logarithm",
    here={"x": [[2, 3], [4, 0]], "shifted": [[1, 2], [3, -1]]},
    axes={"x": ()},
)
def sharded() -> Built:
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    f = jax.shard_map(logarithm, mesh=mesh, in_specs=spec, out_specs=spec)
    return Built(jax.jit(f), (f32(2, 3, 4, 0),))


@inside("f root", here={"x": [1, 0], "y": [1, 0]}, outer={"z": [1, 0]})
def backward() -> Built:
    def root(x):
        y = x * x
        return jnp.sqrt(y)

    def f(z):
        return root(z).sum()

    return Built(jax.jit(jax.grad(f)), (f32(1, 0),))


@inside("f cell", here={"x": 0.0, "y": 0.0})
def backward_in_a_scan() -> Built:
    def cell(total, x):
        y = x * x
        return total + jnp.sqrt(y), y

    def f(rows):
        return jax.lax.scan(cell, 0.0, rows)[0]

    return Built(jax.jit(jax.grad(f)), (f32(1, 0, 2),))


@inside("f cell", here={"x": 0.0, "scale": 1e-37}, outer={"xs": [0, 0, 0]})
def born_as_the_scan_goes_back() -> Built:
    def cell(total, row):
        x, scale = row
        return total + 1e3 * (x / scale), None

    def f(xs, scales):
        return jax.lax.scan(cell, 0.0, (xs, scales))[0]

    return Built(jax.jit(jax.grad(f)), (f32(0, 0, 0), f32(1, 1e-37, 2)))


@inside("step backwards", here={"x": [1, 0], "grads": [2, 2]})
def backward_rule() -> Built:
    @jax.custom_vjp
    def root(x):
        return jnp.sqrt(x)

    def forwards(x):
        return root(x), x

    def backwards(x, g):
        grads = g * 2
        return (grads / x,)

    root.defvjp(forwards, backwards)

    @jax.jit
    def step(x):
        return jax.grad(lambda v: root(v).sum())(x)

    return Built(step, (f32(1, 0),))


@inside("step loss rule", here={"x": [1, 0]}, absent=("dx",))
def tangent_rule() -> Built:
    @jax.custom_jvp
    def root(x):
        return jnp.sqrt(x)

    @root.defjvp
    def rule(primals, tangents):
        (x,), (dx,) = primals, tangents
        return root(x), (1 / x) * dx

    def loss(v):
        return root(v).sum()

    @jax.jit
    def step(x):
        return jax.grad(loss)(x)

    return Built(step, (f32(1, 0),))


@inside("f layer", here={"x": [0, 0], "scale": 0.0}, outer={"w": [1, 0, 1]})
def second_call_of_an_inner_jit() -> Built:
    @jax.jit
    def layer(x, scale):
        return x / scale

    @jax.jit
    def f(x, w):
        for i in range(3):
            x = layer(x * i, w[i])
        return x

    return Built(f, (f32(0, 0), f32(1, 0, 1)))


@inside("f <listcomp> logarithm", here={"x": [0, 5]}, outer={"rows": [[3, 4], [0, 5]]})
def comprehension() -> Built:
    @jax.jit
    def f(rows):
        return [logarithm(row) for row in rows]

    return Built(f, (jnp.stack([f32(3, 4), f32(0, 5)]),))


@inside("f pieces", here={"x": [3, 0], "piece": 0.0})
def generator() -> Built:
    def pieces(x):
        for piece in x:
            yield jnp.log(piece - 1)

    @jax.jit
    def f(x):
        return sum(pieces(x))

    return Built(f, (f32(3, 0),))


@inside("f inner", here={"outer_value": [4, 0], "factor(outer_value)": [8, 0]})
def closure() -> Built:
    @jax.jit
    def f(x):
        two = x[0] / 2

        def factor(value):
            return value * two

        outer_value = x

        def inner():
            return jnp.log(factor(outer_value) - 1)

        return inner()

    return Built(f, (f32(4, 0),))


@inside("f wrapper logarithm", here={"x": [8, 0]}, outer={"x": [4, 0]})
def decorated() -> Built:
    g = doubled(logarithm)

    @jax.jit
    def f(x):
        return g(x)

    return Built(f, (f32(4, 0),))


class Scaled(nnx.Module):
    """Divides by its scale."""

    def __init__(self):
        self.scale = nnx.Param(f32(1, 0))

    def __call__(self, x):
        return x / self.scale


@inside(
    "step loss __call__",
    here={"self.scale[...]": [1, 0], "self(x)[0]": 3, "x": [3, 0]},
    outer={"model.scale[...]": [1, 0]},
)
def module_of_nnx() -> Built:
    def loss(model, x):
        return model(x).sum()

    @nnx.jit
    def step(model, optimizer, x):
        grads = nnx.grad(loss)(model, x)
        optimizer.update(model, grads)

    model = Scaled()
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    return Built(step, (model, optimizer, f32(3, 0)), {"model": model})


@inside(
    "apply __call__",
    here={"x": [3, 0], "self.get_variable('params', 'scale')": [1, 0], "scale": [1, 0]},
)
def module_of_linen() -> Built:
    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            scale = self.param("scale", flax.linen.initializers.ones, (2,))
            return x / scale

    net = Net()

    @jax.jit
    def apply(params, x):
        return net.apply(params, x)

    return Built(apply, ({"params": {"scale": f32(1, 0)}}, f32(3, 0)))


@inside("f __call__", here={"self.scale": [1, 0], "x": [3, 0]})
def module_of_equinox() -> Built:
    class Net(eqx.Module):
        scale: jax.Array

        def __call__(self, x):
            return x / self.scale

    @eqx.filter_jit
    def f(net, x):
        return net(x)

    return Built(f, (Net(f32(1, 0)), f32(3, 0)))


ROWS = np.float32([[[1, 2], [0, 1]], [[3, 4], [5, 6]]])


@inside(
    "f <lambda> cell", here={"row": ROWS[:, 1]}, axes={"row": (0,)}, outer={"x": ROWS}
)
def scan_under_vmap() -> Built:
    def cell(total, row):
        return total, jnp.log(row)

    def f(x):
        return jax.vmap(lambda one: jax.lax.scan(cell, 0.0, one)[1])(x)

    return Built(jax.jit(f), (jnp.asarray(ROWS),))
