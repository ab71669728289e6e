"""Division by zero, where nothing more special fits."""

from __future__ import annotations

import jax.numpy as jnp

from jaxdbg.origins.causes.rules import cause
from jaxdbg.origins.rewrites import Rewrite
from jaxdbg.origins.scene import Scene

_DIVISIONS = (
    *("div", "divide", "true_divide", "reciprocal"),
    *("pow", "power", "float_power", "integer_pow"),
)
"""Operators and functions whose derivatives divide by what they divide by."""


@cause(
    "division by zero",
    primitives=["div", "rem"],
    after=["variance of 0 without eps", "gradient of log at 0"],
    advice="{scene.within} divides by 0 for this input: a sum of weights, a spread or "
    "a distance that is 0. Look at its arguments at this place, and keep them from "
    "that, or choose another result there",
)
def _division_inside(scene: Scene) -> bool:
    return bool(scene.within) and scene.is_zero(1) and not scene.backward


@cause(
    "division by zero",
    primitives=["div", "rem"],
    after=["variance of 0 without eps", "gradient of log at 0"],
    advice="keep the denominator from 0: `x / jnp.maximum(d, eps)`, or choose another "
    "result there: `jnp.where(d == 0, 0, x / jnp.where(d == 0, 1, d))`",
    rewrite=Rewrite(lambda eps, x, d: x / jnp.maximum(d, eps)),
)
def _division(scene: Scene) -> bool:
    return scene.is_zero(1) and _is_the_users(scene)


@cause(
    "division by zero",
    primitives=["pow", "integer_pow", "rsqrt"],
    after=["gradient of sqrt at 0", "variance of 0 without eps"],
    advice="a negative power of 0 is infinite. Keep the base from 0: add a small eps",
)
def _negative_power_of_zero(scene: Scene) -> bool:
    return scene.is_zero(0) and _is_the_users(scene)


def _is_the_users(scene: Scene) -> bool:
    """Whether it is a division that was written, and not one of a derivative rule."""
    written = scene.called in _DIVISIONS or scene.is_in(*_DIVISIONS)
    return not scene.backward or written
