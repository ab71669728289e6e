"""Programs of more kinds that trace and compile again, each with what is true of it.

Each states why it runs again and what advice is right: a pattern that the advice must
match where there is one, or "" where none is right. What they state was written down
before jaxdbg has run them; how often they trace and compile is that of a plain process,
by a counter in the Python and by `jax.monitoring`.
"""

# ruff: noqa: B023 -- functions that close over the variable of a loop are the subject

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import gc
import threading
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.core import freeze
from flax.training.train_state import TrainState
from jax.sharding import NamedSharding, PartitionSpec as P

from tests.programs import compiles
from tests.programs.compiles import THE_FUNCTION, Program, _mesh, ones

MORE: list[Program] = []

program = functools.partial(compiles.program, into=MORE)

ONCE = "once|outside|around"
NONE = ""
"""No advice is right."""


# --- control flow outside of jit ----------------------------------------------------

SCALAR = np.float32(0)


@program(
    4,
    4,
    "new function",
    "the body of scan",
    "a lambda",
    "another lambda",
    function="scan",
    python="<lambda>",
    phase="compile",
    advice=ONCE,
)
def scan_of_a_new_lambda(traced):
    for k in range(4):
        body = traced(lambda c, x: (c + x * k, c))
        jax.lax.scan(body, SCALAR, ones(5))


@program(
    3,
    3,
    "new function",
    "the branches of cond",
    "a function",
    "another function",
    function="cond",
    python="then",
    phase="compile",
    advice=ONCE,
)
def cond_of_new_closures(traced):
    for k in range(3):

        @traced
        def then(x):
            return x + k

        def other(x):
            return x - k

        jax.lax.cond(np.bool_(True), then, other, ones(3))


@program(
    3,
    3,
    "new function",
    "the branches of cond",
    "a lambda",
    "another lambda",
    function="cond",
    python="<lambda>",
    phase="compile",
    advice=ONCE,
)
def switch_of_new_lambdas(traced):
    def double(x):
        return x * 2

    def halve(x):
        return x / 2

    for k in range(3):
        branches = [double, halve, traced(lambda x: x + k)]
        jax.lax.switch(np.int32(1), branches, ones(3))


@program(
    3,
    3,
    "new function",
    "the body of while",
    "a function",
    "another function",
    function="while",
    python="body",
    phase="compile",
    advice=ONCE,
)
def while_loop_of_a_new_body(traced):
    def small(x):
        return x[0] < 9

    for step in (1.0, 2.0, 3.0):

        @traced
        def body(x):
            return x + step

        jax.lax.while_loop(small, body, ones(3))


@program(
    3,
    3,
    "new function",
    "the body of scan",
    "a lambda",
    "another lambda",
    function="scan",
    python="<lambda>",
    phase="compile",
    advice=ONCE,
)
def fori_loop_of_a_new_lambda(traced):
    for k in range(3):
        jax.lax.fori_loop(0, 4, traced(lambda i, x: x + k), ones(3))


@program(
    3,
    3,
    "new function",
    "the body of scan",
    "a lambda",
    "another lambda",
    function="scan",
    python="<lambda>",
    phase="compile",
    advice=ONCE,
)
def map_of_a_new_lambda(traced):
    for k in range(3):
        jax.lax.map(traced(lambda x: x + k), ones(4))


@program(
    3,
    3,
    "new function",
    "the body of scan",
    "a functools.partial",
    "another functools.partial",
    function="scan",
    python="descend",
    phase="compile",
    advice=ONCE,
    says="lr",
)
def scan_of_a_new_partial(traced):
    @traced
    def descend(w, x, lr):
        return w - lr * x, w

    for lr in (0.1, 0.2, 0.3):
        jax.lax.scan(functools.partial(descend, lr=lr), SCALAR, ones(5))


