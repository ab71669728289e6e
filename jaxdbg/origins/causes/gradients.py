"""Causes in derivatives: of functions that have none, or an infinite one, somewhere.

Which function is differentiated is known (`location.functions`), and that is what these
go by: in numbers the derivatives of `arccos`, `norm` and `/` are all the same division.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import entr

from jaxdbg.origins.causes.rules import cause
from jaxdbg.origins.rewrites import Rewrite, clipped
from jaxdbg.origins.scene import Scene

_ZERO_AT = {"div": 1, "rsqrt": 0, "pow": 0, "integer_pow": 0}
"""The operand that is 0 where a derivative is infinite."""

_TABLE: list[frozenset[str]] = []
"""Names of the functions that have a cause here."""


def _gradient(
    name: str,
    functions: Collection[str],
    advice: str,
    rewrite: Rewrite | None = None,
) -> None:
    """Registers the cause of a derivative that is infinite.

    Functions that are made of others come first: the `sqrt` of a `norm` is no news.
    """
    names = frozenset(functions)
    _TABLE.append(names)
    register = cause(
        f"gradient of {name}",
        after=["where-gradient trap"],
        advice=advice,
        rewrite=rewrite,
    )
    register(lambda scene: is_singular(scene) and _differentiates(scene, names))


def is_singular(scene: Scene) -> bool:
    """Whether a derivative divides by 0."""
    n = _ZERO_AT.get(scene.primitive)
    return scene.backward and n is not None and scene.is_zero(n)


def _differentiates(scene: Scene, names: frozenset[str]) -> bool:
    return not names.isdisjoint(scene.functions) or (
        not is_known(scene.functions) and scene.called in names
    )


def is_known(functions: Collection[str]) -> bool:
    """Whether one of some functions has a cause here."""
    return any(not names.isdisjoint(functions) for names in _TABLE)


_ADVICE_ON_SQRT = (
    "the derivative of sqrt at 0 is infinite. "
    "Add a small constant under the root: `jnp.sqrt(x + eps)`"
)


def _norm(eps: Any, x: Any) -> Any:
    return jnp.sqrt(jnp.sum(x * x) + eps)


def _std(eps: Any, x: Any) -> Any:
    return jnp.sqrt(x.var() + eps)


def _arctan2(_eps: Any, y: Any, x: Any) -> Any:
    ok = (x != 0) | (y != 0)
    return jnp.where(ok, jnp.arctan2(y, jnp.where(ok, x, 1)), 0)


_ROOT = Rewrite(lambda eps, x: jnp.sqrt(x + eps), ((0,),))
_LOG = Rewrite(lambda eps, x: jnp.log(jnp.maximum(x, eps)), ((0,),))
_ENTROPY = Rewrite(lambda eps, p: entr(jnp.maximum(p, eps)), ((0,),))
_BOTH_BOUNDS = ((1,), (-1,))

_gradient(
    "logsumexp of a row that is -Inf altogether",
    ["logsumexp"],
    "logsumexp is -Inf there, and its derivative 0/0. Place a large negative number "
    "for what is impossible, not -Inf: `jnp.finfo(x.dtype).min / 2`, or -1e9",
)
_gradient(
    "eigenvectors at equal eigenvalues",
    ["eigh", "eig", "eigvals"],
    "the derivative of the eigenvectors divides by the differences of the eigenvalues, "
    "and two of these are equal. Separate them (add a small diagonal of different "
    "entries), or do without the vectors (jnp.linalg.eigvalsh)",
)
_gradient(
    "svd at equal or zero singular values",
    ["svd", "pinv", "polar"],
    "the derivative divides by the singular values and by their differences. Separate "
    "them (add a small diagonal of different entries), or do without the vectors "
    "(`compute_uv=False`)",
)
_gradient(
    "norm at 0",
    ["norm", "vector_norm", "matrix_norm", "hypot", "global_norm", "l2_normalize"],
    "the derivative of norm at 0 is infinite. "
    "Use `jnp.sqrt(jnp.sum(x * x) + eps)`, or optax.safe_norm",
    Rewrite(_norm, (((0, 0),),)),
)
_gradient(
    "std at a variance of 0",
    ["std", "_std", "nanstd"],
    "what is constant has variance 0, where the derivative of std is infinite. "
    "Add a small constant under the root: `jnp.sqrt(x.var() + eps)`",
    Rewrite(_std, (((1, 1),),)),
)
_gradient(
    "arctan2 at (0, 0)",
    ["atan2", "arctan2", "angle"],
    "the derivative divides by `x**2 + y**2`, which is 0. Keep both from 0 together: "
    "`ok = (x != 0) | (y != 0)`, then `jnp.where(ok, "
    "jnp.arctan2(y, jnp.where(ok, x, 1)), 0)`",
    Rewrite(_arctan2, ((0, 0),), has_eps=False),
)


def _at_a_bound(
    name: str, primitive: str, bound: str, safe: str, rewrite: Rewrite
) -> None:
    _gradient(
        f"{name} at {bound}",
        [name, primitive],
        f"the derivative of {name} at {bound} is infinite. Keep the argument from it: "
        f"`{safe}`, with an eps like 1e-6",
        rewrite,
    )


_CLIP = "jnp.clip(x, -1 + eps, 1 - eps)"
_at_a_bound("arccos", "acos", "1 or -1", _CLIP, clipped(jnp.arccos, *_BOTH_BOUNDS))
_at_a_bound("arcsin", "asin", "1 or -1", _CLIP, clipped(jnp.arcsin, *_BOTH_BOUNDS))
_at_a_bound("arctanh", "atanh", "1 or -1", _CLIP, clipped(jnp.arctanh, *_BOTH_BOUNDS))
_at_a_bound(
    "arccosh",
    "acosh",
    "1",
    "jnp.maximum(x, 1 + eps)",
    Rewrite(lambda eps, x: jnp.arccosh(jnp.maximum(x, 1 + eps)), ((1,),)),
)
_gradient(
    "cbrt at 0",
    ["cbrt"],
    "the derivative of cbrt at 0 is infinite. Keep the argument from 0",
)
_gradient(
    "log at 0",
    ["log", "log2", "log10", "xlogy", "entr", "rel_entr", "kl_div"],
    "the derivative of log at 0 is infinite. Keep the argument above 0: "
    "`jnp.log(jnp.maximum(x, eps))`, or work with logits "
    "(jax.nn.log_softmax)",
    _LOG,
)
_gradient(
    "log1p at -1",
    ["log1p", "xlog1py"],
    "the derivative of log1p at -1 is infinite. Keep the argument above -1",
)
_gradient(
    "sqrt at 0",
    ["sqrt", "rsqrt"],
    _ADVICE_ON_SQRT,
    _ROOT,
)


@cause(
    "gradient of log at 0, in an entropy",
    primitives=["log"],
    after=["where-gradient trap"],
    rewrite=_ENTROPY,
    advice="the derivative has the log of the argument, which is -Inf at 0. Keep the "
    "argument above 0: `jnp.maximum(p, eps)`, or work with logits "
    "(jax.nn.log_softmax)",
)
def _entropy(scene: Scene) -> bool:
    in_entropy = scene.is_in("entr", "rel_entr", "kl_div", "xlogy")
    return scene.backward and scene.is_zero(0) and in_entropy


@cause(
    "gradient of sqrt at 0",
    primitives=["pow", "div"],
    after=["gradient of sqrt at 0"],
    advice=_ADVICE_ON_SQRT,
    rewrite=_ROOT,
)
def _root_as_power(scene: Scene) -> bool:
    """`x ** 0.5`, and 0.5 / sqrt(x) where it is not known whose that is."""
    if not is_singular(scene) or is_known(scene.functions):
        return False
    if scene.primitive == "pow":
        return scene.value(1) == -0.5
    root = scene.producer(1)
    return scene.literal(0) == 0.5 and root is not None and root.name == "sqrt"
