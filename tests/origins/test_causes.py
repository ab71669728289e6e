"""The classic causes, each recognised in a program as people write it.

Each row is a program, the cause it has, and what is said of the bad operand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.origins.causes import rules
from jaxdbg.views.origin_wording import operand


@dataclass(frozen=True)
class Row:
    """A program, and what is to be said of it."""

    name: str
    run: Callable[[], Any]
    cause: str
    operand: str
    likely: bool


ROWS: list[Row] = []


def because(cause: str, operand: str = "", likely: bool = False) -> Any:
    """Adds a row."""

    def add(run: Callable[[], Any]) -> Callable[[], Any]:
        ROWS.append(Row(run.__name__, run, cause, operand, likely))
        return run

    return add


def f32(*values: Any) -> Any:
    return np.array(values, np.float32)


IMAGES = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
BLANK = IMAGES.copy()
BLANK[5] = 0.25


# -- forward ---------------------------------------------------------------------------


@because(
    "variance of 0 without eps",
    "denominator `x.std(-1, keepdims=True)` is exactly 0 at [5, 0]; 1 zero in 8",
)
def normalisation_of_a_blank_image():
    @jax.jit
    def normalise(x):
        return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)

    return normalise(BLANK)


@because(
    "variance of 0 without eps",
    "argument of rsqrt `var` is exactly 0 at [5, 0]; 1 zero",
)
def layer_norm_by_hand():
    class Norm(nnx.Module):
        def __init__(self, size, rngs):
            self.linear = nnx.Linear(size, size, rngs=rngs)

        def __call__(self, x):
            x = x - x.mean(-1, keepdims=True)
            var = (x * x).mean(-1, keepdims=True)
            return self.linear(x * jax.lax.rsqrt(var))

    model = Norm(6, nnx.Rngs(0))
    return nnx.jit(lambda model, x: model(x))(model, BLANK)


@because("log of 0", "argument of log `p` is exactly 0 at [1]; 1 zero in 3")
def entropy():
    @jax.jit
    def entropy(p):
        return -(p * jnp.log(p)).sum()

    return entropy(f32(0.5, 0, 0.5))


@because("log of 0", "argument of log `p[label]` is exactly 0")
def likelihood_of_an_impossible_label():
    @jax.jit
    def loss(logits, label):
        p = jax.nn.softmax(logits)
        return -jnp.log(p[label])

    return loss(f32(200, 0, 0), 2)


@because("log of a negative number", "argument of log `1 - p` is -")
def logarithm_of_a_negative():
    return jax.jit(lambda p: jnp.log(1 - p))(f32(0.5, 1.0001))


@because("division by zero", "denominator `d` is exactly 0 at [1]; 1 zero in 2")
def division():
    return jax.jit(lambda x, d: x / d)(f32(1, 2), f32(3, 0))


@because("softmax over a row that is masked altogether")
def attention_without_a_key():
    @jax.jit
    def attend(scores, mask):
        return jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)

    mask = np.ones((3, 4), bool)
    mask[1] = False
    return attend(np.ones((3, 4), np.float32), mask)


@because("softmax over a row that is masked altogether", likely=True)
def scores_by_hand_without_a_key():
    @jax.jit
    def weights(scores, mask):
        scores = jnp.where(mask, scores, -jnp.inf)
        e = jnp.exp(scores - scores.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    mask = np.ones((3, 4), bool)
    mask[1] = False
    return weights(np.ones((3, 4), np.float32), mask)


@because("overflow of float16")
def squares_in_half_precision():
    return jax.jit(lambda x: (x * x).sum())(np.float16([300, 1]))


@because("overflow of float16")
def logits_in_half_precision():
    linear = nnx.Linear(64, 3, dtype=jnp.float16, rngs=nnx.Rngs(0))
    linear.kernel.set_value(jnp.full((64, 3), 40.0))
    return nnx.jit(lambda m, x: m(x))(linear, np.full((2, 64), 50, np.float16))


@because("overflow of float16", "value `x`")
def a_cast():
    return jax.jit(lambda x: x.astype(jnp.float16))(f32(1, 1e6))


@because("eps that underflows in float16", "denominator `norm + 1e-8` is exactly 0")
def eps_in_half_precision():
    @jax.jit
    def unit(x):
        norm = jnp.abs(x).sum(-1, keepdims=True)
        return x / (norm + 1e-8)

    return unit(np.zeros((2, 3), np.float16))


@because("overflow of exp", "argument of exp `x` is 100 at [1]")
def exponential():
    return jax.jit(lambda x: jnp.exp(x).sum())(f32(1, 100))


@because("Inf - Inf", "left side `x` is Inf at [0]; 1 Inf in 2")
def difference_of_infinities():
    # Both were placed: it is the NaN that is born.
    @jax.jit
    def gap(x):
        x = jnp.where(x > 0, jnp.inf, x)
        return x - jnp.max(x)

    return gap(f32(1, -1))


@because("0 * Inf")
def a_mask_that_multiplies():
    @jax.jit
    def masked(x, keep):
        x = jnp.where(x > 0, jnp.inf, x)
        return (keep * x).sum()

    return masked(f32(1, -1), f32(0, 1))


@because("a matrix that is not positive definite")
def cholesky():
    @jax.jit
    def sample(covariance, z):
        return jnp.linalg.cholesky(covariance) @ z

    return sample(f32([1, 2], [2, 1]), f32(1, 1))


@because("an index out of range", "index into an axis of 3 is 7 at [1, 1]")
def a_label_out_of_range():
    @jax.jit
    def loss(logits, labels):
        logp = jax.nn.log_softmax(logits)
        picked = logp.at[jnp.arange(2), labels].get(mode="fill")
        return -picked.mean()

    return loss(np.zeros((2, 3), np.float32), np.array([1, 7]))


@because("square root of a negative number", "argument of sqrt `variance` is -")
def variance_by_difference():
    @jax.jit
    def spread(x):
        variance = (x * x).mean() - x.mean() ** 2 - 1e-3
        return jnp.sqrt(variance)

    return spread(f32(1, 1, 1))


@because("arccos outside of [-1, 1]", "argument of acos `cosine` is 1.0001")
def angle():
    @jax.jit
    def angle(cosine):
        return jnp.arccos(cosine)

    return angle(f32(1.0001))


@because("power of a negative number", "base `x` is -1 at [0]")
def power():
    return jax.jit(lambda x, n: x**n)(f32(-1, 2), f32(0.5, 0.5))


@because("softmax over a row that is masked altogether", likely=True)
def exp_of_a_mask_by_hand():
    @jax.jit
    def weights(scores):
        e = jnp.exp(jnp.where(scores > 0, scores, -jnp.inf))
        return e / e.sum()

    return weights(f32(-1, -2))


@because("overflow of exp", "argument of exp `x` is 100")
def exponential_in_bfloat16():
    # In float32 it would overflow, too.
    return jax.jit(lambda x: jnp.exp(x))(jnp.bfloat16(100))


@because("overflow of reduce_precision")
def rounding_to_a_narrow_range():
    return jax.jit(lambda x: jax.lax.reduce_precision(x, 4, 3))(np.float32(300))


@because("betainc outside of its domain")
def betainc_of_a_negative():
    return jax.jit(jax.scipy.special.betainc)(*f32(1, -1, 0.5))


@because("division by zero")
def complex_division():
    return jax.jit(lambda z, d: z / d)(np.complex64(1 + 1j), np.complex64(0))


@because("arcsin outside of [-1, 1]", "argument of asin `x` is 1.0000001")
def one_and_a_little():
    return jax.jit(lambda x: jnp.arcsin(x))(np.nextafter(np.float32(1), np.float32(2)))


# -- backward --------------------------------------------------------------------------


@because("where-gradient trap")
def root_behind_where():
    @jax.jit
    def grad(x):
        return jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0).sum())(x)

    return grad(f32(4, 0))


@because("where-gradient trap")
def logarithm_behind_where_in_a_model():
    class Positive(nnx.Module):
        def __init__(self, rngs):
            self.scale = nnx.Param(jnp.ones(3))

        def __call__(self, x):
            x = x * self.scale
            return jnp.where(x > 0, jnp.log(x), 0.0)

    @nnx.jit
    def step(model, opt, x):
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).sum())(model)
        opt.update(model, grads)
        return loss

    model = Positive(nnx.Rngs(0))
    opt = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    return step(model, opt, f32(1, 0, 2))


@because("gradient of sqrt at 0")
def gradient_of_a_root():
    return jax.jit(jax.grad(lambda x: jnp.sqrt(x).sum()))(f32(4, 0))


@because("gradient of norm at 0")
def gradient_of_a_distance():
    @jax.jit
    def pull(a, b):
        return jax.grad(lambda a: jnp.linalg.norm(a - b))(a)

    return pull(f32(1, 2), f32(1, 2))


@because("gradient of sqrt at 0")
def gradient_of_a_distance_by_hand():
    @jax.jit
    def pull(a, b):
        return jax.grad(lambda a: jnp.sqrt(((a - b) ** 2).sum()))(a)

    return pull(f32(1, 2), f32(1, 2))


@because("gradient of log at 0")
def gradient_of_a_log():
    @jax.jit
    def grad(p):
        return jax.grad(lambda p: jnp.maximum(jnp.log(p), -100.0).sum())(p)

    return grad(f32(0.5, 0))


@because("gradient of arccos at 1 or -1")
def gradient_of_a_function_that_no_line_calls():
    return jax.jit(jax.grad(jnp.arccos))(np.float32(1))


@because("where-gradient trap", likely=True)
def zero_weight_below_a_where():
    # The 0 may be that of the `where`, or that of the weight.
    @jax.jit
    def grad(x, w):
        return jax.grad(lambda x: jnp.where(x < 5, w * jnp.sqrt(x), 0).sum())(x)

    return grad(f32(0, 1), f32(0, 1))


@because("data behind a mask")
def missing_labels_that_a_sum_leaves_out():
    @jax.jit
    def grad(w, x, y):
        def loss(w):
            return ((x * w - y) ** 2).sum(where=~jnp.isnan(y))

        return jax.grad(loss)(w)

    return grad(np.float32(1), f32(1, 2), f32(np.nan, 2))


@because("data behind a mask")
def missing_inputs_of_a_matmul():
    @jax.jit
    def grad(w, x):
        def loss(w):
            return jnp.where(jnp.isnan(x).any(1), 0, x @ w).sum()

        return jax.grad(loss)(w)

    return grad(f32(1, 2), f32([1, np.nan], [1, 2]))


# -- over several calls, and before the call -------------------------------------------


@because("exploding values", likely=True)
def a_learning_rate_that_is_too_high():
    @nnx.jit
    def step(model, opt, x, y):
        loss, grads = nnx.value_and_grad(lambda m: ((m(x) - y) ** 2).mean())(model)
        opt.update(model, grads)
        return loss

    model = nnx.Linear(6, 1, rngs=nnx.Rngs(0))
    opt = nnx.Optimizer(model, optax.sgd(100.0), wrt=nnx.Param)
    for _ in range(40):
        step(model, opt, IMAGES, IMAGES[:, :1])


@because("a parameter that was already bad before the call")
def a_bad_checkpoint():
    model = nnx.Linear(6, 3, rngs=nnx.Rngs(0))
    model.kernel.set_value(model.kernel[...].at[2, 1].set(jnp.nan))
    return nnx.jit(lambda model, x: model(x))(model, IMAGES)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_classic_cause_is_recognised(row: Row) -> None:
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        jax.block_until_ready(row.run())
    origin = caught.value.finding.origin
    assert origin is not None
    assert (origin.cause, origin.likely) == (row.cause, row.likely), str(origin)
    assert origin.advice
    assert caught.value.report.notices == ()
    told = [operand(o) for o in origin.operands]
    assert not row.operand or any(t.startswith(row.operand) for t in told), told
    lines = str(caught.value).splitlines()
    word = "likely cause" if row.likely else "cause"
    assert f"  {word}: {row.cause}" in lines


def test_a_rule_that_goes_first_must_stand_first():
    with pytest.raises(ValueError, match="a new cause is to be tried after"):
        rules.cause("a new cause", advice="", after=["a cause further down"])
    assert "a new cause" not in [rule.name for rule in rules.RULES]