@program(
    3,
    3,
    "new function",
    "the branches of cond",
    "a lambda",
    "another lambda",
    function="cond",
    python="<lambda>",
    phase="compile",
    advice=ONCE,
)
def nnx_cond_of_new_lambdas(traced):
    model = nnx.Linear(3, 3, rngs=nnx.Rngs(0))

    def skip(model, x):
        return x

    for k in range(3):
        then = traced(lambda model, x: model(x) * k)
        nnx.cond(np.bool_(True), then, skip, model, ones(1, 3))


@program(
    3,
    3,
    "new function",
    "the body of scan",
    "a function",
    "the same function",
    function="scan",
    python="body",
    phase="compile",
    advice=ONCE,
)
def nnx_scan_made_in_a_loop(traced):
    @traced
    def body(carry, x):
        return carry + x, carry

    for _ in range(3):
        nnx.scan(body)(jnp.zeros(()), jnp.asarray(ones(5)))


@program(
    1,
    3,
    "shape",
    "xs",
    "f32[4]",
    "f32[5]",
    function="scan",
    python="body",
    phase="compile",
    advice="pad|mask",
)
def scan_over_other_lengths(traced):
    @traced
    def body(c, x):
        return c + x, c

    for n in (3, 4, 5):
        jax.lax.scan(body, SCALAR, ones(n))


@program(
    2,
    2,
    "dtype",
    "xs",
    "f32[5]",
    "i32[5]",
    function="scan",
    python="body",
    phase="compile",
    advice="float32|astype|one dtype",
)
def scan_over_another_dtype(traced):
    @traced
    def body(c, x):
        return c, x

    jax.lax.scan(body, SCALAR, ones(5))
    jax.lax.scan(body, SCALAR, ones(5, dtype=np.int32))


@program(1, 1, function="scan", python="body")
def scan_of_one_function(traced):
    @traced
    def body(c, x):
        return c + x, c

    for _ in range(4):
        jax.lax.scan(body, SCALAR, ones(5))


@program(1, 1, function="total", python="<lambda>")
def scan_of_a_lambda_inside_jit(traced):
    @jax.jit
    def total(x):
        return jax.lax.scan(traced(lambda c, y: (c + y, c)), SCALAR, x)

    for _ in range(3):
        total(ones(5))


# --- functions made anew ------------------------------------------------------------


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a functools.partial",
    "another functools.partial",
    advice="argument",
    says="lr",
)
def a_partial_over_a_changing_lr(traced):
    @traced
    def f(w, x, lr):
        return w - lr * x

    for lr in (0.1, 0.2, 0.3):
        jax.jit(functools.partial(f, lr=lr))(ones(3), ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a function",
    "another function",
    advice="argument",
    says="lr",
)
def a_closure_over_a_changing_lr(traced):
    def make_step(lr):
        @jax.jit
        @traced
        def f(w, x):
            return w - lr * x

        return f

    for lr in (0.1, 0.2, 0.3):
        make_step(lr)(ones(3), ones(3))


class Agent:
    scale = 2.0

    def __init__(self, traced):
        self._traced = traced

    def f(self, x):
        return self._traced(_times)(x, self.scale)


def _times(x, scale):
    return (x * scale).sum()


