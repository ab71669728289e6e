"""Causes of an argument at which a function has no value, or an infinite one."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import erfinv, logit

from jaxdbg.origins.causes.rules import cause
from jaxdbg.origins.rewrites import Rewrite, clipped
from jaxdbg.origins.scene import Scene

_OUTSIDE = (
    "the argument is %s, often by rounding. Keep it inside first, by a little, since "
    "the derivative is infinite at the bound: `%s`"
)
_INSIDE = "jnp.clip(x, -1 + eps, 1 - eps)"


@cause(
    "arctanh outside of (-1, 1)",
    primitives=["atanh"],
    advice="arctanh is infinite there. Keep the argument inside: "
    "`jnp.clip(x, -1 + eps, 1 - eps)`, with an eps like 1e-6",
    rewrite=clipped(jnp.arctanh),
)
def _arctanh_at_a_bound(scene: Scene) -> bool:
    return scene.value(0) in (1, -1)


@cause(
    "logit of 0 or 1",
    primitives=["div", "log", "log1p"],
    advice="logit is infinite there. Keep the probability inside (0, 1): "
    "`jnp.clip(p, eps, 1 - eps)`, with an eps like 1e-6; or do without it, and work "
    "with logits",
    rewrite=Rewrite(lambda eps, p: logit(jnp.clip(p, eps, 1 - eps)), ((0,), (1,))),
)
def _logit_at_a_bound(scene: Scene) -> bool:
    return scene.is_in("logit") and any(map(scene.is_zero, range(2)))


def _domain(
    name: str, function: str, primitive: str, safe: str, rewrite: Rewrite
) -> None:
    """Registers the cause of a function that is defined for some numbers only.

    Its derivative has a root of what is negative there.
    """

    @cause(
        f"{function} {name}",
        primitives=[primitive, "rsqrt", "sqrt"],
        advice=_OUTSIDE % (name, safe),
        rewrite=rewrite,
    )
    def fits(scene: Scene) -> bool:
        if scene.primitive == primitive:
            return scene.is_finite(0)
        of_it = scene.is_in(function, primitive) or scene.called == function
        return of_it and scene.backward and _is_below_0(scene)


def _is_below_0(scene: Scene) -> bool:
    value = scene.value(0)
    return value is not None and scene.is_finite(0) and value < 0


_BEYOND = ((1.01,), (-1.01,))
_domain("outside of [-1, 1]", "arccos", "acos", _INSIDE, clipped(jnp.arccos, *_BEYOND))
_domain("outside of [-1, 1]", "arcsin", "asin", _INSIDE, clipped(jnp.arcsin, *_BEYOND))
_domain(
    "below 1",
    "arccosh",
    "acosh",
    "jnp.maximum(x, 1 + eps)",
    Rewrite(lambda eps, x: jnp.arccosh(jnp.maximum(x, 1 + eps)), ((0.99,),)),
)
_domain(
    "outside of (-1, 1)", "arctanh", "atanh", _INSIDE, clipped(jnp.arctanh, *_BEYOND)
)


@cause(
    "square root of a negative number",
    primitives=["sqrt", "rsqrt"],
    advice=_OUTSIDE % ("below 0", "jnp.sqrt(jnp.maximum(x, eps))"),
    rewrite=Rewrite(lambda eps, x: jnp.sqrt(jnp.maximum(x, eps))),
)
def _root_of_negative(scene: Scene) -> bool:
    return _is_below_0(scene)


@cause(
    "power of a negative number",
    primitives=["pow"],
    advice="a negative number has no real power that is not whole; use `jnp.abs(x)`, "
    "or keep the base positive",
)
def _power_of_negative(scene: Scene) -> bool:
    return _is_below_0(scene)


@cause(
    "erfinv of 1 or -1",
    primitives=["erf_inv"],
    advice="erfinv is infinite there, and so is ndtri at 0 and 1. Keep the argument "
    "inside: ranks over n + 1, or `jnp.clip(x, -1 + eps, 1 - eps)`",
    rewrite=clipped(erfinv),
)
def _erfinv_at_a_bound(scene: Scene) -> bool:
    return scene.value(0) in (1, -1)


@cause(
    "erfinv outside of [-1, 1]",
    primitives=["erf_inv"],
    advice=_OUTSIDE % ("outside of [-1, 1]", _INSIDE),
    rewrite=clipped(erfinv),
)
def _erfinv_outside(scene: Scene) -> bool:
    return scene.is_finite(0)


def _pole(function: str, primitive: str, n: int = 0) -> None:
    """Registers the cause of a pole in operand `n`."""

    @cause(
        f"a pole of {function}",
        primitives=[primitive],
        advice=f"{function} is infinite at 0 and at whole numbers below. Keep the "
        "argument above 0: a count of 0 needs a prior, `x + eps`",
    )
    def fits(scene: Scene) -> bool:
        value = scene.value(n)
        return value is not None and value <= 0 and value == round(value)


_pole("gammaln", "lgamma")
_pole("digamma", "digamma")
_pole("polygamma", "polygamma", 1)
_pole("polygamma", "zeta", 1)


@cause(
    "betainc outside of its domain",
    primitives=["regularized_incomplete_beta"],
    advice="betainc(a, b, x) needs a and b above 0, and x in [0, 1]",
)
def _betainc(scene: Scene) -> bool:
    a, b, x = map(scene.value, range(3))
    if a is None or b is None or x is None:
        return False
    return a <= 0 or b <= 0 or not 0 <= x <= 1


@cause(
    "gammainc outside of its domain",
    primitives=["igamma", "igammac"],
    advice="gammainc(a, x) needs a above 0, and x at or above 0",
)
def _gammainc(scene: Scene) -> bool:
    a, x = map(scene.value, range(2))
    return a is not None and x is not None and (a <= 0 or x < 0)
