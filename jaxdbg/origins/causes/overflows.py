"""Causes of a number that is larger than its type holds."""

from __future__ import annotations

from jaxdbg.origins.causes.rules import Fit, cause
from jaxdbg.origins.scene import Scene

SMALLEST_SCALE = 128
"""A power of 2 from here on is the scale of a loss."""


@cause(
    "exploding values",
    after=["log of 0"],
    advice="the values have grown from call to call. Lower the learning rate, warm it "
    "up, or clip gradients: `optax.clip_by_global_norm(1.0)`",
)
def _exploding(scene: Scene) -> bool | Fit:
    if scene.kind == "nan" or scene.primitive in ("div", "rem"):
        return False
    return Fit.LIKELY if scene.grows else False


@cause(
    "overflow of {scene.dtype}",
    primitives=["mul"],
    after=["exploding values"],
    advice="times a scale of {scene.scale} it is more than {scene.dtype} holds. Use a "
    "smaller loss scale, or one that adapts, or multiply in float32",
)
def _loss_scale(scene: Scene) -> bool:
    return _overflows_half(scene) and scene.scale >= SMALLEST_SCALE


@cause(
    "overflow of reduce_precision",
    primitives=["reduce_precision"],
    after=["exploding values"],
    advice="the type that it rounds to holds no number this large. Scale the values "
    "down before, or clip them",
)
def _reduce_precision(scene: Scene) -> bool:
    return scene.is_finite(0)


@cause(
    "overflow of {scene.dtype}",
    after=["exploding values"],
    advice="compute this part in float32 (`x.astype(jnp.float32)`), or scale it down "
    "before: loss scaling, a smaller learning rate, a division before the sum",
)
def _half_overflow(scene: Scene) -> bool:
    return _overflows_half(scene)


def _overflows_half(scene: Scene) -> bool:
    # The narrowest types have no Inf: they overflow to NaN.
    overflowed = scene.kind != "nan" or scene.dtype.startswith("float8")
    return overflowed and scene.is_half and "finite in float32" in scene.wider


@cause(
    "overflow of {scene.primitive}",
    primitives=["exp", "exp2", "expm1", "cosh", "sinh"],
    after=["exploding values", "overflow of {scene.dtype}"],
    advice="{scene.primitive} of {scene.argument} is more than {scene.dtype} "
    "holds. Subtract the largest value first (jax.nn.softmax, logsumexp do), or "
    "clip the argument",
)
def _exp_overflow(scene: Scene) -> bool:
    return scene.is_finite(0)


@cause(
    "overflow of {scene.dtype}",
    after=["overflow of {scene.primitive}"],
    advice="look at why the operands are this large: a learning rate, a recurrence "
    "without normalisation, a loss that is summed where a mean was meant",
)
def _overflow(scene: Scene) -> bool:
    return scene.kind != "nan" and bool(scene.wider)