_times.__name__ = "f"


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a bound method",
    "another bound method",
    advice=ONCE,
)
def a_method_of_one_object_in_a_loop(traced):
    agent = Agent(traced)
    for _ in range(3):
        jax.jit(agent.f)(ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a jax.vmap function",
    "another jax.vmap function",
    function="<lambda>",
    advice=ONCE,
)
def vmap_of_a_lambda_in_a_loop(traced):
    for _ in range(3):
        jax.jit(jax.vmap(traced(lambda x: x + 1)))(ones(2, 3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a jax.value_and_grad function",
    "another jax.value_and_grad function",
    advice="argument",
)
def a_gradient_of_a_partial_in_a_loop(traced):
    @traced
    def f(k, x):
        return (x * k).sum()

    for k in (1.0, 2.0, 3.0):
        jax.jit(jax.value_and_grad(functools.partial(f, k)))(ones(3))


@program(
    0,
    3,
    "new function",
    THE_FUNCTION,
    function="<unnamed function>",
    phase="compile",
    advice=ONCE + "|argument",
)
def a_vjp_jitted_in_a_loop(traced):
    for _ in range(3):
        _, pull = jax.vjp(_sum_of_squares, ones(3))
        jax.jit(pull)(np.float32(1))


@program(
    0,
    3,
    "new function",
    THE_FUNCTION,
    function="<unnamed function>",
    phase="compile",
    advice=ONCE + "|argument",
)
def a_linearized_function_jitted_in_a_loop(traced):
    for _ in range(3):
        _, push = jax.linearize(_sum_of_squares, ones(3))
        jax.jit(push)(ones(3))


def _sum_of_squares(x):
    return (x**2).sum()


class Scale:
    def __init__(self, k, traced):
        self.k = k
        self.traced = traced

    def __call__(self, x):
        return self.traced(_times)(x, self.k)


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a Scale object",
    "another Scale object",
    function="Scale",
    python="f",
    advice=ONCE,
)
def a_callable_object_in_a_loop(traced):
    for k in (1.0, 2.0, 3.0):
        jax.jit(Scale(k, traced))(ones(3))


@program(
    0,
    3,
    "new function",
    THE_FUNCTION,
    function="update_fn",
    phase="compile",
    advice=ONCE,
)
def an_optimizer_made_and_jitted_in_a_loop(traced):
    params = {"w": jnp.asarray(ones(3))}
    for _ in range(3):
        opt = optax.sgd(0.1, momentum=0.9)
        jax.jit(opt.update)(params, opt.init(params))


@program(
    0,
    3,
    "new function",
    THE_FUNCTION,
    function="Dense.apply",
    phase="compile",
    advice=ONCE,
)
def apply_of_a_linen_module_jitted_in_a_loop(traced):
    params = None
    for _ in range(3):
        net = nn.Dense(2)
        if params is None:
            params = net.init(jax.random.PRNGKey(0), ones(1, 3))
        jax.jit(net.apply)(params, ones(1, 3))


@program(1, 1)
def filter_jit_made_in_a_loop(traced):
    @traced
    def f(w, x):
        return (w * x).sum()

    for _ in range(3):
        eqx.filter_jit(eqx.filter_grad(f))(jnp.asarray(ones(3)), ones(3))


@program(
    2,
    2,
    "new function",
    THE_FUNCTION,
    "a function",
    "another function",
    advice=ONCE,
)
def a_function_that_has_died(traced):
    def fit():
        @jax.jit
        @traced
        def f(x):
            return x + 1

        f(ones(3))

    for _ in range(2):
        fit()
        gc.collect()


# --- static arguments ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sizes:
    width: int
    act: Any = None


@program(1, 1)
def an_equal_static_made_anew(traced):
    f = _with_config(traced)
    for _ in range(3):
        f(ones(3), Sizes(4))


class Named:
    """Equal by what it holds, and no dataclass."""

    def __init__(self, width):
        self.width = width

    def __eq__(self, other):
        return isinstance(other, Named) and self.width == other.width

    def __hash__(self):
        return hash(self.width)


def _with_config(traced):
    @functools.partial(jax.jit, static_argnames="config")
    @traced
    def f(x, config):
        return x * config.width

    return f


@program(
    3,
    3,
    "static value",
    "config.width",
    "3",
    "4",
    advice="array|each value",
)
def a_static_object_with_eq_that_changes(traced):
    f = _with_config(traced)
    for width in (2, 3, 4):
        f(ones(3), config=Named(width))


@program(
    3,
    3,
    "static identity",
    "config.act",
    "a function",
    "another function",
    advice="one|once|module",
)
def a_lambda_in_a_static_dataclass(traced):
    f = _with_config(traced)
    for _ in range(3):
        f(ones(3), config=Sizes(4, act=lambda x: x))


class Odd:
    """Equal to nothing, not even to what is as it is."""

    width = 2

    def __eq__(self, other):
        return False

    def __hash__(self):
        return 0


