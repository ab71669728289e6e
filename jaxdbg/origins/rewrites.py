"""Whether an advised rewrite helps: it is evaluated where the program failed.

What counts is that its value and its gradient are finite there, in the type at hand:
`jnp.clip(x, -1, 1)` keeps arccos finite, and its gradient NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.interpose import our_own_work

EPS = (1e-6, 1e-3, 1e-2)
"""What is tried for the small constant of an advice, in this order."""

Point = tuple[Any, ...]
"""The operands of a rewritten expression."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The rewrite that an advice names.

    Attributes:
        rewritten: the new expression, as a function of eps and of its operands.
        points: the operands at which the old one fails; empty for those of the birth.
        has_eps: whether it has a small constant.
    """

    rewritten: Callable[..., Any]
    points: tuple[Point, ...] = ()
    has_eps: bool = True


def clipped(function: Callable[[Any], Any], *points: Point) -> Rewrite:
    """A function of what is kept inside (-1, 1)."""
    return Rewrite(lambda eps, x: function(jnp.clip(x, -1 + eps, 1 - eps)), points)


@functools.cache
def double_where(function: Callable[[Any], Any], safe: float) -> Rewrite:
    """A function of what is safe, where a `where` throws the result away."""

    def rewritten(_eps: Any, x: Any) -> Any:
        ok = x > x
        return jnp.where(ok, function(jnp.where(ok, x, safe)), 0)

    return Rewrite(rewritten, ((0,), (1,)), has_eps=False)


def helps(rewrite: Rewrite, operands: Point, dtype: str) -> float | None:
    """The first eps with which value and gradient are finite; None if there is none.

    Arguments:
        rewrite: what is tried.
        operands: of the birth, at the bad element; where one is not known, None.
        dtype: of its result.
    """
    points = rewrite.points or (operands,)
    known = all(v is not None for point in points for v in point)
    if not known or np.dtype(dtype).kind not in "fV":  # V: bfloat16 and the like
        return None
    return next((eps for eps in EPS if _is_finite(rewrite, points, dtype, eps)), None)


def _is_finite(
    rewrite: Rewrite, points: Sequence[Point], dtype: str, eps: float
) -> bool:
    program = _program(rewrite.rewritten, len(points[0]))
    with our_own_work():
        for point in points:
            values = [jnp.asarray(v, dtype) for v in point]
            result = program(jnp.asarray(eps, dtype), *values)
            if not all(bool(jnp.isfinite(leaf).all()) for leaf in result):
                return False
    return True


@functools.lru_cache(maxsize=64)
def _program(rewritten: Callable[..., Any], operands: int) -> Callable[..., Any]:
    """Value and gradients in one list, compiled once for each rewrite and type."""

    def sum_of(eps: Any, *values: Any) -> Any:
        return jnp.sum(rewritten(eps, *values))

    gradient = jax.value_and_grad(sum_of, argnums=tuple(range(1, operands + 1)))
    return jax.jit(lambda *args: jax.tree.leaves(gradient(*args)))
