"""Causes in operations on matrices, and in reads by an index."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdbg.origins import numbers
from jaxdbg.origins.causes.rules import cause
from jaxdbg.origins.rewrites import Rewrite
from jaxdbg.origins.scene import Scene

MAX_TRIED = 1 << 16
"""Elements of a matrix that is factored once more at most."""


def _factor(eps: Any, a: Any) -> Any:
    return jnp.linalg.cholesky(a + eps * jnp.eye(a.shape[-1], dtype=a.dtype))


def _with_a_larger_diagonal(scene: Scene) -> Rewrite | None:
    """Cholesky of the very matrix that it failed for, if that is small."""
    matrix, element = numbers.host(scene.birth.operands[0]), scene.birth.element
    if matrix is None or matrix.size > MAX_TRIED or element is None:
        return None
    return Rewrite(_factor, ((matrix[element[:-2]],),))


@cause(
    "a matrix that is not positive definite",
    primitives=["cholesky"],
    advice="Cholesky gives NaN for it. Add to its diagonal: "
    "`a + eps * jnp.eye(n)`, and see that it is symmetric",
    rewrite=_with_a_larger_diagonal,
)
def _not_positive_definite(scene: Scene) -> bool:
    return True


@cause(
    "an index out of range",
    primitives=["gather"],
    advice="inside jit a read out of range gives NaN (`mode='fill'`). Look at the "
    "index: a label, a token id, a padding value. `--errors index` fails there",
)
def _out_of_range(scene: Scene) -> bool:
    return True


_SINGULAR = (
    "it has no inverse: look for a row or a column that is 0 or a multiple of "
    "another. Add to the diagonal (`a + 1e-6 * jnp.eye(n)`)"
)


@cause(
    "a singular matrix",
    primitives=["log", "div"],
    advice=f"its determinant is 0, and {_SINGULAR}",
)
def _no_determinant(scene: Scene) -> bool:
    n = 1 if scene.primitive == "div" else 0
    return scene.is_zero(n) and scene.is_in("slogdet", "det", "inv")


@cause(
    "a singular matrix",
    primitives=["triangular_solve"],
    advice=f"{_SINGULAR}, or take the least-squares solution (`jnp.linalg.lstsq`, "
    "`jnp.linalg.pinv`)",
)
def _singular(scene: Scene) -> bool:
    if scene.birth.site.eqn.params.get("unit_diagonal"):
        return False
    factor = numbers.host(scene.birth.operands[0])
    if factor is None or scene.birth.element is None:
        return False
    matrix = factor[scene.birth.element[: factor.ndim - 2]]
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    return bool((diagonal == 0).any())