@program(2, 2, "unknown", advice=NONE)
def a_static_that_is_equal_to_nothing(traced):
    f = _with_config(traced)
    f(ones(3), config=Odd())
    f(ones(3), config=Odd())


@program(
    3,
    3,
    "static value",
    "lr",
    "0.2",
    "0.3",
    advice="array|asarray",
)
def a_python_float_under_filter_jit(traced):
    @eqx.filter_jit
    @traced
    def f(w, x, lr):
        return w - lr * x

    for lr in (0.1, 0.2, 0.3):
        f(ones(3), ones(3), lr)


# --- what a tree holds beside its leaves --------------------------------------------


def _apply(params, x):
    return x @ params["w"]


@program(
    3,
    3,
    "pytree",
    "state.tx",
    "GradientTransformation",
    "another GradientTransformation",
    advice="once|one ",
)
def a_train_state_made_anew_with_its_optimizer(traced):
    @jax.jit
    @traced
    def f(state, x):
        return state.apply_gradients(grads=state.params)

    for _ in range(3):
        params = {"w": jnp.asarray(ones(3))}
        tx = optax.sgd(0.1)
        f(TrainState.create(apply_fn=_apply, params=params, tx=tx), ones(3))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("w",),
    meta_fields=("act", "step"),
)
@dataclasses.dataclass
class Layer:
    w: Any
    act: Any = None
    step: int = 0


@program(
    3,
    3,
    "pytree",
    "layer.act",
    "a function <lambda>",
    "another function <lambda>",
    advice="once|one ",
)
def a_lambda_in_a_static_field(traced):
    @jax.jit
    @traced
    def f(layer, x):
        return layer.act(layer.w * x)

    for _ in range(3):
        f(Layer(ones(3), act=lambda x: x), ones(3))


@program(4, 4, "pytree", "layer.step", "2", "3", advice="array|leaf|data")
def a_counter_in_a_static_field(traced):
    @jax.jit
    @traced
    def f(layer):
        return layer.w + 1

    for step in range(4):
        f(Layer(ones(3), step=step))


@jax.tree_util.register_pytree_node_class
class Counted:
    def __init__(self, w, n):
        self.w = w
        self.n = n

    def tree_flatten(self):
        return (self.w,), {"n": self.n}

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children, **aux)


@program(3, 3, "pytree", "s.n", "1", "2", advice="array|leaf|data")
def a_counter_in_aux_data(traced):
    @jax.jit
    @traced
    def f(s):
        return s.w + 1

    for n in range(3):
        f(Counted(ones(3), n))


class Block(eqx.Module):
    w: Any
    scale: int = eqx.field(static=True)

    def __call__(self, x):
        return self.w * x * self.scale


@program(3, 3, "pytree", "model.scale", "2", "3", advice="array|leaf|data")
def a_static_field_of_equinox(traced):
    @eqx.filter_jit
    @traced
    def f(model, x):
        return model(x)

    for scale in (1, 2, 3):
        f(Block(jnp.asarray(ones(3)), scale), ones(3))


@program(3, 3, "pytree", "g", advice=ONCE + "|one ")
def a_partial_of_a_lambda_as_an_argument(traced):
    @jax.jit
    @traced
    def f(g, x):
        return g(x)

    for _ in range(3):
        g = jax.tree_util.Partial(lambda a, b: a * b, np.float32(2))
        f(g, ones(3))


# --- trees --------------------------------------------------------------------------


@program(
    2,
    2,
    "pytree",
    "params",
    "FrozenDict",
    "dict",
    advice="freeze|same type|one type",
)
def a_frozen_dict_and_a_dict(traced):
    @jax.jit
    @traced
    def f(params):
        return params["w"]

    f(freeze({"w": ones(3)}))
    f({"w": ones(3)})


@program(
    2,
    2,
    "pytree",
    'params["layers"]',
    "list of 2",
    'dict with "0", "1"',
    advice="restore|same type|one type|from_state_dict",
)
def a_list_that_was_restored_as_a_dict(traced):
    @jax.jit
    @traced
    def f(params):
        return jax.tree.leaves(params)[0]

    f({"layers": [ones(3), ones(3)]})
    f({"layers": {"0": ones(3), "1": ones(3)}})


