"""Causes of a number that is larger than its type holds."""

from __future__ import annotations

from jaxdbg.origins.causes.rules import Fit, cause
from jaxdbg.origins.scene import SMALLEST_SCALE, Scene


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
    "overflow of {scene.dtype}",
    after=["exploding values"],
    advice="the loss is multiplied by {scene.loss_scale}, so its gradients are more "
    "than {scene.dtype} holds. Use a smaller loss scale, or one that adapts "
    "(halve it, and skip the step, where a gradient is not finite)",
)
def _scaled_gradient(scene: Scene) -> bool:
    return scene.backward and _overflows_half(scene) and scene.loss_scale > 0


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


_TOO_LARGE = "{scene.primitive} of {scene.argument} is more than {scene.dtype} holds. "


@cause(
    "overflow of {scene.within}",
    primitives=["exp", "mul"],
    after=["exploding values", "overflow of {scene.dtype}"],
    advice="it grows like exp, and is more than {scene.dtype} holds. Use the form that "
    "is scaled by it: `jnp.log(i0e(x)) + jnp.abs(x)` for `jnp.log(i0(x))`",
)
def _bessel_overflow(scene: Scene) -> bool:
    return scene.within in ("i0", "i1") and all(
        map(scene.is_finite, range(len(scene.operands)))
    )


@cause(
    "overflow of {scene.primitive}",
    primitives=["cosh", "sinh", "expm1"],
    after=["exploding values", "overflow of {scene.dtype}"],
    advice=_TOO_LARGE + "Clip the argument, or work with its logarithm: "
    "`jnp.logaddexp(x, -x) - jnp.log(2)` is that of cosh",
)
def _other_exp_overflow(scene: Scene) -> bool:
    return scene.is_finite(0)


@cause(
    "overflow of {scene.primitive}",
    primitives=["exp", "exp2"],
    after=["exploding values", "overflow of {scene.dtype}"],
    advice=_TOO_LARGE + "Subtract the largest value first (jax.nn.softmax, logsumexp "
    "do), or clip the argument",
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
