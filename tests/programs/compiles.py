"""Small programs that trace and compile, each with what is true of it.

A program gets `traced`, which it puts around the functions it jits: in the tests that
counts how often their Python runs, in the benches it can be somebody else's tool. What
a program states was found by hand: it is not what jaxdbg says.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P, SingleDeviceSharding

Traced = Callable[[Callable[..., Any]], Callable[..., Any]]


def counting() -> tuple[Counter[str], Traced]:
    """A counter of functions that ran, by name, and what to put around them."""
    ran: Counter[str] = Counter()

    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            ran[function.__name__] += 1
            return function(*args, **kwargs)

        return counted

    return ran, traced


@dataclass(frozen=True)
class Program:
    """A program and its truth.

    Attributes:
        run: the program.
        function: name of the function in question.
        traces: how often its Python runs.
        compiles: how often it is compiled.
        phase: the phase that ran again.
        cause, where, before, after: why it ran again, the last time; no cause where
            nothing is wrong.
        at: the line that asked for it; empty where nobody looks.
        python: name of the Python function that `traces` counts.
        advice: a pattern of the right advice; empty where none is right, None where
            nobody looks.
        says: what the reason says beside it.
        never: what the reason never says; `never_cause` no reason of any function.
        needs: a library that it needs and the tests need not have.
    """

    run: Callable[[Traced], Any]
    function: str
    traces: int
    compiles: int | None
    cause: str
    where: str
    before: str
    after: str
    at: str
    phase: str
    python: str
    advice: str | None = None
    says: str = ""
    never: str = ""
    never_cause: str = ""
    needs: str = ""

    @property
    def name(self) -> str:
        return self.run.__name__

    def __repr__(self) -> str:
        return self.name


PROGRAMS: list[Program] = []


def program(
    traces: int,
    compiles: int | None,
    cause: str = "",
    where: str = "",
    before: str = "",
    after: str = "",
    at: str = "",
    phase: str = "trace",
    function: str = "f",
    python: str = "",
    into: list[Program] = PROGRAMS,
    **more: Any,
) -> Callable[[Callable[[Traced], Any]], Callable[[Traced], Any]]:
    def add(run: Callable[[Traced], Any]) -> Callable[[Traced], Any]:
        truth = cause, where, before, after, at, phase
        counts = function, traces, compiles
        into.append(Program(run, *counts, *truth, python or function, **more))
        return run

    return add


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """An array that no operation of JAX has made."""
    return np.ones(shape, dtype)


THE_FUNCTION = "the function"


# --- what an argument is ------------------------------------------------------------


@program(2, 2, "shape", "x", "f32[3]", "f32[4]", at="f(ones(4))")
def another_shape(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    f(ones(4))


@program(
    2,
    2,
    "partial batch",
    'batch["x"]',
    "f32[32,8,8]",
    "f32[17,8,8]",
    at='train_step({"x": x[i : i + 32], "y": y[i : i + 32]})',
    function="train_step",
)
def last_partial_batch(traced):
    @jax.jit
    @traced
    def train_step(batch):
        return batch["x"].mean() + batch["y"].mean()

    x, y = ones(81, 8, 8), ones(81)
    for i in range(0, 81, 32):
        train_step({"x": x[i : i + 32], "y": y[i : i + 32]})


@program(4, 4, "shape", "x", "f32[5]", "f32[6]", at="f(ones(n))")
def a_sequence_that_grows(traced):
    f = jax.jit(traced(_f))
    for n in (3, 4, 5, 6):
        f(ones(n))


@program(2, 2, "dtype", "x", "f32[3]", "i32[3]", at="f(ones(3, dtype=np.int32))")
def another_dtype(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    f(ones(3, dtype=np.int32))


@program(2, 2, "weak type", "x", "f32[]", "f32[], weakly typed", at="f(weak)")
def another_weak_type(traced):
    f = jax.jit(traced(_f))
    weak = jnp.asarray(1.0)
    assert weak.weak_type
    f(np.float32(1))
    f(weak)


@program(2, 2, "Python scalar", "scale", "f32[]", "Python float", at="f(ones(3), 2.0)")
def an_array_and_a_python_float(traced):
    @jax.jit
    @traced
    def f(x, scale):
        return x * scale

    f(ones(3), np.float32(2.0))
    f(ones(3), 2.0)


@program(2, 2, "Python scalar", "x", "Python int", "Python float", at="f(2.0)")
def a_python_int_and_a_python_float(traced):
    f = jax.jit(traced(_f))
    f(2)
    f(2.0)


# --- static arguments ---------------------------------------------------------------


@program(2, 2, "static value", "how", "'sum'", "'max'", at='f(ones(3), how="max")')
def a_static_name(traced):
    @functools.partial(jax.jit, static_argnames="how")
    @traced
    def f(x, how):
        return getattr(x, how)()

    f(ones(3), how="sum")
    f(ones(3), how="max")


@program(4, 4, "static value", "n", "2", "3", at="f(ones(3), n)")
def a_static_number(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, n):
        return x * n

    for n in range(4):
        f(ones(3), n)


@program(2, 2, "static value", "sizes", "(1, 2)", "(1, 3)", at="f(ones(3), (1, 3))")
def a_static_tuple(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, sizes):
        return x * sizes[1]

    f(ones(3), (1, 2))
    f(ones(3), (1, 3))


@dataclass(frozen=True)
class Config:
    width: int
    depth: int = 2


@program(2, 2, "static value", "config.width", "64", "128", at="f(ones(3), large)")
def a_field_of_a_static_dataclass(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, config):
        return x * config.width

    small, large = Config(64), Config(128)
    f(ones(3), small)
    f(ones(3), Config(64))
    f(ones(3), large)


class Plain:
    width = 64


@program(
    2,
    2,
    "static identity",
    "config",
    "a Plain object",
    "another Plain object, equal only to itself",
    at="f(ones(3), Plain())",
)
def a_static_object_without_eq(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, config):
        return x * config.width

    for _ in range(2):
        f(ones(3), Plain())


@program(
    3,
    3,
    "static identity",
    "act",
    "a function <lambda>",
    "another function <lambda>, equal only to itself",
    at="f(ones(3), lambda v: v + 1)",
)
def a_static_lambda(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, act):
        return act(x)

    for _ in range(3):
        f(ones(3), lambda v: v + 1)


@program(
    2,
    2,
    "static identity",
    "opt.tx",
    "a GradientTransformationExtraArgs",
    "another GradientTransformationExtraArgs, equal only to itself",
    at="f(model, opt)",
)
def an_optimizer_made_anew(traced):
    @nnx.jit
    @traced
    def f(model, opt):
        opt.update(model, nnx.state(model, nnx.Param))

    for _ in range(2):
        model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
        opt = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
        f(model, opt)


@program(0, 0)
def an_unhashable_static(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, sizes):
        return x * sizes[0]

    with contextlib.suppress(ValueError, TypeError):
        f(ones(3), [1, 2])


# --- trees --------------------------------------------------------------------------


@program(
    2,
    2,
    "pytree",
    'batch["mask"]',
    "(not there)",
    "f32[3]",
    at='f({"x": ones(3), "mask": ones(3)})',
)
def a_key_added(traced):
    @jax.jit
    @traced
    def f(batch):
        return batch["x"]

    f({"x": ones(3)})
    f({"x": ones(3), "mask": ones(3)})


@program(2, 2, "pytree", "bias", "None", "f32[3]", at="f(ones(3), ones(3))")
def none_and_an_array(traced):
    @jax.jit
    @traced
    def f(x, bias):
        return x if bias is None else x + bias

    f(ones(3), None)
    f(ones(3), ones(3))


@program(2, 2, "pytree", "x", "tuple of 2", "list of 2", at="f([ones(3), ones(3)])")
def a_tuple_and_a_list(traced):
    @jax.jit
    @traced
    def f(x):
        return x[0] + x[1]

    f((ones(3), ones(3)))
    f([ones(3), ones(3)])


@program(
    2,
    2,
    "pytree",
    "x",
    'OrderedDict with "a", "b"',
    'OrderedDict with "b", "a"',
    at="f(OrderedDict(b=ones(3), a=ones(3)))",
)
def another_order(traced):
    @jax.jit
    @traced
    def f(x):
        return x["a"] + x["b"]

    f(OrderedDict(a=ones(3), b=ones(3)))
    f(OrderedDict(b=ones(3), a=ones(3)))


class Point(NamedTuple):
    x: Any
    y: Any


@program(2, 2, "pytree", "p", "tuple of 2", "Point", at="f(Point(ones(3), ones(3)))")
def a_tuple_and_a_named_tuple(traced):
    @jax.jit
    @traced
    def f(p):
        return p[0] + p[1]

    f((ones(3), ones(3)))
    f(Point(ones(3), ones(3)))


@program(
    2,
    2,
    "call form",
    "y",
    "passed by position",
    "passed by keyword",
    at="f(ones(3), y=ones(3))",
)
def by_position_and_by_keyword(traced):
    @jax.jit
    @traced
    def f(x, y):
        return x + y

    f(ones(3), ones(3))
    f(ones(3), y=ones(3))


@program(
    2,
    2,
    "pytree",
    "scale",
    "(not there)",
    "Python float",
    at="f(ones(3), scale=1.0)",
)
def a_default_that_is_passed(traced):
    @jax.jit
    @traced
    def f(x, scale=1.0):
        return x * scale

    f(ones(3))
    f(ones(3), scale=1.0)


# --- new function objects -----------------------------------------------------------


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a lambda",
    "another lambda of the same code",
    at="jax.jit(traced(lambda x: x + 1))(ones(3))",
    function="<lambda>",
)
def a_lambda_in_a_loop(traced):
    for _ in range(3):
        jax.jit(traced(lambda x: x + 1))(ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a functools.partial",
    "another functools.partial of the same code",
    at="jax.jit(functools.partial(f, 2))(ones(3))",
)
def a_partial_in_a_loop(traced):
    @traced
    def f(k, x):
        return x * k

    for _ in range(3):
        jax.jit(functools.partial(f, 2))(ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a jax.grad function",
    "another jax.grad function of the same code",
    at="jax.jit(jax.grad(f))(ones(3))",
)
def a_gradient_in_a_loop(traced):
    @traced
    def f(x):
        return (x**2).sum()

    for _ in range(3):
        jax.jit(jax.grad(f))(ones(3))


@program(
    1,
    3,
    "new function",
    THE_FUNCTION,
    "a jax.grad function",
    "another jax.grad function of the same code",
    at="jax.jit(jax.grad(f))(ones(3))",
    phase="compile",
)
def a_gradient_of_a_jitted_function_in_a_loop(traced):
    @jax.jit
    @traced
    def f(x):
        return (x**2).sum()

    for _ in range(3):
        jax.jit(jax.grad(f))(ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a function",
    "another function of the same code",
    at="make()(ones(3))",
)
def a_factory_in_a_loop(traced):
    def make():
        @jax.jit
        @traced
        def f(x):
            return x + 1

        return f

    for _ in range(3):
        make()(ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "an nnx.jit function",
    "another nnx.jit function of the same code",
    at="nnx.jit(f)(model, ones(1, 3))",
)
def nnx_jit_in_a_loop(traced):
    @traced
    def f(model, x):
        return model(x)

    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    for _ in range(3):
        nnx.jit(f)(model, ones(1, 3))


class Trainer:
    scale = 2

    def __init__(self, traced):
        self.traced = traced

    def f(self, x):
        return self.run(x)

    def run(self, x):
        return self.traced(_body)(x) * self.scale


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a bound method",
    "another bound method of the same code",
    at="jax.jit(Trainer(traced).f)(ones(3))",
)
def a_bound_method_in_a_loop(traced):
    for _ in range(3):
        jax.jit(Trainer(traced).f)(ones(3))


CELL = """
@jax.jit
@traced
def f(x):
    return x + 1

