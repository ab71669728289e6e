"""Causes of a value that a mask was to hide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals import source_info
from jaxdbg.origins.causes.rules import Cause, Fit, cause
from jaxdbg.origins.location.functions import functions
from jaxdbg.origins.producers import Producer
from jaxdbg.origins.rewrites import Rewrite, double_where
from jaxdbg.origins.scene import Moment, Scene
from jaxdbg.origins.zero_factors import zero_factors

_WHERES = frozenset(
    {
        "where",
        "_where",
        "select",
        "select_n",
        "piecewise",
        jax.lax.cond.__name__,
        jax.lax.switch.__name__,
    }
)
_REDUCTIONS = frozenset({"sum", "mean", "nansum", "nanmean", "average"})
"""Functions that have a `where` inside for what they are told to leave out."""


def _safe(function: Callable[[Any], Any], safe: float, *names: str) -> dict[str, Any]:
    return dict.fromkeys(names, (function, safe))


_SAFE: dict[str, tuple[Callable[[Any], Any], float]] = {
    **_safe(jnp.log, 1, "log", "log2", "log10"),
    **_safe(jnp.sqrt, 1, "sqrt", "rsqrt"),
    **_safe(jnp.reciprocal, 1, "div", "divide", "true_divide", "reciprocal"),
    **_safe(lambda x: x**0.5, 1, "pow", "power", "float_power"),
    **_safe(jnp.arccos, 0, "arccos", "acos"),
    **_safe(jnp.arcsin, 0, "arcsin", "asin"),
    **_safe(jnp.arctanh, 0, "arctanh", "atanh"),
    **_safe(jnp.exp, 0, "exp", "expm1"),
}
"""Functions that are put behind a `where`, and an argument at which each is smooth."""


def _double_where(scene: Scene) -> Rewrite | None:
    known = [_SAFE[name] for name in scene.functions if name in _SAFE]
    return double_where(*known[-1]) if known else None


@cause(
    "where-gradient trap",
    rewrite=_double_where,
    advice="`where` throws this branch away, but its gradient is 0 times Inf or NaN, "
    "which is NaN. Make the argument safe before: "
    "`safe = jnp.where(ok, x, 1)` (0 for arccos, arcsin, arctanh and exp), then "
    "`jnp.where(ok, f(safe), 0)` (the double where)",
)
def _where_trap(scene: Scene) -> bool | Fit:
    def drops(step: Producer) -> bool:  # a `where` before the birth does not drop it
        return _is_where(step) and (scene.is_backward or not scene.follows(step))

    return _trap([scene, *scene.turns], drops)


def of_data(name: str, moments: Iterable[Moment]) -> Cause | None:
    """The cause of a NaN in data that a `where` throws away.

    Arguments:
        name: of the data.
        moments: what came of it on its way.
    """
    moments, name = tuple(moments), name or "x"
    fit = _trap(moments, _is_where)
    if not fit:
        return _multiplied(name, moments)
    return Cause(
        "data behind a mask",
        "`where` throws the value away, but the gradient is 0 times that value, which "
        f"is NaN: mask `{name}` first (`jnp.where(mask, {name}, 0)`), then compute "
        "with it",
        likely=fit is Fit.LIKELY,
    )


def _multiplied(name: str, moments: Iterable[Moment]) -> Cause | None:
    """The cause of a NaN in data that a mask multiplies."""
    forward = (m for m in moments if not m.is_backward and m.kind == "nan")
    if not any(m.primitive == "mul" and zero_factors(m.birth) for m in forward):
        return None
    return Cause(
        "data behind a mask that multiplies",
        f"0 times NaN is NaN, so that the mask does not hide it: mask `{name}` first "
        f"(`jnp.where(mask, {name}, 0)`), then compute with it",
        likely=True,
    )


def _trap(moments: Iterable[Moment], drops: Callable[[Producer], bool]) -> bool | Fit:
    """Whether a product of the backward pass is bad times the 0 of a `where`."""
    ways = [_dropped(m, n, drops) for m in moments for n in _zero_factors(m)]
    return True if True in ways else Fit.LIKELY if Fit.LIKELY in ways else False


def _zero_factors(moment: Moment) -> list[int]:
    if moment.kind != "nan" or not moment.is_backward:
        return []
    if moment.primitive == "div" and moment.is_zero(0):
        return [0]  # of Inf, or of a derivative that divides by 0
    return zero_factors(moment.birth)


def _dropped(moment: Moment, n: int, drops: Callable[[Producer], bool]) -> bool | Fit:
    """Whether a factor is 0 because a `where` did not choose what it belongs to."""
    if any(map(drops, moment.zero_steps(n))):
        return True
    return Fit.LIKELY if any(map(drops, moment.above(n))) else False


def _is_where(step: Producer) -> bool:
    """Whether this is the backward pass of a `where` of the user's."""
    if step.name != "select_n" or not any(
        "transpose" in source_info.transforms(eqn) for eqn in step.eqns
    ):
        return False
    *inside, called = functions(step.eqns) or [""]
    leaves_out = called in _REDUCTIONS and not _WHERES.isdisjoint(inside)
    return called in _WHERES or leaves_out


@cause(
    "a mask that multiplies an Inf",
    primitives=["exp", "exp2", "expm1", "cosh", "sinh"],
    after=["where-gradient trap"],
    advice="{scene.primitive} of {scene.argument} is more than {scene.dtype} holds, "
    "and 0 times Inf is NaN. Mask before {scene.primitive}: "
    "`jnp.exp(jnp.where(mask, x, -jnp.inf))`",
)
def _multiplies_an_inf(scene: Scene) -> bool:
    return any(
        turn.primitive == "mul"
        and not turn.is_backward
        and any(map(turn.is_zero, range(2)))
        for turn in scene.turns
    )
