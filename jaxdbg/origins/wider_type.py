"""Would the operation be finite in a wider type? It is done again, in NumPy's widest.

Only the bad element is computed, or a small array: the answer needs no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import Host
from jaxdbg.origins import numbers
from jaxdbg.origins.found import Birth

_ONE_BY_ONE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "add_any": np.add,
    "convert_element_type": np.positive,
    "cosh": np.cosh,
    "div": np.divide,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "mul": np.multiply,
    "neg": np.negative,
    "pow": np.power,
    "reduce_precision": np.positive,
    "sinh": np.sinh,
    "square": np.square,
    "sub": np.subtract,
}

_HALF = ("float16", "bfloat16", "float8", "float4", "float6")

_LARGEST = 3.4028234663852886e38
"""Of float32."""

MAX_SIZE = 1 << 22
"""Elements of an operand that are widened at most."""


def is_half(dtype: str) -> bool:
    """Whether this is a type of 16 bits or less."""
    return dtype.startswith(_HALF)


def wider(birth: Birth) -> str:
    """`float16 range (largest 65504): finite in float32 (70000)`, or empty.

    Empty where the operation is bad in any type, where it is not known how it would
    be, and for an Inf of float64.
    """
    dtype = str(getattr(birth.result, "dtype", ""))
    exact = _again(birth)
    if exact is None or not math.isfinite(exact):
        return ""
    if birth.site.eqn.primitive.name == "reduce_precision":
        return f"{_reduced_range(birth)}: finite in {dtype} ({numbers.said(exact)})"
    if is_half(dtype) and abs(exact) <= _LARGEST:
        return f"{_range(dtype)}: finite in float32 ({numbers.said(exact)})"
    if is_half(dtype) or dtype == "float32":
        return f"{_range(dtype)}: finite in float64 ({numbers.said(exact)})"
    return ""


def largest(dtype: str) -> float:
    """The largest finite number of a type."""
    return float(jnp.finfo(dtype).max)  # type: ignore[no-untyped-call]


def _range(dtype: str) -> str:
    return f"{dtype} range (largest {numbers.said(largest(dtype))})"


def _reduced_range(birth: Birth) -> str:
    """The range that `reduce_precision` rounds to, whatever type it returns."""
    exponent, mantissa = (
        int(birth.site.eqn.params[f"{part}_bits"]) for part in ("exponent", "mantissa")
    )
    most = math.ldexp(2 - 2.0**-mantissa, 2 ** (exponent - 1) - 1)
    return f"{exponent} exponent bits (largest {numbers.said(most)})"


def _again(birth: Birth) -> float | None:
    """The value at the bad element, in float64; None where that is not known."""
    eqn, element = birth.site.eqn, birth.element
    name = str(eqn.primitive.name)
    ins = [numbers.host(v) for v in birth.operands]
    if element is None or any(v is None or v.dtype.kind not in "fiub" for v in ins):
        return None
    arrays = [v.astype(np.float64) if v.ndim == 0 else v for v in ins if v is not None]
    with np.errstate(all="ignore"):
        if name in _ONE_BY_ONE:
            at = _elements(birth, arrays)
            return None if at is None else float(_ONE_BY_ONE[name](*at))
        if name == "integer_pow":
            at = _elements(birth, arrays)
            return None if at is None else float(at[0] ** float(eqn.params["y"]))
        if any(a.size > MAX_SIZE for a in arrays):
            return None
        if name == "reduce_sum":
            return _sum(arrays[0], tuple(eqn.params["axes"]), element)
        if name == "dot_general":
            return _dot(arrays[0], arrays[1], eqn.params["dimension_numbers"], element)
    return None


def _elements(birth: Birth, arrays: Sequence[Host]) -> list[Any] | None:
    elements = birth.operand_elements or (None,) * len(arrays)
    found = [
        a[()] if a.ndim == 0 else numbers.at(a, e)
        for a, e in zip(arrays, elements, strict=True)
    ]
    return None if any(v is None for v in found) else [np.float64(v) for v in found]


def _sum(a: Host, axes: tuple[int, ...], element: tuple[int, ...]) -> float:
    rest = iter(element)
    row = tuple(slice(None) if d in axes else next(rest) for d in range(a.ndim))
    return float(a[row].astype(np.float64).sum())


def _dot(a: Host, b: Host, dimensions: Any, element: tuple[int, ...]) -> float:
    (contract_a, contract_b), (batch_a, batch_b) = dimensions
    batch, rest = element[: len(batch_a)], list(element[len(batch_a) :])

    def row(x: Host, contract: Any, batched: Any) -> Host:
        free = [d for d in range(x.ndim) if d not in (*contract, *batched)]
        fixed = dict(zip(batched, batch, strict=True))
        fixed |= {d: rest.pop(0) for d in free}
        cut: Host = x[tuple(fixed.get(d, slice(None)) for d in range(x.ndim))]
        return cut.transpose([sorted(contract).index(c) for c in contract])

    left, right = row(a, contract_a, batch_a), row(b, contract_b, batch_b)
    return float(np.sum(left.astype(np.float64) * right.astype(np.float64)))
