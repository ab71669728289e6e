"""Numbers as a story says them, `0` or `-Inf`, and arrays as NumPy reads them."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import REF, Host
from jaxdbg.trees.copies import is_gone


def host(value: Any) -> Host | None:
    """A value as NumPy can compute with it; None for keys, tokens, what is gone.

    Types of 16 bits and less come as float32, which holds all their values.
    """
    if isinstance(value, REF):
        value = value[...]
    if is_gone(value) or _is_of_keys(value):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    if array.dtype.kind == "V" or array.dtype == np.float16:  # kind V: ml_dtypes
        return array.astype(np.float32)
    return array if array.dtype.kind in "biufc" else None


def _is_of_keys(value: Any) -> bool:
    extended = jax.dtypes.extended
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, extended)


def at(array: Host, element: tuple[int, ...] | None) -> Any:
    """The value at an element; None where the array has no such element."""
    if element is None or len(element) != array.ndim:
        return None
    inside = all(0 <= i < n for i, n in zip(element, array.shape, strict=True))
    return array[element] if inside else None


def said(value: Any) -> str:
    """One number as text: four digits, or all of its type next to a whole number."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, complex | np.complexfloating):
        return f"{said(value.real)} + {said(value.imag)}j"
    if isinstance(value, int | np.integer):
        return str(int(value))
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    if not number:
        return "0"
    short = f"{number:.4g}"
    if abs(number) < 1000 and float(short) == round(number) != number:
        return str(value)  # 1.0000001 is not 1
    return short