f(x)
"""


@program(
    2,
    2,
    "cell run again",
    THE_FUNCTION,
    "a function",
    "defined again",
    at="",
)
def a_cell_that_is_run_again(traced):
    for _ in range(2):
        code = compile(CELL, "<a cell>", "exec")
        exec(code, {"jax": jax, "traced": traced, "x": ones(3)})


# --- configuration ------------------------------------------------------------------


@program(2, 2, "config", "jax_enable_x64", "False", "True", at="f(ones(3))")
def x64(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    with jax.enable_x64(True):
        f(ones(3))


@program(
    2,
    2,
    "config",
    "jax_default_matmul_precision",
    "None",
    "'highest'",
    at="f(ones(3))",
)
def matmul_precision(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    with jax.default_matmul_precision("highest"):
        f(ones(3))


@program(
    2,
    2,
    "config",
    "jax_numpy_dtype_promotion",
    "standard",
    "strict",
    at="f(ones(3))",
)
def dtype_promotion(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    with jax.numpy_dtype_promotion("strict"):
        f(ones(3))


@program(
    3,
    3,
    "shape",
    "x",
    "f32[3]",
    "f32[4]",
    at="f(ones(4))",
)
def a_shape_after_a_call_under_another_configuration(traced):
    f = jax.jit(traced(_f))
    with jax.default_matmul_precision("highest"):
        f(ones(5))
    f(ones(3))
    f(ones(4))


def _mesh(*axes):
    return Mesh(np.array(jax.devices()[:2]), axes)


@program(2, 2, "mesh", "the mesh", "none", "data=2", at="f(ones(4))")
def a_mesh_around_the_call(traced):
    f = jax.jit(traced(_f))
    f(ones(4))
    with jax.set_mesh(_mesh("data")):
        f(ones(4))


# --- where arguments lie ------------------------------------------------------------


@program(2, 2, "sharding", "x", "f32[4]", "f32[4] over data=2", at="f(split)")
def onto_a_mesh(traced):
    f = jax.jit(traced(_f))
    split = jax.device_put(ones(4), NamedSharding(_mesh("data"), P("data")))
    f(jnp.asarray(ones(4)))
    f(split)


@program(
    2,
    2,
    "sharding",
    "model.linear.kernel",
    "Param f32[3,3]",
    "Param f32[3,3] over data=2",
    at="predict(model, ones(2, 3))  # on the mesh",
    function="predict",
)
def a_parameter_onto_a_mesh(traced):
    predict, model = _predict(traced), Net()
    predict(model, ones(2, 3))
    place = NamedSharding(_mesh("data"), P())
    kernel = model.linear.kernel
    kernel.set_value(jax.device_put(kernel.get_value(), place))
    predict(model, ones(2, 3))  # on the mesh


@program(
    1,
    2,
    "sharding",
    "x",
    "P() over data=2 on cpu:0, cpu:1",
    "P('data',) over data=2 on cpu:0, cpu:1",
    at="f(split)",
    phase="compile",
)
def another_sharding(traced):
    f = jax.jit(traced(_f))
    mesh = _mesh("data")
    copied = jax.device_put(ones(4), NamedSharding(mesh, P()))
    split = jax.device_put(ones(4), NamedSharding(mesh, P("data")))
    f(copied)
    f(split)


@program(
    1,
    2,
    "committed",
    "x",
    "not committed",
    "on cpu:0",
    at="f(jax.device_put(ones(3), jax.devices()[0]))",
    phase="compile",
)
def a_committed_argument(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    f(jax.device_put(ones(3), jax.devices()[0]))


@program(
    1,
    2,
    "device",
    "x",
    "on cpu:0",
    "on cpu:1",
    at="f(jax.device_put(ones(3), device))",
    phase="compile",
)
def another_device(traced):
    f = jax.jit(traced(_f))
    for device in jax.devices()[:2]:
        f(jax.device_put(ones(3), device))


# --- options of jit -----------------------------------------------------------------


@program(
    1,
    2,
    "jit options",
    "donated",
    "nothing",
    "arguments [0]",
    at="donating(jnp.asarray(ones(3)))",
    phase="compile",
)
def another_donation(traced):
    function = traced(_f)
    plain, donating = jax.jit(function), jax.jit(function, donate_argnums=0)
    plain(ones(3))
    donating(jnp.asarray(ones(3)))


@program(
    1,
    2,
    "jit options",
    "out_shardings",
    "any",
    "cpu:1",
    at="placing(ones(3))",
    phase="compile",
)
def another_place_for_the_result(traced):
    function, there = traced(_f), SingleDeviceSharding(jax.devices()[1])
    plain, placing = jax.jit(function), jax.jit(function, out_shardings=there)
    plain(ones(3))
    placing(ones(3))


# --- NNX ----------------------------------------------------------------------------


class Net(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.linear = nnx.Linear(3, 3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.steps = 0

    def __call__(self, x):
        return self.norm(self.drop(self.linear(x)))


def _predict(traced):
    @nnx.jit
    @traced
    def predict(model, x):
        return model(x)

    return predict


@program(
    2,
    2,
    "NNX attribute",
    "model.drop.deterministic",
    "False",
    "True",
    at="predict(model, ones(2, 3))",
    function="predict",
)
def train_and_eval(traced):
    predict, model = _predict(traced), Net()
    for deterministic in (False, True, False, True):
        model.drop.deterministic = deterministic
        predict(model, ones(2, 3))


@program(
    3,
    3,
    "NNX attribute",
    "model.steps",
    "1",
    "2",
    at="predict(model, ones(2, 3))",
    function="predict",
)
def a_counter_in_a_module(traced):
    predict, model = _predict(traced), Net()
    for _ in range(3):
        predict(model, ones(2, 3))
        model.steps += 1


@program(
    2,
    2,
    "NNX structure",
    "model.extra",
    "(not there)",
    "Param f32[3]",
    at="predict(model, ones(2, 3))",
    function="predict",
)
def a_parameter_added(traced):
    predict, model = _predict(traced), Net()
    predict(model, ones(2, 3))
    model.extra = nnx.Param(jnp.ones(3))
    predict(model, ones(2, 3))


class Sows(nnx.Module):
    def __init__(self):
        self.linear = nnx.Linear(3, 3, rngs=nnx.Rngs(0))

    def __call__(self, x):
        y = self.linear(x)
        self.sow(nnx.Intermediate, "seen", y)
        return y


@program(
    3,
    3,
    "NNX structure",
    "model.seen",
    "Intermediate (f32[2,3],)",
    "Intermediate (f32[2,3], f32[2,3])",
    at="predict(model, ones(2, 3))",
    function="predict",
)
def sow_in_a_loop(traced):
    predict, model = _predict(traced), Sows()
    with warnings.catch_warnings():  # newer flax would have nnx.capture around it
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(3):
            predict(model, ones(2, 3))


@program(
    2,
    2,
    "NNX structure",
    "model.norm",
    "BatchNorm",
    "LayerNorm",
    at="predict(model, ones(2, 3))",
    function="predict",
)
def another_layer(traced):
    predict, model = _predict(traced), Net()
    predict(model, ones(2, 3))
    model.norm = nnx.LayerNorm(3, rngs=nnx.Rngs(0))
    predict(model, ones(2, 3))


@program(
    2,
    2,
    "partial batch",
    "x",
    "f32[8,3]",
    "f32[5,3]",
    at="predict(model, ones(n, 3))",
    function="predict",
)
def a_partial_batch_of_an_nnx_model(traced):
    predict, model = _predict(traced), Net()
    for n in (8, 8, 5):
        predict(model, ones(n, 3))


@program(
    2,
    2,
    "dtype",
    "model.kernel",
    "Param f32[3,2]",
    "Param bf16[3,2]",
    at="predict(model, ones(2, 3))",
    function="predict",
)
def a_parameter_of_another_dtype(traced):
    predict, model = _predict(traced), nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    predict(model, ones(2, 3))
    model.kernel = nnx.Param(jnp.ones((3, 2), jnp.bfloat16))
    predict(model, ones(2, 3))


# --- caches, errors, nesting --------------------------------------------------------

IN_CACHES = ("the call", "in JAX's caches", "not in them any more")


@program(2, 2, "cleared cache", *IN_CACHES, at="f(ones(3))")
def all_caches_cleared(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    jax.clear_caches()
    f(ones(3))


@program(2, 2, "cleared cache", *IN_CACHES, at="f(ones(3))")
def one_cache_cleared(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    f.clear_cache()
    f(ones(3))


@program(
    2,
    0,
    "failed before",
    "the call",
    "an attempt that raised",
    "the same again",
    at="f(ones(3))",
)
def an_attempt_that_raised(traced):
    @jax.jit
    @traced
    def f(x):
        raise ValueError("not today")

    for _ in range(2):
        with contextlib.suppress(ValueError):
            f(ones(3))


@program(2, 0, "shape", "x", "f32[3]", "f32[4]", at="return f(x) * 2")
def an_inner_function_of_two_outer_ones(traced):
    f = jax.jit(traced(_f))

    @jax.jit
    def one(x):
        return f(x)

    @jax.jit
    def two(x):
        return f(x) * 2

    one(ones(3))
    two(ones(4))


@program(
    2,
    0,
    "nested",
    THE_FUNCTION,
    "a function",
    "a function made again while outer was traced",
    at="return f(x)",
)
def a_function_defined_in_another(traced):
    @jax.jit
    def outer(x):
        @jax.jit
        @traced
        def f(x):
            return x.sum()

        return f(x)

    outer(ones(3))
    outer(ones(4))


@program(
    0,
    5,
    "eager loop",
    "operand 1",
    "f32[4]",
    "f32[5]",
    at="history = jnp.concatenate([history, one])",
    phase="compile",
    function="concatenate",
)
def eager_operations_on_a_growing_array(traced):
    jax.clear_caches()  # another program may have made some of these shapes
    one = history = jnp.asarray(ones(1))
    for _ in range(5):
        history = jnp.concatenate([history, one])


# --- the right earlier call ---------------------------------------------------------


@program(4, 4, "shape", "x", "f32[6]", "f32[7]", at='f(ones(7), "b")')
def the_closest_earlier_call(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, how):
        return x

    f(ones(6), "b")
    f(ones(3), "a")
    f(ones(4), "a")
    f(ones(7), "b")


@program(
    2,
    2,
    "pytree",
    "c",
    "tuple of 1",
    "list of 1",
    at="f(ones(3, dtype=np.int32), 2.0, [ones(2)])",
)
def three_changes_at_once(traced):
    @jax.jit
    @traced
    def f(a, b, c):
        return a + b + c[0].sum()

    f(ones(3), ones(), (ones(2),))
    f(ones(3, dtype=np.int32), 2.0, [ones(2)])


# --- a value that no retrace will notice --------------------------------------------


@program(1, 1, "stale closure", "scale", "2.0", "3.0", at="f(ones(3))")
def a_closure_that_went_stale(traced):
    scale = 2.0

    @jax.jit
    @traced
    def f(x):
        return x * scale

    f(ones(3))
    scale = 3.0
    f(ones(3))
    return f


@program(1, 1, "replaced body", "its body", "the old body", "new", at="jitted(ones(3))")
def a_body_that_autoreload_has_replaced(traced):
    def f(x):
        return x + 1

    def reloaded(x):
        return x + 100

    counted = traced(f)
    jitted = jax.jit(counted)
    jitted(ones(3))
    f.__code__ = reloaded.__code__
    jitted(ones(3))
    return f, jitted


# --- nothing is wrong ---------------------------------------------------------------


@program(1, 1)
def cached_calls(traced):
    f = jax.jit(traced(_f))
    for _ in range(5):
        f(ones(3))


@program(1, 1)
def a_second_jit_of_one_function(traced):
    function = traced(_f)
    jax.jit(function)(ones(3))
    jax.jit(function)(ones(3))


@program(1, 1)
def another_order_of_a_dict(traced):
    @jax.jit
    @traced
    def f(x):
        return x["a"] + x["b"]

    f({"a": ones(3), "b": ones(3)})
    f({"b": ones(3), "a": ones(3)})


@program(1, 1, function="predict")
def another_instance_of_a_module(traced):
    predict = _predict(traced)
    for _ in range(2):
        predict(Net(), ones(2, 3))


@program(1, 1)
def an_array_of_numpy_and_one_of_jax(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    f(jnp.asarray(ones(3)))


@program(1, 2)
def forward_and_backward(traced):
    f = jax.jit(traced(_sum))
    jax.grad(f)(ones(3))


@program(1, 1)
def the_shape_first(traced):
    f = jax.jit(traced(_f))
    jax.eval_shape(f, ones(3))
    f(ones(3))


@program(1, 1)
def ahead_of_time(traced):
    f = jax.jit(traced(_f))
    f.lower(ones(3)).compile()(ones(3))


@program(2, 2, function="<lambda>")
def two_lambdas_on_a_line(traced):
    for f in (jax.jit(traced(lambda x: x + 1)), jax.jit(traced(lambda x: x + 2))):
        f(ones(3))


@program(1, 1)
def in_a_thread(traced):
    f = jax.jit(traced(_f))
    for _ in range(2):
        thread = threading.Thread(target=f, args=(ones(3),))
        thread.start()
        thread.join()


@program(1, 1)
def pmap(traced):
    f = jax.pmap(traced(_f))
    for _ in range(2):
        f(ones(2, 3))


# --- functions that several programs use: each wraps them anew ----------------------


def f(x):
    return x + 1


def _sum(x):
    return (x**2).sum()


_sum.__name__ = "f"
_f = f


def _body(x):
    return x


_body.__name__ = "f"
