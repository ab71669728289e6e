"""Causes of a division by 0, and of a logarithm or an inverse root of 0."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxdbg.origins.causes.rules import Fit, cause
from jaxdbg.origins.producers import Producer, above, source
from jaxdbg.origins.rewrites import Rewrite
from jaxdbg.origins.scene import Scene
from jaxdbg.origins.why_zero import is_product, is_spread, underflowed

_HALF_EPS = (
    "the constant that is added to keep this from 0 is itself 0 in {scene.dtype}; "
    "use a larger one (%s), or compute this part in float32"
)
_EQUAL = (((1, 1),),)
"""The operands at which a variance is 0: numbers that are all the same."""

_LARGER_EPS = Rewrite(lambda eps, x, d: x / (d + eps))

_MAY_BE_OF_0 = {"div": 1, "rem": 1, "log": 0, "rsqrt": 0, "sqrt": 0}
"""The operand of an operation that must not be 0."""


def _with_a_larger_eps(scene: Scene) -> Rewrite | None:
    return _LARGER_EPS if scene.primitive == "div" else None


@cause(
    "eps that underflows in {scene.dtype}",
    primitives=tuple(_MAY_BE_OF_0),
    after=["gradient of norm at 0", "gradient of sqrt at 0"],
    advice=_HALF_EPS % "1e-2, or 1e-3 where it has no gradient",
    rewrite=_with_a_larger_eps,
)
def _eps_underflow_in_float16(scene: Scene) -> bool:
    return scene.dtype == "float16" and _eps_underflows(scene)


@cause(
    "eps that underflows in {scene.dtype}",
    primitives=tuple(_MAY_BE_OF_0),
    after=["gradient of norm at 0", "gradient of sqrt at 0"],
    advice=_HALF_EPS % "one it can hold",
    rewrite=_with_a_larger_eps,
)
def _eps_underflow(scene: Scene) -> bool:
    return scene.dtype != "float16" and scene.is_half and _eps_underflows(scene)


def _eps_underflows(scene: Scene) -> bool:
    n = _MAY_BE_OF_0[scene.primitive]
    return scene.is_zero(n) and scene.adds_literal_zero(n)


@cause(
    "softmax over a row that is masked altogether",
    primitives=["sub", "div"],
    advice="every entry of the row is -Inf, so that softmax is 0/0. Mask with a large "
    "negative number (`jnp.finfo(x.dtype).min`), or let a row without a valid "
    "entry see itself and drop it afterwards",
)
def _masked_softmax(scene: Scene) -> bool | Fit:
    if scene.primitive == "div":
        return _masks(scene) if scene.is_zero(0) and scene.is_zero(1) else False
    if not all(scene.value(n) == -math.inf for n in range(2)):
        return False
    if scene.is_in("softmax", "_softmax", "log_softmax", "logsumexp"):
        return True
    return Fit.LIKELY if scene.comes_from(1, "reduce_max") else False


def _masks(scene: Scene) -> bool | Fit:
    """Whether a 0 is the exponential of a row that a mask has made -Inf."""
    step = underflowed(scene.zero_steps(1))
    return Fit.LIKELY if step is not None and _is_masked(step) else False


def _is_masked(step: Producer) -> bool:
    """Whether what went into an operation was set to -Inf in some places."""
    selects = (s for s in above(step.operands[0], 6) if s.name == "select_n")
    return any(source(o).literal == -math.inf for s in selects for o in s.operands)


@cause(
    "a probability that underflowed",
    primitives=["log"],
    after=["eps that underflows in {scene.dtype}"],
    advice="the exp that it is made of is 0. Work in log space: "
    "`jax.nn.log_softmax(x)` for the log of a softmax, `jax.nn.logsumexp(x)` for that "
    "of a sum of exp, `jax.nn.log_sigmoid(x)` for that of a sigmoid",
)
def _log_of_an_exp(scene: Scene) -> bool:
    return scene.is_zero(0) and _is_of_exp(scene, 0)


@cause(
    "exp that underflowed",
    primitives=["div"],
    after=["softmax over a row that is masked altogether"],
    advice="each exp in the denominator is 0. Work in log space: `jax.nn.softmax(x)` "
    "for `e / e.sum()`, or subtract the largest value before exp",
)
def _by_an_exp(scene: Scene) -> bool:
    return scene.is_zero(1) and _is_of_exp(scene, 1)


def _is_of_exp(scene: Scene, n: int) -> bool:
    step = underflowed(scene.zero_steps(n))
    return step is not None and not is_product(step) and not _is_masked(step)


@cause(
    "a product that underflowed",
    primitives=["log"],
    after=["a probability that underflowed"],
    advice="a factor is 0, or there are too many for {scene.dtype}. Work in log space: "
    "`jnp.cumsum(jnp.log(p))` for `jnp.log(jnp.cumprod(p))`",
)
def _log_of_a_product(scene: Scene) -> bool | Fit:
    step = underflowed(scene.zero_steps(0)) if scene.is_zero(0) else None
    return Fit.LIKELY if step is not None and is_product(step) else False


@cause(
    "variance of 0 without eps",
    primitives=["div", "rsqrt"],
    after=["eps that underflows in {scene.dtype}"],
    advice="what is constant has variance 0. Add a small constant under the root: "
    "`x / jnp.sqrt(var + eps)`, or `jax.lax.rsqrt(var + eps)`, with an eps like 1e-5",
    rewrite=Rewrite(lambda eps, x: (x - x.mean()) / jnp.sqrt(x.var() + eps), _EQUAL),
)
def _no_variance(scene: Scene) -> bool:
    n = _MAY_BE_OF_0[scene.primitive]
    return scene.is_zero(n) and is_spread(scene.zero_steps(n))


@cause(
    "correlation with a constant",
    primitives=["div"],
    advice="what is constant has variance 0, and no correlation with anything. Leave "
    "it out before: `x[x.std(1) > 0]` outside of jit",
)
def _no_correlation(scene: Scene) -> bool:
    return scene.is_zero(1) and scene.is_in("corrcoef")


@cause(
    "log of 0",
    primitives=["log1p"],
    advice="the argument of log1p is -1; keep it above",
)
def _log1p_of_minus_1(scene: Scene) -> bool:
    return scene.value(0) == -1


@cause(
    "log of a negative number",
    primitives=["log"],
    advice="look at why the argument is negative: a probability that is rounded, or "
    "a scale without `softplus` or `exp`",
)
def _log_of_negative(scene: Scene) -> bool:
    value = scene.value(0)
    return value is not None and value < 0


@cause(
    "log of 0",
    primitives=["log"],
    after=["a probability that underflowed", "a product that underflowed"],
    advice="keep the argument above 0: `jnp.log(jnp.maximum(x, eps))`; for "
    "probabilities work with logits (jax.nn.log_softmax). Where -Inf is meant, place "
    "it: `jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1)), -jnp.inf)`",
    rewrite=Rewrite(lambda eps, x: jnp.log(jnp.maximum(x, eps))),
)
def _log_of_zero(scene: Scene) -> bool:
    return scene.is_zero(0)