class Batch(NamedTuple):
    x: Any
    mask: Any = None


@program(
    2,
    2,
    "pytree",
    "batch.mask",
    "None",
    "f32[3]",
    advice="in place of None",
)
def an_optional_field_that_comes_later(traced):
    @jax.jit
    @traced
    def f(batch):
        return batch.x if batch.mask is None else batch.x * batch.mask

    f(Batch(ones(3)))
    f(Batch(ones(3), ones(3)))


@program(
    2,
    2,
    "Python scalar",
    'state["step"]',
    "Python int",
    "i32[]",
    advice="int32",
)
def a_step_that_begins_as_a_python_int(traced):
    @jax.jit
    @traced
    def f(state):
        return {"w": state["w"], "step": jnp.asarray(state["step"] + 1, jnp.int32)}

    state = {"w": ones(3), "step": 0}
    for _ in range(3):
        state = f(state)


@program(
    4,
    4,
    "pytree",
    "history[3]",
    "(not there)",
    "f32[3]",
    advice="stack|pad|array|length",
)
def a_list_that_grows(traced):
    @jax.jit
    @traced
    def f(history):
        return sum(x.sum() for x in history)

    history = []
    for _ in range(4):
        history.append(ones(3))
        f(history)


@program(
    2,
    2,
    "pytree",
    "d",
    "defaultdict",
    "dict",
    advice="dict|same type|one type",
)
def a_defaultdict_and_a_dict(traced):
    @jax.jit
    @traced
    def f(d):
        return d["a"]

    d = collections.defaultdict(lambda: None)
    d["a"] = ones(3)
    f(d)
    f(dict(d))


# --- types --------------------------------------------------------------------------


@program(
    2,
    2,
    "dtype",
    "key",
    "u32[2]",
    "key<fry>[]",
    advice=r"random\.key|wrap_key_data|key_data",
)
def a_raw_key_and_a_typed_one(traced):
    @jax.jit
    @traced
    def f(x, key):
        return x + jax.random.uniform(key, (3,))

    f(ones(3), jax.random.PRNGKey(0))
    f(ones(3), jax.random.key(0))


@program(1, 1)
def a_python_float_and_the_weak_result(traced):
    @jax.jit
    @traced
    def f(x):
        return x * 2.0

    f(f(1.0))


@program(1, 1)
def an_index_of_64_bits(traced):
    @jax.jit
    @traced
    def f(x, i):
        return x[i]

    f(ones(3), np.int32(1))
    f(ones(3), np.int64(1))


@program(2, 2, "dtype", "mask", "bool[3]", "i32[3]", advice="bool")
def a_mask_of_another_dtype(traced):
    @jax.jit
    @traced
    def f(x, mask):
        return jnp.where(mask, x, 0)

    f(ones(3), ones(3) > 0)
    f(ones(3), ones(3, dtype=np.int32))


@program(
    2,
    2,
    "dtype",
    'params["w"]',
    "bf16[3]",
    "f32[3]",
    advice="bfloat16|float32",
)
def parameters_restored_in_another_precision(traced):
    @jax.jit
    @traced
    def f(params):
        return params["w"] * 2

    f({"w": ones(3).astype(jnp.bfloat16)})
    f({"w": ones(3)})


@program(2, 2, "Python scalar", "i", "Python int", "i32[]", advice="int32")
def a_python_int_and_an_int32(traced):
    @jax.jit
    @traced
    def f(x, i):
        return x * i

    f(ones(3), 2)
    f(ones(3), np.int32(2))


# --- shapes -------------------------------------------------------------------------


@program(
    3,
    3,
    "shape",
    "ids",
    "i32[4,16]",
    "i32[4,32]",
    advice=NONE,
    never="grows",
)
def three_buckets(traced):
    @jax.jit
    @traced
    def f(ids):
        return ids.sum()

    for n in (5, 8, 12, 7, 16, 20, 31, 9, 6):
        f(ones(4, 1 << (n - 1).bit_length(), dtype=np.int32))


