"""One equation as a person would write it: `x / y`, `jnp.log(x)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.names import is_literal

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}

_NUMPY = """
    abs cbrt ceil cos cosh exp exp2 expm1 floor log log1p log2 sin sinh sqrt square tan
    tanh
"""

_LAX = """
    acos acosh asin asinh atan atan2 atanh bessel_i0e bessel_i1e digamma erf erf_inv
    erfc igamma igammac lgamma logistic max min neg nextafter pow rem rsqrt sign zeta
"""

IN_NUMPY = frozenset(_NUMPY.split())
"""Primitives of one operand that `jax.numpy` calls by the same name."""

IN_LAX = frozenset(_LAX.split())
"""Primitives without parameters that `jax.lax` calls by the same name."""

_WITH_PARAMETERS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "convert_element_type": lambda x, p: f'{x}.astype("{np.dtype(p["new_dtype"])}")',
    "cumlogsumexp": lambda x, p: _cumulative("cumlogsumexp", x, p),
    "cumprod": lambda x, p: _cumulative("cumprod", x, p),
    "cumsum": lambda x, p: _cumulative("cumsum", x, p),
    "integer_pow": lambda x, p: f"jax.lax.integer_pow({x}, {p['y']})",
    "reduce_prod": lambda x, p: f"jax.lax.reduce_prod({x}, {_numbers(p['axes'])})",
    "reduce_sum": lambda x, p: f"jax.lax.reduce_sum({x}, {_numbers(p['axes'])})",
}


def spelled(eqn: JaxprEqn, names: Sequence[str]) -> str | None:
    """An equation as Python of `jax`, `jnp` and some variables; None for most.

    Arguments:
        eqn: an equation with one result.
        names: of the variables, one for each operand.
    """
    name = eqn.primitive.name
    if name in OPERATORS and len(names) == 2:
        return f" {OPERATORS[name]} ".join(names)
    if name in IN_NUMPY and len(names) == 1:
        return f"jnp.{name}({names[0]})"
    if name in IN_LAX:
        return f"jax.lax.{name}({', '.join(names)})"
    if name in _WITH_PARAMETERS and len(names) == 1:
        return _WITH_PARAMETERS[name](names[0], eqn.params)
    if name == "dot_general" and len(names) == 2:
        return _dot(names, eqn.params)
    return None


def evaluates_to(
    text: str, names: Sequence[str], operands: Sequence[Any], want: Any
) -> bool:
    """Whether an expression is bad where the equation was: else it is not its own."""
    try:
        got = eval(
            text, {"jax": jax, "jnp": jnp}, dict(zip(names, operands, strict=True))
        )
        return bool(np.array_equal(_bad(got), _bad(want)))
    except Exception:  # of what JAX has under that name, this is none
        return False


def variables(eqn: JaxprEqn, known: Sequence[str]) -> tuple[str, ...]:
    """A name for each operand: the user's where it is one word, else x, y, z.

    Arguments:
        eqn: the equation.
        known: what the user calls the operands; empty where there is no such name.
    """
    fresh = iter(["x", "y", "z", *(f"x{i}" for i in range(4, 4 + len(eqn.invars)))])
    result: list[str] = []
    for i, atom in enumerate(eqn.invars):
        name = known[i] if i < len(known) and not is_literal(atom) else ""
        taken = name in result or name in ("jax", "jnp", "np", "load")
        if not name.isidentifier() or taken:
            name = next(n for n in fresh if n not in known)
        result.append(name)
    return tuple(result)


def _bad(array: Any) -> Any:
    array = np.asarray(array)
    if array.dtype.kind == "V":  # bfloat16 and its kin
        array = array.astype(np.float32)
    return ~np.isfinite(array)


def _cumulative(name: str, x: str, params: dict[str, Any]) -> str:
    reverse = ", reverse=True" if params["reverse"] else ""
    return f"jax.lax.{name}({x}, axis={int(params['axis'])}{reverse})"


def _dot(names: Sequence[str], params: dict[str, Any]) -> str:
    numbers = params["dimension_numbers"]
    kind = params["preferred_element_type"]
    dtype = f', preferred_element_type="{np.dtype(kind)}"' if kind is not None else ""
    lists = tuple(tuple(tuple(map(int, axes)) for axes in pair) for pair in numbers)
    return f"jax.lax.dot_general({', '.join(names)}, {lists}{dtype})"


def _numbers(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)
