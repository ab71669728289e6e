"""Causes of a NaN from two infinities, or from one and 0."""

from __future__ import annotations

from jaxdbg.origins.causes.rules import cause
from jaxdbg.origins.scene import Scene


@cause(
    "Inf - Inf",
    primitives=["sub", "add", "add_any"],
    after=["softmax over a row that is masked altogether"],
    advice="both sides are infinite: look at where these come from",
)
def _inf_minus_inf(scene: Scene) -> bool:
    return scene.is_infinite(0) and scene.is_infinite(1)


@cause(
    "0 * Inf",
    primitives=["mul"],
    after=["where-gradient trap"],
    advice="a mask that multiplies does not hide an Inf; `jnp.where(mask, x, 0)` does",
)
def _zero_times_inf(scene: Scene) -> bool:
    pairs = ((0, 1), (1, 0))
    return any(scene.is_zero(a) and scene.is_infinite(b) for a, b in pairs)


@cause("Inf / Inf", primitives=["div"], advice="look at where these come from")
def _inf_by_inf(scene: Scene) -> bool:
    return scene.is_infinite(0) and scene.is_infinite(1)