@program(6, 6, "shape", "x", "f32[5]", "f32[6]", advice="mask|pad|cumsum|final size")
def a_slice_that_grows(traced):
    @jax.jit
    @traced
    def f(x):
        return x.sum()

    x = ones(6)
    for i in range(1, 7):
        f(x[:i])


@program(
    5,
    5,
    "shape",
    "cache",
    "f32[1,4,2]",
    "f32[1,5,2]",
    advice="pad|final size|mask",
)
def a_cache_of_tokens_that_grows(traced):
    @jax.jit
    @traced
    def f(cache, token):
        return cache.sum() + token.sum()

    cache = ones(1, 1, 2)
    for _ in range(5):
        f(cache, ones(1, 1, 2))
        cache = np.concatenate([cache, ones(1, 1, 2)], 1)


@program(7, 7, "shape", "x", "f32[4,11]", "f32[4,6]", advice="pad|bucket")
def ragged_lengths(traced):
    @jax.jit
    @traced
    def f(x):
        return x.sum()

    for n in (7, 3, 9, 5, 12, 7, 11, 3, 6):
        f(ones(4, n))


@program(
    2,
    2,
    "partial batch",
    "x",
    "f32[8,3]",
    "f32[4,3]",
    advice="drop|pad",
)
def two_epochs_with_a_partial_batch(traced):
    @jax.jit
    @traced
    def f(x):
        return x.sum()

    for _ in range(2):
        for n in (8, 8, 4):
            f(ones(n, 3))


@program(2, 2, "shape", "x", "f32[32,3]", "f32[8,3]", advice=NONE)
def train_and_eval_batches(traced):
    @jax.jit
    @traced
    def f(x):
        return x.sum()

    f(ones(32, 3))
    f(ones(8, 3))


@program(1, 3, "shape", "x", "f32[3,4]", "f32[4,4]", phase="compile", advice="pad|")
def vmap_of_a_jitted_function(traced):
    @jax.jit
    @traced
    def f(x):
        return x.sum()

    for n in (2, 3, 4):
        jax.vmap(f)(ones(n, 4))


# --- ahead of time, and where arguments lie -----------------------------------------


@program(
    2,
    2,
    "dtype",
    "x",
    "bf16[4]",
    "f32[4]",
    advice="bfloat16|float32",
)
def ahead_of_time_for_another_dtype(traced):
    f = jax.jit(traced(_f))
    f.lower(jax.ShapeDtypeStruct((4,), jnp.bfloat16)).compile()
    f(ones(4))


@program(
    2,
    2,
    "shape",
    "x",
    "f32[8]",
    "f32[4]",
    advice=NONE,
)
def ahead_of_time_for_another_shape(traced):
    f = jax.jit(traced(_f))
    f.lower(jax.ShapeDtypeStruct((8,), np.float32)).compile()
    f(ones(4))


@program(
    2,
    2,
    "sharding",
    "batch",
    "f32[8,4]",
    "data=2",
    advice="sharding",
)
def ahead_of_time_for_another_sharding(traced):
    @jax.jit
    @traced
    def f(batch, w):
        return (batch @ w).sum()

    types = [jax.ShapeDtypeStruct(s, np.float32) for s in ((8, 4), (4,))]
    f.lower(*types).compile()
    place = NamedSharding(_mesh("data"), P("data"))
    f(jax.device_put(ones(8, 4), place), ones(4))


@program(1, 1)
def ahead_of_time_and_then_the_jitted_function(traced):
    f = jax.jit(traced(_f))
    f.lower(ones(4)).compile()
    f(ones(4))


@program(2, 2, "sharding", "w", "f32[4]", "data=2", advice="device_put")
def weights_that_come_back_on_the_mesh(traced):
    @jax.jit
    @traced
    def f(w, batch):
        return w + batch.mean()

    batch = jax.device_put(ones(4), NamedSharding(_mesh("data"), P("data")))
    w = ones(4)
    for _ in range(3):
        w = f(w, batch)


