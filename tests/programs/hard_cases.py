"""Programs that a checker of JAX gets wrong easily: one small function for each.

A row builds a program that is already jitted, with arguments that give good values and
arguments that give a NaN or an Inf; a program that cannot go wrong has no bad ones.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.experimental import pallas as pl
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Program:
    """What a row builds: a callable, and the arguments it takes."""

    call: Callable[..., Any]
    good: Args
    bad: Args | None = None


@dataclass(frozen=True)
class Case:
    """A row of the table: a program, and what is found when it goes wrong.

    Attributes:
        name: of the row.
        build: makes the program anew, so that each test starts with its own traces.
        kind, function, call, index: of the finding, when the program has been called
            with good arguments and then with bad ones.
    """

    name: str
    build: Callable[[], Program]
    kind: str
    function: str
    call: int
    index: tuple[int, ...]


CASES: list[Case] = []


def case(
    kind: str = "",
    index: tuple[int, ...] = (),
    function: str = "f",
    call: int = 2,
) -> Callable[[Callable[[], Program]], Callable[[], Program]]:
    """Adds a row that is named after the function that builds it."""

    def add(build: Callable[[], Program]) -> Callable[[], Program]:
        CASES.append(Case(build.__name__, build, kind, function, call, index))
        return build

    return add


def array(*values: float, dtype: Any = jnp.float32) -> jax.Array:
    """An array, written short."""
    return jnp.array(values, dtype)


POSITIVE, MIXED = array(1.0, 2.0, 3.0), array(1.0, -2.0, 3.0)
FOUR, FOUR_MIXED = array(1.0, 2.0, 3.0, 4.0), array(1.0, 2.0, 3.0, -4.0)
"""The logarithm of the first is good, of the second bad at one index."""


# -- calls in calls --------------------------------------------------------------------


@case("nan", index=(1,))
def jit_in_jit() -> Program:
    inner = jax.jit(lambda x: jax.jit(jnp.log)(x) + 1)

    @jax.jit
    def f(x):
        return {"sum": x.sum(), "log": inner(x)}

    return Program(f, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def custom_jvp() -> Program:
    @jax.custom_jvp
    def log(x):
        return jnp.log(x)

    @log.defjvp
    def log_jvp(primals, tangents):
        return log(*primals), tangents[0] / primals[0]

    @jax.jit
    def f(x):
        return log(x)

    return Program(f, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def custom_jvp_in_grad() -> Program:
    @jax.custom_jvp
    def root(x):
        return jnp.sqrt(x)

    @root.defjvp
    def root_jvp(primals, tangents):
        return root(*primals), 0.5 * tangents[0] / root(*primals)

    @jax.jit
    def f(x):
        return jax.grad(lambda x: root(x).sum())(x)

    return Program(f, (POSITIVE,), (MIXED,))


@case("inf", index=(2,))
def custom_vjp() -> Program:
    @jax.custom_vjp
    def clipped(x):
        return x * 2

    def forward(x):
        return clipped(x), x

    def backward(x, ct):
        return (ct / x,)

    clipped.defvjp(forward, backward)

    @jax.jit
    def f(x):
        return jax.grad(lambda x: clipped(x).sum())(x)

    return Program(f, (POSITIVE,), (array(1.0, 2.0, 0.0),))


@case("nan", index=(1,))
def remat() -> Program:
    @jax.jit
    def f(x):
        return jax.grad(lambda x: jax.checkpoint(jnp.sqrt)(x).sum())(x)

    return Program(f, (POSITIVE,), (MIXED,))


@case("inf", index=(0,), call=3)  # forward and backward are a call each
def grad_of_jit() -> Program:
    @jax.jit
    def f(x):
        return jnp.sqrt(x).sum()

    return Program(jax.grad(f), (POSITIVE,), (array(0.0, 1.0, 2.0),))


@case("inf", index=(0,))
def jit_of_grad() -> Program:
    def f(x):
        return jnp.sqrt(x).sum()

    return Program(jax.jit(jax.grad(f)), (POSITIVE,), (array(0.0, 1.0, 2.0),))


@case("nan", index=(1,))
def vmap_of_jit() -> Program:
    @jax.jit
    def f(x):
        return jnp.log(x)

    return Program(jax.vmap(f), (POSITIVE,), (MIXED,))


# -- control flow ----------------------------------------------------------------------


@case("nan", index=(2,))
def scan() -> Program:
    @jax.jit
    def f(xs):
        return jax.lax.scan(lambda c, x: (c * x, jnp.sqrt(c - 1)), 3.0, xs)

    return Program(f, (array(1.0, 1.0, 1.0),), (array(0.5, 0.5, 0.5),))


@case("nan", index=(2,), function="scan")
def eager_scan_of_jit() -> Program:
    @jax.jit
    def f(c):
        return jnp.sqrt(c - 1)

    def run(xs):
        return jax.lax.scan(lambda c, x: (c * x, f(c)), 3.0, xs)[1]

    return Program(run, (array(1.0, 1.0, 1.0),), (array(0.5, 0.5, 0.5),))


@case("inf")
def while_loop() -> Program:
    @jax.jit
    def f(n, x):
        return jax.lax.while_loop(
            lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1] * s[1]), (n, x)
        )[1]

    return Program(f, (3, 2.0), (9, 2.0))


@case("inf", index=(1,))
def batched_while() -> Program:
    @jax.jit
    def f(ns, xs):
        def power(n, x):
            return jax.lax.while_loop(
                lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1] * s[1]), (n, x)
            )[1]

        return jax.vmap(power)(ns, xs)

    xs = array(2.0, 2.0, 2.0)
    return Program(f, (jnp.array([3, 1, 0]), xs), (jnp.array([0, 9, 2]), xs))


@case("nan", index=(1,))
def cond_taken() -> Program:
    @jax.jit
    def f(pred, x):
        return jax.lax.cond(pred, jnp.log, jnp.cos, x)

    return Program(f, (True, POSITIVE), (True, MIXED))


@case("nan", index=(1,))
def cond_untaken() -> Program:
    @jax.jit
    def f(pred, x):
        return jax.lax.cond(pred, jnp.log, jnp.cos, x)

    return Program(f, (False, MIXED), (True, MIXED))


@case("nan", index=(1,))
def vmap_of_cond() -> Program:
    @jax.jit
    def f(preds, xs):
        return jax.vmap(lambda p, x: jax.lax.cond(p, jnp.log, jnp.cos, x))(preds, xs)

    preds = jnp.array([True, False, True])
    return Program(f, (preds, MIXED), (~preds, MIXED))


@case("nan", index=(1,))
def switch() -> Program:
    @jax.jit
    def f(which, x):
        return jax.lax.switch(which, [jnp.cos, jnp.log, jnp.sin], x)

    return Program(f, (0, MIXED), (1, MIXED))


# -- how a function is jitted and called -----------------------------------------------


@case("nan", index=(1,))
def donation() -> Program:
    @functools.partial(jax.jit, donate_argnums=0)
    def f(state, x):
        return jnp.log(state + x)

    return Program(f, (POSITIVE, FOUR[:3]), (POSITIVE, array(0.0, -5.0, 0.0)))


@case("nan", index=(1,))
def donated_tree() -> Program:
    @functools.partial(jax.jit, donate_argnames="state")
    def f(state, x):
        return {k: jnp.log(v + x) for k, v in state.items()}, x.sum()

    state = {"a": POSITIVE, "b": POSITIVE * 2}
    return Program(f, (state, FOUR[:3]), (state, array(0.0, -9.0, 0.0)))


@case("nan", index=(1,))
def static_arguments() -> Program:
    @functools.partial(jax.jit, static_argnums=0, static_argnames="power")
    def f(how, x, *, power, scale=1.0):
        return getattr(jnp, how)(x) ** power * scale

    def call(x):
        return f("log", x, power=2, scale=3.0)

    return Program(call, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def keyword_arguments() -> Program:
    @jax.jit
    def f(x, *, scale, **more):
        return jnp.log(x) * scale + more["shift"]

    def call(x):
        return f(x=x, shift=1.0, scale=2.0)

    return Program(call, (POSITIVE,), (MIXED,))


class _Logarithm:
    def __init__(self, scale: float):
        self.scale = scale

    def f(self, x):
        return jnp.log(x) * self.scale

    @functools.partial(jax.jit, static_argnums=0)
    def g(self, x):
        return jnp.log(x) * self.scale


@case("nan", index=(1,))
def bound_method() -> Program:
    return Program(jax.jit(_Logarithm(2.0).f), (POSITIVE,), (MIXED,))


@case("nan", index=(1,), function="g")
def jitted_method() -> Program:
    return Program(_Logarithm(2.0).g, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def partial() -> Program:
    def f(scale, x):
        return jnp.log(x) * scale

    return Program(jax.jit(functools.partial(f, 2.0)), (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def ahead_of_time() -> Program:
    @jax.jit
    def f(x):
        return jnp.log(x)

    return Program(f.lower(POSITIVE).compile(), (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def donation_ahead_of_time() -> Program:
    @functools.partial(jax.jit, donate_argnums=0)
    def f(state, x, scale):
        return jnp.log(state + x) * scale["of"]

    scale = {"of": 2.0}
    compiled = f.lower(POSITIVE, POSITIVE, scale).compile()
    bad = array(0.0, -5.0, 0.0)
    return Program(compiled, (POSITIVE, FOUR[:3], scale), (POSITIVE, bad, scale))


@case("nan", index=(1,), call=4)
def generator() -> Program:
    @jax.jit
    def f(x):
        return jnp.log(x)

    def steps(x) -> Iterator[jax.Array]:
        for i in range(3):
            yield f(x + i)

    bad = array(1.0, -1.5, 3.0)
    return Program(lambda x: list(steps(x)), (POSITIVE,), (bad,))


@case("nan", index=(1,))
def thread() -> Program:
    @jax.jit
    def f(x):
        return jnp.log(x)

    def call(x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(f, x).result()

    return Program(call, (POSITIVE,), (MIXED,))


# -- flax ------------------------------------------------------------------------------


class _Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(self.dropout(nnx.relu(self.norm(self.linear(x)))))


@case("nan", index=(0,), function="train_step")
def nnx_jit() -> Program:
    @nnx.jit
    def train_step(model, optimizer, x, y):
        def loss_of(model):
            return jnp.mean(jnp.log(y) * (model(x)[:, 0] - y) ** 2)

        loss, grads = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, grads)
        return loss

    model = _Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    x = jnp.arange(12.0).reshape(4, 3)
    good, bad = array(1.0, 2.0, 3.0, 4.0), array(1.0, 2.0, -3.0, 4.0)
    return Program(train_step, (model, optimizer, x, good), (model, optimizer, x, bad))


@case("nan", index=(0, 1))
def nnx_scan() -> Program:
    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=0)
    def layers(rngs):
        return nnx.Linear(2, 2, kernel_init=nnx.initializers.ones, rngs=rngs)

    @nnx.jit
    def f(model, x):
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def run(layer, x):
            return layer(x) * x

        return jnp.sqrt(run(model, x))

    good, bad = jnp.ones((1, 2)), jnp.array([[2.0, -1.0]])
    model = layers(nnx.Rngs(0))
    return Program(f, (model, good), (model, bad))


@case("nan", index=(0, 1))
def nnx_vmap() -> Program:
    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=0)
    def layers(rngs):
        return nnx.Linear(2, 2, kernel_init=nnx.initializers.ones, rngs=rngs)

    @nnx.jit
    def f(model, x):
        return nnx.vmap(lambda layer, x: jnp.sqrt(layer(x) * x), in_axes=(0, None))(
            model, x
        )

    model = layers(nnx.Rngs(0))
    return Program(f, (model, array(1.0, 1.0)), (model, array(2.0, -1.0)))


# -- devices ---------------------------------------------------------------------------


def _mesh(kind: AxisType) -> Mesh:
    return jax.make_mesh((2,), ("x",), axis_types=(kind,))


@case("nan", index=(3,))
def shard_map() -> Program:
    mesh = _mesh(AxisType.Auto)

    @jax.jit
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=P("x"), out_specs=P("x"))
    def f(x):
        return jnp.log(x) + jax.lax.psum(x, "x").sum()

    sharding = NamedSharding(mesh, P("x"))
    good, bad = (jax.device_put(a, sharding) for a in (FOUR, FOUR_MIXED))
    return Program(f, (good,), (bad,))


@case("nan", index=(3,))
def sharded() -> Program:
    sharding = NamedSharding(_mesh(AxisType.Auto), P("x"))

    @functools.partial(jax.jit, out_shardings=sharding)
    def f(x):
        return jnp.log(x)

    good, bad = (jax.device_put(a, sharding) for a in (FOUR, FOUR_MIXED))
    return Program(f, (good,), (bad,))


@case("nan", index=(3,))
def set_mesh() -> Program:
    mesh = _mesh(AxisType.Explicit)

    @jax.jit
    def f(x):
        return jnp.log(x) * 2

    def call(x):
        with jax.set_mesh(mesh):
            return f(jax.device_put(x, P("x")))

    return Program(call, (FOUR,), (FOUR_MIXED,))


@case("nan", index=(1, 1))
def pmap() -> Program:
    def f(x):
        return jnp.log(x)

    shape = (2, 2)
    return Program(jax.pmap(f), (FOUR.reshape(shape),), (FOUR_MIXED.reshape(shape),))


@case("nan", index=(1,))
def pallas() -> Program:
    def kernel(x_ref, o_ref):
        o_ref[...] = jnp.log(x_ref[...])

    @jax.jit
    def f(x):
        out = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pl.pallas_call(kernel, out_shape=out, interpret=True)(x)

    return Program(f, (POSITIVE,), (MIXED,))


# -- kinds of values -------------------------------------------------------------------


@case("inf", index=(2,))
def bfloat16() -> Program:
    @jax.jit
    def f(x):
        return jnp.exp(x)

    good, bad = POSITIVE.astype(jnp.bfloat16), array(1, 2, 100, dtype=jnp.bfloat16)
    return Program(f, (good,), (bad,))


@case("inf", index=(1,))
def float16() -> Program:
    @jax.jit
    def f(x):
        return x * x

    good, bad = POSITIVE.astype(jnp.float16), array(1, 300, 3, dtype=jnp.float16)
    return Program(f, (good,), (bad,))


@case("nan", index=(1,))
def float8() -> Program:
    @jax.jit
    def f(x):
        return jnp.log(x).astype(jnp.float8_e4m3fn)

    return Program(f, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def complex64() -> Program:
    @jax.jit
    def f(x):
        return 1j / x

    return Program(
        f,
        (POSITIVE.astype(jnp.complex64),),
        (array(1.0, 0.0, 2.0, dtype=jnp.complex64),),
    )


@case()
def integers() -> Program:
    @jax.jit
    def f(x):
        return x // 2, x > 1, jnp.argsort(x)

    return Program(f, (jnp.arange(3),))


@case("nan", index=(0,))
def random_keys() -> Program:
    @jax.jit
    def f(key, scale):
        key, used = jax.random.split(key)
        return key, jnp.sqrt(scale) * jax.random.normal(used, (2,))

    return Program(f, (jax.random.key(0), 2.0), (jax.random.key(0), -2.0))


@case("nan")
def empty_arrays() -> Program:
    @jax.jit
    def f(x):
        return x[:0], jnp.mean(x)

    return Program(f, (POSITIVE,), (POSITIVE[:0],))


@case()
def no_outputs() -> Program:
    @jax.jit
    def f(x):
        jax.debug.callback(lambda x: None, jnp.log(x))

    return Program(f, (POSITIVE,))


# -- effects ---------------------------------------------------------------------------


def _host_log(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.log(np.asarray(x))


@case("nan", index=(1,))
def pure_callback() -> Program:
    @jax.jit
    def f(x):
        return jax.pure_callback(_host_log, jax.typeof(x), x)

    return Program(f, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def debug_print() -> Program:
    @jax.jit
    def f(x):
        jax.debug.print("x is {}", x)
        return jnp.log(x)

    return Program(f, (POSITIVE,), (MIXED,))


@case("nan", index=(1,))
def mutated_ref() -> Program:
    @jax.jit
    def f(ref, x):
        ref[...] = ref[...] + x
        return jnp.log(x)

    def call(x):
        ref = jax.new_ref(jnp.zeros(3))
        return f(ref, x), ref[...]

    return Program(call, (POSITIVE,), (MIXED,))


# -- for the tests ---------------------------------------------------------------------

CAN_FAIL = [c for c in CASES if c.kind]

each = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
each_that_fails = pytest.mark.parametrize("case", CAN_FAIL, ids=lambda c: c.name)


def bits(tree: Any) -> list[Any]:
    """Everything by which a caller could tell two trees apart."""
    return [_leaf_bits(leaf) for leaf in jax.tree.leaves(tree)]


def _leaf_bits(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return leaf
    if leaf.is_deleted():
        return "deleted"
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return (str(leaf.dtype), _leaf_bits(jax.random.key_data(leaf)))
    about = (str(leaf.dtype), leaf.shape, leaf.weak_type, leaf.sharding, leaf.committed)
    return (*about, np.asarray(leaf).tobytes())


def run(program: Program, args: Any) -> list[Any]:
    """What a call returns, and what it leaves of its arguments."""
    args = copy.deepcopy(args)
    return bits((program.call(*args), args))
