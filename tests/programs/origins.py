"""Short models and losses that go wrong, with the truth beside each of them.

The bad line is marked with a comment, `# <- origin`; what it is, where in
the model, in which step of which loop and in which pass stands in the decorator. Some
programs, at the end, look as if they went wrong and do not.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

Loop = tuple[tuple[str, int, int | None], ...]


@dataclass(frozen=True)
class Built:
    """A program, ready to be called.

    Attributes:
        call: what the user calls.
        args: with these arguments.
        names: the variables of the user's namespace.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    names: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A program and the truth about it.

    Attributes:
        build: makes it anew, so that each run starts with its own traces.
        primitive: where the bad value is born; any of these.
        module: path of the module; empty outside of one.
        loop: the loops around it.
        direction: "forward", "backward", or "forward or backward".
        cause: the classic cause, or None.
        advice: a pattern of what helps, where the cause may have another name.
        wrong: a pattern of what would lead astray.
        verdict: "born", "placed", "came in", or "born or placed".
        argument: what it came in through.
        forward: mark of the forward line that is differentiated, if it is another one.
    """

    build: Callable[[], Built]
    primitive: tuple[str, ...] = ()
    module: str = ""
    loop: Loop = ()
    direction: str = "forward"
    cause: str | None = None
    advice: str = ""
    wrong: str = ""
    verdict: str = "born"
    argument: str = ""
    forward: str = ""

    @property
    def name(self) -> str:
        """Of the function that builds it."""
        return self.build.__name__

    @property
    def file(self) -> str:
        """Where it is written."""
        return inspect.getsourcefile(inspect.unwrap(self.build)) or ""

    def judged(self, cause: str | None, advice: str) -> str:
        """What is said of the cause: "right", "none" or "wrong".

        Where the truth has neither a cause nor advice, to say nothing is right.
        """
        if not (self.cause or self.advice):
            return "wrong" if cause else "right"
        if cause is None:
            return "none"
        said = f"{cause}: {advice}"
        if self.wrong and re.search(self.wrong, said):
            return "wrong"
        helps = self.advice and re.search(self.advice, said)
        return "right" if helps or cause == self.cause else "wrong"

    def line(self, mark: str = "origin") -> int:
        """The number of the marked line in this file; 0 where none is marked."""
        text, first = inspect.getsourcelines(self.build)
        marked = [n for n, t in enumerate(text, first) if f"# <- {mark}\n" in t]
        return marked[0] if marked else 0


PROGRAMS: list[Program] = []
BENIGN: list[Program] = []


def program(*primitive: str, **truth: Any) -> Callable[..., Callable[[], Built]]:
    """Adds a program that goes wrong, with the truth about it."""

    def add(build: Callable[[], Built]) -> Callable[[], Built]:
        PROGRAMS.append(Program(build, primitive, **truth))
        return build

    return add


def benign(build: Callable[[], Built]) -> Callable[[], Built]:
    """Adds a program in which nothing is wrong."""
    BENIGN.append(Program(build))
    return build


def f32(*values: float) -> jax.Array:
    """A vector of float32."""
    return jnp.asarray(values, jnp.float32)


def grid(*shape: int) -> jax.Array:
    """Finite values between -1 and 1, no two alike."""
    return jnp.linspace(-1, 1, int(np.prod(shape)), dtype=jnp.float32).reshape(shape)


# -- losses in plain JAX, forward -----------------------------------------------------


@program("log", cause="log of 0")
def cross_entropy_of_a_sure_prediction() -> Built:
    @jax.jit
    def loss(probs, labels):
        log_probs = jnp.log(probs)  # <- origin
        return -(labels * log_probs).sum(-1).mean()

    return Built(loss, (jnp.eye(3), jnp.roll(jnp.eye(3), 1, 0) + jnp.eye(3)))


@program("log", cause="log of 0")
def binary_cross_entropy() -> Built:
    @jax.jit
    def loss(p, y):
        positive = y * jnp.log(p)
        negative = (1 - y) * jnp.log(1 - p)  # <- origin
        return -(positive + negative).mean()

    return Built(loss, (f32(0.2, 1.0, 0.7), f32(0, 1, 1)))


@program("log", cause="log of 0")
def gaussian_likelihood_with_no_spread() -> Built:
    @jax.jit
    def nll(x, mean, sigma):
        z = (x - mean) ** 2
        return -(jnp.log(sigma) + 0.5 * z).sum()  # <- origin

    return Built(nll, (f32(1, 2), f32(1, 2), f32(1, 0)))


@program("sub", cause="softmax over a row that is masked altogether")
def attention_with_an_empty_row() -> Built:
    @jax.jit
    def attend(q, k, v, mask):
        scores = q @ k.T / jnp.sqrt(4.0)
        scores = jnp.where(mask, scores, -jnp.inf)
        weights = jax.nn.softmax(scores, axis=-1)  # <- origin
        return weights @ v

    mask = jnp.tril(jnp.ones((3, 3), bool)).at[1].set(False)
    return Built(attend, (grid(3, 4), grid(3, 4), grid(3, 4), mask))


@program("mul", cause="0 * Inf")
def mask_by_multiplication() -> Built:
    @jax.jit
    def masked(scores, mask):
        bias = (1.0 - mask) * -jnp.inf  # <- origin
        return scores + bias

    return Built(masked, (grid(2, 3), jnp.ones((2, 3)).at[0, 1].set(0)))


@program("sub", cause="Inf - Inf")
def difference_of_masks() -> Built:
    @jax.jit
    def moved(mask):
        bias = jnp.where(mask, 0.0, -jnp.inf)
        return bias - jnp.roll(bias, 1)  # <- origin

    return Built(moved, (jnp.array([True, False, False, True]),))


@program("div", cause="variance of 0 without eps")
def standardised_constant_feature() -> Built:
    @jax.jit
    def standardise(x):
        centred = x - x.mean(0)
        var = (centred**2).mean(0)
        return centred / jnp.sqrt(var)  # <- origin

    return Built(standardise, (grid(4, 3).at[:, 1].set(2.0),))


@program("div", cause="division by zero")
def mean_over_nothing() -> Built:
    @jax.jit
    def masked_mean(x, valid):
        total = jnp.where(valid, x, 0).sum(1)
        count = valid.sum(1)
        return (total / count).mean()  # <- origin

    return Built(masked_mean, (grid(2, 3), jnp.array([[1, 0, 1], [0, 0, 0]], bool)))


@program("div", cause="division by zero")
def embedding_of_length_zero() -> Built:
    def normalise(x):
        length = jnp.sqrt((x * x).sum(-1, keepdims=True))
        return x / length  # <- origin

    @jax.jit
    def contrastive(a, b):
        logits = normalise(a) @ normalise(b).T
        return optax.softmax_cross_entropy_with_integer_labels(
            logits, jnp.arange(2)
        ).mean()

    return Built(contrastive, (grid(2, 3).at[1].set(0), grid(2, 3) + 2))


@program("div", cause="division by zero")
def mean_of_an_empty_segment() -> Built:
    @jax.jit
    def pooled(x, segment):
        total = jax.ops.segment_sum(x, segment, 3)
        count = jax.ops.segment_sum(jnp.ones_like(x), segment, 3)
        return total / count  # <- origin

    return Built(pooled, (f32(1, 2, 3), jnp.array([0, 0, 2])))


@program("div", cause="division by zero")
def warm_up_of_no_steps() -> Built:
    @functools.partial(jax.jit, static_argnames="warm_up")
    def rate(step, warm_up):
        return 1e-3 * jnp.minimum(step / warm_up, 1.0)  # <- origin

    return Built(lambda step: rate(step, warm_up=0), (jnp.float32(0),))


@program("exp", cause="overflow of exp")
def softmax_by_hand() -> Built:
    @jax.jit
    def softmax(logits):
        e = jnp.exp(logits)  # <- origin
        return e / e.sum(-1, keepdims=True)

    return Built(softmax, (f32(1, 100, 3),))


@program("exp", cause="overflow of exp")
def variational_autoencoder() -> Built:
    @jax.jit
    def kl(mean, log_var):
        spread = jnp.exp(log_var)  # <- origin
        return -0.5 * (1 + log_var - mean**2 - spread).sum()

    return Built(kl, (f32(0, 1), f32(0, 200)))


@program("acos", cause="arccos outside of [-1, 1]")
def angle_between_equal_vectors() -> Built:
    @jax.jit
    def angle(cosine):
        return jnp.arccos(cosine).mean()  # <- origin

    return Built(angle, (f32(0.5, 1.0000001),))


@program("pow", cause="power of a negative number")
def power_of_a_negative() -> Built:
    @jax.jit
    def compressed(x):
        return (x**0.3).sum()  # <- origin

    return Built(compressed, (f32(1, -1, 2),))


@program("log1p", cause="log of 0")
def log1p_of_minus_one() -> Built:
    @jax.jit
    def likelihood(p):
        return -jnp.log1p(-p).sum()  # <- origin

    return Built(likelihood, (f32(0.5, 1),))


@program("atanh", cause="arctanh outside of (-1, 1)")
def squashed_action_at_the_bound() -> Built:
    @jax.jit
    def log_prob(action):
        raw = jnp.arctanh(action)  # <- origin
        return (-0.5 * raw**2).sum() + raw.sum()

    return Built(log_prob, (f32(0.5, 1.0),))


@program("cholesky", cause="a matrix that is not positive definite")
def gaussian_process_without_jitter() -> Built:
    @jax.jit
    def fit(kernel, y):
        factor = jnp.linalg.cholesky(kernel)  # <- origin
        return jax.scipy.linalg.solve_triangular(factor, y, lower=True).sum()

    return Built(fit, (jnp.array([[1.0, 2.0], [2.0, 1.0]]), f32(1, 2)))


@program("triangular_solve", cause="a singular matrix")
def singular_triangle() -> Built:
    @jax.jit
    def solve(r, y):
        return jax.scipy.linalg.solve_triangular(r, y)  # <- origin

    return Built(solve, (jnp.array([[1.0, 2.0], [0.0, 0.0]]), f32(1, 1)))


@program("gather", cause="an index out of range")
def token_out_of_range() -> Built:
    @jax.jit
    def embed(table, tokens):
        vectors = jnp.take(table, tokens, axis=0)  # <- origin
        return vectors.sum()

    return Built(embed, (grid(5, 3), jnp.array([0, 4, 5])))


# -- half types -----------------------------------------------------------------------


@program("integer_pow", "square", "mul", cause="overflow of float16")
def sum_of_squares_in_float16() -> Built:
    @jax.jit
    def norm(x):
        squares = x**2  # <- origin
        return jnp.sqrt(squares.mean())

    return Built(norm, (jnp.array([1, 300, 2], jnp.float16),))


@program("dot_general", cause="overflow of float16")
def attention_in_float16() -> Built:
    @jax.jit
    def attend(q, k):
        scores = q @ k.T  # <- origin
        return jax.nn.softmax(scores)

    return Built(attend, (jnp.full((2, 8), 200, jnp.float16),) * 2)


@program("convert_element_type", cause="overflow of float16")
def cast_to_float16() -> Built:
    @jax.jit
    def cast(x):
        half = x.astype(jnp.float16)  # <- origin
        return (half * 2).sum()

    return Built(cast, (f32(1, 1e6),))


@program("convert_element_type", cause="overflow of float8_e4m3fn")
def cast_to_float8() -> Built:
    @jax.jit
    def quantised(x, w):
        x8 = x.astype(jnp.float8_e4m3fn)  # <- origin
        return x8.astype(jnp.float32) @ w

    return Built(quantised, (f32(1, 1000), f32(1, 2)))


@program("exp", cause="overflow of exp")
def exponential_in_bfloat16() -> Built:
    @jax.jit
    def gate(x):
        e = jnp.exp(x)  # <- origin
        return e / (1 + e)

    return Built(gate, (jnp.array([1, 100], jnp.bfloat16),))


@program("div", cause="eps that underflows in float16")
def eps_in_float16() -> Built:
    @jax.jit
    def normalise(x):
        total = x.sum()
        return x / (total + 1e-8)  # <- origin

    return Built(normalise, (jnp.zeros(3, jnp.float16),))


@program("div", cause="division by zero")
def norm_that_underflows_in_float16() -> Built:
    @jax.jit
    def unit(x):
        length = jnp.sqrt((x * x).sum())
        return x / length  # <- origin

    return Built(unit, (jnp.full(3, 1e-5, jnp.float16),))


# -- gradients ------------------------------------------------------------------------


@program("div", direction="backward", cause="where-gradient trap")
def where_around_sqrt() -> Built:
    def loss(x):
        safe = jnp.where(x > 0, jnp.sqrt(x), 0.0)  # <- origin
        return safe.sum()

    return Built(jax.jit(jax.value_and_grad(loss)), (f32(1, 0, 4),))


@program("div", direction="backward", cause="where-gradient trap")
def where_around_log() -> Built:
    def entropy(p):
        terms = jnp.where(p > 0, jnp.log(p), 0.0)  # <- origin
        return -(p * terms).sum()

    return Built(jax.jit(jax.grad(entropy)), (f32(0.5, 0, 0.5),))


@program("integer_pow", "div", direction="backward", cause="where-gradient trap")
def where_around_division() -> Built:
    def loss(x, y):
        ratio = jnp.where(y != 0, x / y, 0.0)  # <- origin
        return (ratio**2).sum()

    return Built(jax.jit(jax.grad(loss, 1)), (f32(1, 2), f32(2, 0)))


@program("div", direction="backward", cause="gradient of norm at 0")
def gradient_of_a_norm() -> Built:
    def penalty(w):
        return jnp.linalg.norm(w)  # <- origin

    def loss(w, x):
        return (x @ w).sum() + 0.1 * penalty(w)

    return Built(jax.jit(jax.value_and_grad(loss)), (jnp.zeros(3), grid(2, 3)))


@program("div", direction="backward", cause="gradient of sqrt at 0")
def gradient_of_a_distance() -> Built:
    def energy(points):
        diff = points[:, None] - points[None]
        squares = (diff**2).sum(-1)
        distance = jnp.sqrt(squares)  # <- origin
        return distance.sum()

    return Built(jax.jit(jax.grad(energy)), (grid(3, 2),))


@program("pow", "div", direction="backward", cause="division by zero")
def gradient_of_a_root_as_power() -> Built:
    def loss(x):
        return (x**0.3).sum()  # <- origin

    return Built(jax.jit(jax.value_and_grad(loss)), (f32(1, 0),))


@program("div", direction="backward", forward="forward", cause="division by zero")
def custom_vjp_rule() -> Built:
    @jax.custom_vjp
    def clipped_log(x):
        return jnp.log(jnp.maximum(x, 1e-6))

    def forward(x):
        return clipped_log(x), x

    def backward(x, ct):
        scaled = ct / x  # <- origin
        return (scaled,)

    clipped_log.defvjp(forward, backward)

    def loss(x):
        return clipped_log(x).sum()  # <- forward

    return Built(jax.jit(jax.value_and_grad(loss)), (f32(1, 0),))


@program("log", direction="backward", forward="forward", cause="log of 0")
def custom_jvp_rule() -> Built:
    @jax.custom_jvp
    def power(x, n):
        return x**n

    @power.defjvp
    def rule(primals, tangents):
        x, n = primals
        dx, dn = tangents
        y = power(x, n)
        return y, y * (dn * jnp.log(x) + n / (x + 1) * dx)  # <- origin

    def loss(n, x):
        return power(x, n).sum()  # <- forward

    return Built(jax.jit(jax.value_and_grad(loss)), (jnp.float32(2.0), f32(1, 0)))


@program("log", cause="log of 0")
def inside_remat() -> Built:
    @jax.checkpoint
    def block(x):
        gate = jnp.log(x)  # <- origin
        return x * gate

    def loss(x):
        return block(jnp.sin(x)).sum()

    return Built(jax.jit(jax.value_and_grad(loss)), (f32(1, 0),))


@program("log", cause="log of 0")
def one_example_of_a_batch() -> Built:
    def loss(w, x, y):
        p = jax.nn.relu(w * x)
        return -(y * jnp.log(p)).sum()  # <- origin

    per_example = jax.vmap(jax.value_and_grad(loss), (None, 0, 0))
    x = jnp.ones((8, 3)).at[5, 1].set(-1)
    return Built(jax.jit(per_example), (f32(1, 1, 1), x, jnp.ones((8, 3))))


# -- loops and branches ---------------------------------------------------------------


@program("mul", loop=(("scan", 6, 16),), cause="overflow of float32")
def exploding_recurrence() -> Built:
    @jax.jit
    def run(h, xs):
        def cell(h, x):
            h = h * h + x  # <- origin
            return h, h

        return jax.lax.scan(cell, h, xs)

    return Built(run, (jnp.float32(3.0), jnp.zeros(16)))


@program("div", loop=(("scan", 2, 5),), cause="division by zero")
def division_in_a_scan() -> Built:
    @jax.jit
    def run(xs):
        def cell(total, x):
            total = total + 1 / x  # <- origin
            return total, total

        return jax.lax.scan(cell, 0.0, xs)[0]

    return Built(run, (f32(1, 2, 0, 4, 5),))


@program("sqrt", loop=(("while", 3, None),), cause="square root of a negative number")
def while_loop() -> Built:
    @jax.jit
    def run(x):
        def step(state):
            i, x = state
            return i + 1, jnp.sqrt(x) - 1.3  # <- origin

        return jax.lax.while_loop(lambda s: s[0] < 6, step, (0, x))[1]

    return Built(run, (jnp.float32(9.0),))


@program("div", loop=(("fori_loop", 4, 10),), cause="division by zero")
def for_loop() -> Built:
    @jax.jit
    def run(x):
        def step(i, total):
            return total + 1.0 / (4 - i)  # <- origin

        return jax.lax.fori_loop(0, 10, step, x)

    return Built(run, (jnp.float32(1.0),))


@program("log", loop=(("scan", 1, 3), ("scan", 2, 4)), cause="log of a negative number")
def nested_loops() -> Built:
    @jax.jit
    def run(table):
        def inner(total, x):
            return total + jnp.log(x), x  # <- origin

        def outer(total, row):
            return jax.lax.scan(inner, total, row)

        return jax.lax.scan(outer, 0.0, table)[0]

    return Built(run, (jnp.ones((3, 4)).at[1, 2].set(-1.0),))


@program("log", cause="log of a negative number")
def branch_taken() -> Built:
    @jax.jit
    def run(x):
        return jax.lax.cond(
            x.sum() < 0,
            lambda x: jnp.log(x).sum(),  # <- origin
            lambda x: x.sum(),
            x,
        )

    return Built(run, (f32(-1, -2),))


@program("sqrt", cause="square root of a negative number")
def switch_in_a_vmapped_loop() -> Built:
    @jax.jit
    def run(kinds, x):
        def apply(kind, x):
            roots = [jnp.sin, jnp.cos, lambda x: jnp.sqrt(x)]  # <- origin
            return jax.lax.switch(kind, roots, x)

        return jax.vmap(apply)(kinds, x).sum()

    return Built(run, (jnp.array([0, 2, 1]), f32(-1, -4, 1)))


@program("div", direction="backward", cause="gradient of sqrt at 0", loop=None)
def gradient_through_a_scan() -> Built:
    def loss(xs):
        def cell(h, x):
            h = jnp.sqrt(h * h + x * x)  # <- origin
            return h, h

        return jax.lax.scan(cell, 0.0, xs)[1].sum()

    return Built(jax.jit(jax.value_and_grad(loss)), (f32(0, 1, 2),))


# -- what came in ---------------------------------------------------------------------


BAD_BEFORE = "a parameter that was already bad before the call"


@program(verdict="came in", argument='params["w"][1, 0]', cause=BAD_BEFORE)
def bad_parameter() -> Built:
    @jax.jit
    def predict(params, x):
        return x @ params["w"] + params["b"]

    params = {"w": jnp.ones((3, 2)).at[1, 0].set(jnp.nan), "b": jnp.zeros(2)}
    return Built(predict, (params, grid(2, 3)), {"params": params})


@program(verdict="came in", argument='batch["x"][2, 1]')
def bad_data() -> Built:
    @jax.jit
    def loss(w, batch):
        return ((batch["x"] @ w - batch["y"]) ** 2).mean()

    batch = {"x": grid(4, 3).at[2, 1].set(jnp.nan), "y": jnp.zeros(4)}
    return Built(loss, (f32(1, 2, 3), batch), {"batch": batch})


# -- models of NNX --------------------------------------------------------------------


class Gate(nnx.Module):
    """Divides by what it has learnt."""

    def __init__(self, width, rngs):
        self.lin = nnx.Linear(width, width, rngs=rngs)
        self.temperature = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        return jnp.tanh(self.lin(x) / self.temperature[...])


class Block(nnx.Module):
    """Normalised, then gated."""

    def __init__(self, width, rngs):
        self.ln1 = nnx.LayerNorm(width, rngs=rngs)
        self.gate = Gate(width, rngs)

    def __call__(self, x):
        return x + self.gate(self.ln1(x))


class Stack(nnx.Module):
    """Some equal blocks."""

    def __init__(self, depth, rngs, block=Block):
        self.blocks = nnx.List([block(4, rngs) for _ in range(depth)])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def squared_error(model, batch):
    """A loss."""
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


@nnx.jit
def train_step(model, optimizer, batch):
    """One step of training, as in the documentation of NNX."""
    loss, grads = nnx.value_and_grad(squared_error)(model, batch)
    optimizer.update(model, grads)
    return loss


def batch_of(*shape: int) -> dict[str, jax.Array]:
    """Something to train on."""
    return {"x": grid(*shape), "y": jnp.zeros(shape)}


def training(model: nnx.Module, **adam: Any) -> Built:
    """A step of training of a model."""
    optimizer = nnx.Optimizer(model, optax.adam(1e-3, **adam), wrt=nnx.Param)
    batch = batch_of(3, 4)
    names = {"model": model, "optimizer": optimizer, "batch": batch}
    return Built(train_step, (model, optimizer, batch), names)


class Ratio(nnx.Module):
    """Divides by a width that is learnt."""

    def __init__(self, width, rngs):
        self.lin = nnx.Linear(width, width, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(width))

    def __call__(self, x):
        return self.lin(x) / self.scale[...]


def with_scale(model: Any, path: str, value: float) -> Any:
    """The model, one parameter of it changed."""
    parameter = eval(f"model.{path}", {"model": model})
    parameter[...] = jnp.full_like(parameter[...], value)
    return model


@program("div", module="model.blocks[7]", cause="division by zero")
def one_of_twelve_blocks() -> Built:
    class Plain(nnx.Module):
        def __init__(self, width, rngs):
            self.scale = nnx.Param(jnp.ones(width))

        def __call__(self, x):
            return x + x / self.scale[...]  # <- origin

    model = Stack(12, nnx.Rngs(0), Plain)
    return training(with_scale(model, "blocks[7].scale", 0.0))


@program("rsqrt", module="model.norm", cause="variance of 0 without eps")
def layer_norm_without_eps() -> Built:
    class Normed(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.LayerNorm(4, epsilon=0.0, rngs=rngs)
            self.head = nnx.Linear(4, 1, rngs=rngs)

        def __call__(self, x):
            x = self.norm(x)  # <- origin
            return self.head(x)

    @nnx.jit
    def predict(model, x):
        return model(x)

    model = Normed(nnx.Rngs(0))
    return Built(predict, (model, jnp.ones((2, 4))), {"model": model})


@program(
    "div", direction="backward", module="model.blocks[1]", cause="gradient of sqrt at 0"
)
def backward_in_a_block() -> Built:
    class Rooted(nnx.Module):
        def __init__(self, width, rngs):
            self.scale = nnx.Param(jnp.ones(width))

        def __call__(self, x):
            return x + jnp.sqrt(jnp.abs(x * self.scale[...]))  # <- origin

    model = Stack(3, nnx.Rngs(0), Rooted)
    built = training(with_scale(model, "blocks[1].scale", 0.0))
    built.args[2]["x"] *= 0.9  # at -1 the first block would give 0 too
    return built


@program("exp", module="model.encoder.gate", cause="overflow of exp")
def nested_modules() -> Built:
    class Exponential(nnx.Module):
        def __init__(self, rngs):
            self.lin = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x):
            return jnp.exp(100 * jnp.abs(self.lin(x)) + 80)  # <- origin

    class Encoder(nnx.Module):
        def __init__(self, rngs):
            self.gate = Exponential(rngs)

        def __call__(self, x):
            return x * self.gate(x)

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.encoder = Encoder(rngs)
            self.head = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x):
            return self.head(self.encoder(x))

    return training(Model(nnx.Rngs(0)))


@program(
    "div", module="model.blocks[2]", loop=(("scan", 2, 4),), cause="division by zero"
)
def scan_over_layers() -> Built:
    class Layer(nnx.Module):
        def __init__(self, rngs):
            self.scale = nnx.Param(jnp.ones(4))

        def __call__(self, x):
            return x + x / self.scale[...]  # <- origin

    class Deep(nnx.Module):
        def __init__(self, rngs):
            self.blocks = nnx.vmap(Layer)(rngs.split(4))

        def __call__(self, x):
            return nnx.scan(
                lambda layer, x: layer(x),
                in_axes=(0, nnx.Carry),
                out_axes=nnx.Carry,
            )(self.blocks, x)

    model = Deep(nnx.Rngs(0))
    model.blocks.scale[...] = model.blocks.scale[...].at[2].set(0)
    return training(model)


@program("div", module="model.blocks[0]", cause="division by zero")
def remat_of_blocks() -> Built:
    class Recomputed(nnx.Module):
        def __init__(self, width, rngs):
            self.inner = Ratio(width, rngs)
            self.low = nnx.Param(jnp.zeros(width))

        @nnx.remat
        def __call__(self, x):
            hidden = self.inner(x)
            return hidden / self.low[...]  # <- origin

    return training(Stack(2, nnx.Rngs(0), Recomputed))


@program("div", cause="division by zero")
def adam_without_eps() -> Built:
    class Partly(nnx.Module):
        def __init__(self, rngs):
            self.used = nnx.Param(jnp.ones(4))
            self.unused = nnx.Param(jnp.ones(4))

        def __call__(self, x):
            return x * self.used[...]

    model = Partly(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3, eps=0.0), wrt=nnx.Param)
    batch = batch_of(3, 4)

    @nnx.jit
    def step(model, optimizer, batch):
        grads = nnx.grad(squared_error)(model, batch)
        optimizer.update(model, grads)  # <- origin

    names = {"model": model, "optimizer": optimizer, "batch": batch}
    return Built(step, (model, optimizer, batch), names)


@program("div", module="model.norm", cause="division by zero")
def jit_of_a_transformation() -> Built:
    class Normed(nnx.Module):
        def __init__(self, rngs):
            self.norm = Unit(4, rngs)

        def __call__(self, x):
            return self.norm(x)

    class Unit(nnx.Module):
        def __init__(self, width, rngs):
            self.scale = nnx.Param(jnp.ones(width))

        def __call__(self, x):
            low = jnp.minimum(x * self.scale[...], 0.0)
            return x / low  # <- origin

    def loss(model, x):
        return jnp.tanh(model(x)).sum()

    model = Normed(nnx.Rngs(0))
    return Built(
        nnx.jit(nnx.value_and_grad(loss)), (model, f32(-1, -2, 0, 1)), {"model": model}
    )


@program("log", module="model.heads[1]", cause="log of a negative number")
def list_of_heads_split_and_merged() -> Built:
    class Head(nnx.Module):
        def __init__(self, rngs):
            self.scale = nnx.Param(jnp.ones(4))

        def __call__(self, x):
            return jnp.log(self.scale[...]) + x  # <- origin

    class Heads(nnx.Module):
        def __init__(self, rngs):
            self.heads = nnx.List([Head(rngs), Head(rngs)])

        def __call__(self, x):
            return sum(head(x) for head in self.heads)

    model = with_scale(Heads(nnx.Rngs(0)), "heads[1].scale", -1.0)
    graphdef, params = nnx.split(model)

    @jax.jit
    def step(params, x):
        def loss(params):
            return nnx.merge(graphdef, params)(x).mean()

        return jax.value_and_grad(loss)(params)

    return Built(step, (params, grid(2, 4)), {"model": model})


@program("div", module="Net/ratio", cause="division by zero")
def model_of_linen() -> Built:
    class Ratio(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            width = self.param("width", flax.linen.initializers.zeros, (4,))
            return x / width  # <- origin

    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            return Ratio(name="ratio")(flax.linen.Dense(4)(x))

    net, x = Net(), grid(2, 4) + 3
    params = net.init(jax.random.key(0), x)
    return Built(jax.jit(net.apply), (params, x), {"params": params})


@program(verdict="came in", argument="model.blocks[3].ln1.scale[2]", cause=BAD_BEFORE)
def model_that_was_bad_before() -> Built:
    model = Stack(5, nnx.Rngs(0))
    scale = model.blocks[3].ln1.scale
    scale[...] = scale[...].at[2].set(jnp.nan)
    return training(model)


# -- programs that were written after all was built, to see what they give ------------


@program("dot_general", module="model.attn", cause="overflow of float32")
def attention_of_flax() -> Built:
    class Attention(nnx.Module):
        def __init__(self, rngs):
            self.attn = nnx.MultiHeadAttention(2, 4, rngs=rngs, decode=False)
            self.norm = nnx.RMSNorm(4, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.attn(x))  # <- origin

    model = Attention(nnx.Rngs(0))
    for projection in (model.attn.query, model.attn.key):
        projection.kernel[...] *= 1e30

    @nnx.jit
    def predict(model, x):
        return model(x)

    return Built(predict, (model, grid(1, 6, 4)), {"model": model})


@program("rsqrt", module="model.bn", cause="variance of 0 without eps")
def batch_norm_without_eps() -> Built:
    class Convolution(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(1, 2, (3,), rngs=rngs)
            self.bn = nnx.BatchNorm(2, epsilon=0.0, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.drop(nnx.relu(self.bn(self.conv(x))))  # <- origin

    @nnx.jit
    def predict(model, x):
        return model(x)

    model = Convolution(nnx.Rngs(0))
    return Built(predict, (model, jnp.zeros((2, 5, 1))), {"model": model})


@program("div", module="model", loop=(("scan", 1, 3),), cause="division by zero")
def recurrent_cell() -> Built:
    class Recurrent(nnx.Module):
        def __init__(self, rngs):
            self.cell = nnx.GRUCell(2, 3, rngs=rngs)
            self.out = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, xs):
            @nnx.scan(in_axes=(nnx.Carry, None, 0), out_axes=nnx.Carry)
            def run(h, cell, x):
                h, _ = cell(h, x)
                return h / jnp.sum(x)  # <- origin

            return self.out(run(jnp.zeros((1, 3)), self.cell, xs))

    @nnx.jit
    def predict(model, xs):
        return model(xs)

    model = Recurrent(nnx.Rngs(0))
    xs = jnp.array([[[1.0, 1.0]], [[1.0, -1.0]], [[2.0, 2.0]]])
    return Built(predict, (model, xs), {"model": model})


@program("div", direction="backward", cause="gradient of sqrt at 0")
def second_derivative() -> Built:
    def loss(x):
        return jnp.sqrt((x**2).sum())  # <- origin

    return Built(jax.jit(jax.hessian(loss)), (jnp.zeros(2),))


@program(
    "div",
    direction="backward",
    loop=(("scan", 1, 3),),
    cause="gradient of arctan2 at (0, 0)",
)
def accumulated_gradients() -> Built:
    def loss(w, x):
        return jnp.arctan2(w * x, w - 1).sum()  # <- origin

    @jax.jit
    def step(w, xs):
        def micro(total, x):
            return jax.tree.map(jnp.add, total, jax.grad(loss)(w, x)), None

        return jax.lax.scan(micro, jnp.zeros_like(w), xs)[0]

    xs = jnp.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    return Built(step, (f32(1, 2), xs))


@program("div", cause="division by zero")
def two_losses_on_one_line() -> Built:
    def loss(logits):
        entropy = jax.nn.log_softmax(logits).sum()
        return entropy + optax.cosine_distance(  # <- origin
            logits, jax.nn.softmax(logits) * 0, epsilon=0.0
        )

    return Built(jax.jit(loss), (f32(1, 2, 3),))


@program("mul", cause="overflow of float32")
def associative_scan() -> Built:
    @jax.jit
    def products(x):
        return jax.lax.associative_scan(jnp.multiply, x)  # <- origin

    return Built(products, (jnp.full(8, 1e10),))


# -- programs in which nothing is wrong -----------------------------------------------


@benign
def causal_mask() -> Built:
    @jax.jit
    def attend(scores, v):
        mask = jnp.tril(jnp.ones(scores.shape, bool))
        bias = jnp.where(mask, 0.0, -jnp.inf)
        return jax.nn.softmax(scores + bias) @ v, bias

    return Built(attend, (grid(4, 4), grid(4, 3)))


@benign
def gradient_through_a_mask() -> Built:
    def loss(scores):
        mask = jnp.tril(jnp.ones(scores.shape, bool))
        return jax.nn.log_softmax(jnp.where(mask, scores, -jnp.inf)).max(1).sum()

    return Built(jax.jit(jax.value_and_grad(loss)), (grid(4, 4),))


@benign
def missing_data_in_a_preparation() -> Built:
    @jax.jit
    def prepare(x):
        known = ~jnp.isnan(x)
        mean = jnp.nanmean(x, 0)
        return (x - mean) * 2, jnp.where(known, x, mean)

    return Built(prepare, (grid(4, 3).at[1, 2].set(jnp.nan),))


@benign
def variance() -> Built:
    return Built(jax.jit(lambda x: (jnp.var(x), jnp.std(x, 0))), (grid(4, 3),))


@benign
def running_maximum() -> Built:
    @jax.jit
    def best(xs):
        def cell(high, x):
            high = jnp.maximum(high, x)
            return high, high

        return jax.lax.scan(cell, -jnp.inf, xs)

    return Built(best, (f32(1, 3, 2),))


@benign
def division_that_where_discards() -> Built:
    @jax.jit
    def ratio(x, y):
        return jnp.where(y != 0, x / y, 0.0)

    return Built(ratio, (f32(1, 2, 0), f32(2, 0, 0)))


@benign
def double_where() -> Built:
    def loss(x):
        safe = jnp.where(x > 0, x, 1.0)
        return jnp.where(x > 0, jnp.log(safe), 0.0).sum()

    return Built(jax.jit(jax.value_and_grad(loss)), (f32(1, 0, -1),))


@benign
def beam_search_scores() -> Built:
    @jax.jit
    def extend(scores, log_probs):
        scores = scores.at[1:].set(-jnp.inf)
        return jax.lax.top_k((scores[:, None] + log_probs).ravel(), 5)

    return Built(extend, (jnp.zeros(3), jax.nn.log_softmax(grid(3, 4))))


@benign
def impossible_actions() -> Built:
    @jax.jit
    def choose(key, logits, legal):
        logits = jnp.where(legal, logits, -jnp.inf)
        return jax.random.categorical(key, logits), logits.argmax(), logits

    return Built(choose, (jax.random.key(0), f32(1, 2, 3), jnp.array([1, 0, 1], bool)))


@benign
def log_of_zero_that_adds_nothing() -> Built:
    @jax.jit
    def total(log_weights):
        return jax.nn.logsumexp(jnp.append(log_weights, -jnp.inf))

    return Built(total, (f32(0, -1),))


@benign
def clipped_overflow() -> Built:
    @jax.jit
    def gate(x):
        return 1 / (1 + jnp.exp(-x)), jax.nn.sigmoid(x)

    return Built(gate, (f32(-200, 0, 200),))


@benign
def sentinel_distances() -> Built:
    @jax.jit
    def nearest(distance):
        n = distance.shape[0]
        distance = jnp.where(jnp.eye(n, dtype=bool), jnp.inf, distance)
        return distance, distance.min(1)

    return Built(nearest, (jnp.abs(grid(4, 4)),))


@benign
def training_of_twelve_blocks() -> Built:
    return training(Stack(12, nnx.Rngs(0)))