@program(2, 2, "sharding", "x", "data=2", "model=2", advice="device_put|mesh")
def another_mesh(traced):
    f = jax.jit(traced(_f))
    for axis in ("data", "model"):
        f(jax.device_put(ones(4), NamedSharding(_mesh(axis), P(axis))))


# --- configuration ------------------------------------------------------------------


@program(1, 1)
def debug_nans_switched_on(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    with jax.debug_nans(True):
        f(ones(3))
    f(ones(3))


@program(1, 1)
def another_prng_implementation(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    with jax.default_prng_impl("rbg"):
        f(ones(3))


@program(2, 2, "config", "jax_default_device", advice="once|before|device")
def another_default_device(traced):
    f = jax.jit(traced(_f))
    f(ones(3))
    with jax.default_device(jax.devices()[1]):
        f(ones(3))


# --- caches, threads ----------------------------------------------------------------


@program(2, 2, "shape", "x", "f32[3]", "f32[4]", advice=NONE)
def the_cache_of_another_function_cleared(traced):
    f, g = jax.jit(traced(_f)), jax.jit(_sum_of_squares)
    f(ones(3))
    g(ones(3))
    g.clear_cache()
    f(ones(4))


@program(4, 4, "shape", "x", "", "f32[6]", advice="pad|")
def four_threads(traced):
    f = jax.jit(traced(_f))
    for n in (3, 4, 5, 6):
        thread = threading.Thread(target=f, args=(ones(n),))
        thread.start()
        thread.join()


@program(3, 0, "failed before", "the call", advice=NONE)
def an_error_and_then_again(traced):
    @jax.jit
    @traced
    def f(x):
        raise ValueError

    for _ in range(3):
        with contextlib.suppress(ValueError):
            f(ones(3))


# --- nnx ----------------------------------------------------------------------------


@program(2, 2, "shape", "x", "f32[2,3]", "f32[5,3]", advice=NONE)
def another_shape_of_a_partial_nnx_jit(traced):
    @traced
    def f(model, x):
        return model(x)

    model = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    jitted = nnx.jit_partial(f, model, graph=False, graph_updates=False)
    jitted(ones(2, 3))
    jitted(ones(5, 3))


@program(
    2,
    2,
    "dtype",
    "model.linear.kernel",
    "f32[3,3]",
    "bf16[3,3]",
    advice="dtype|float32",
)
def a_weight_of_another_dtype_in_nnx(traced):
    class Net(nnx.Module):
        def __init__(self):
            self.linear = nnx.Linear(3, 3, rngs=nnx.Rngs(0))

    @nnx.jit
    @traced
    def f(model, x):
        return model.linear(x)

    model = Net()
    f(model, ones(2, 3))
    model.linear.kernel.set_value(model.linear.kernel.get_value().astype(jnp.bfloat16))
    f(model, ones(2, 3))


# --- what is no fault of the program ------------------------------------------------


@program(0, None, function="*", never_cause="eager loop")
def building_a_model(traced):
    jax.clear_caches()
    rngs = nnx.Rngs(0)
    return [nnx.Linear(n, n + 1, rngs=rngs) for n in range(2, 7)]


@program(0, None, function="*", never_cause="eager loop")
def parameters_of_many_sizes(traced):
    jax.clear_caches()
    keys = jax.random.split(jax.random.PRNGKey(0), 5)
    sizes = zip(keys, range(2, 7), strict=True)
    return [jax.random.normal(k, (n, n + 1)) * 0.1 for k, n in sizes]


@program(0, None, function="*", never_cause="eager loop")
def an_optimizer_for_many_shapes(traced):
    jax.clear_caches()
    params = [jnp.ones((n, n)) for n in range(2, 8)]
    return optax.adam(1e-3).init(params)


# --- functions that several programs use --------------------------------------------


def f(x):
    return x + 1


_f = f
