"""Which elements of an array are bad, and how."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from jaxdbg.jax_internals.arrays import REF, can_be_non_finite, spans_processes

GOOD, NAN, INF, NEG_INF = range(4)
"""Codes of an element. A complex number is NaN where one of its parts is."""

KINDS = {NAN: "nan", INF: "inf", NEG_INF: "-inf"}
"""The words for the codes."""

Codes = np.ndarray[Any, np.dtype[np.uint8]]
"""The code of each element of an array."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def codes_of(array: Any) -> Codes | None:
    """The code of each element; None where all are good, or can be nothing else.

    Where all elements have the same code this takes no memory. Of an array that spans
    processes, the elements that are not in this one count as good.
    """
    if spans_processes(array) and not array.is_fully_replicated:
        return _codes_here(array)
    host = _host(array)
    if host is None or _is_finite(host):
        return None
    codes = np.zeros(host.shape, np.uint8)
    parts = (host.real, host.imag) if np.iscomplexobj(host) else (host,)
    for part in parts:
        codes[part == np.inf] = INF
        codes[part == -np.inf] = NEG_INF
    for part in parts:
        codes[part != part] = NAN
    if codes.size and (codes == codes.flat[0]).all():
        return np.broadcast_to(codes.flat[0], codes.shape)
    return codes


def _codes_here(array: Any) -> Codes | None:
    if not can_be_non_finite(array):
        return None
    codes: Codes | None = None
    for shard in array.addressable_shards:
        part = codes_of(shard.data)
        if part is not None:
            codes = np.zeros(array.shape, np.uint8) if codes is None else codes
            codes[shard.index] = part
    return codes


def kinds_in(array: Any) -> tuple[str, ...]:
    """Which of "nan", "inf" and "-inf" an array holds."""
    return kinds_of(codes_of(array))


def kinds_of(codes: Codes | None) -> tuple[str, ...]:
    """The words for the codes there are."""
    held = distinct(codes)
    return tuple(kind for code, kind in KINDS.items() if code in held)


def count_of(codes: Codes, kind: str) -> int:
    """How many elements are of a kind."""
    (code,) = (c for c, k in KINDS.items() if k == kind)
    return int((codes == code).sum())


def distinct(codes: Codes | None) -> frozenset[int]:
    """Which codes of bad elements there are."""
    if codes is None or not codes.size:
        return frozenset()
    if _is_uniform(codes):
        return frozenset({int(codes.flat[0])} - {GOOD})
    return frozenset(c for c in KINDS if (codes == c).any())


def among(codes: Codes, which: Collection[int]) -> Mask:
    """The elements that have one of some codes."""
    if _is_uniform(codes):
        uniform = np.asarray(int(codes.flat[0]) in which)
        return np.broadcast_to(uniform, codes.shape)
    first, *rest = which
    mask: Mask = codes == first
    for code in rest:
        mask |= codes == code
    return mask


def _is_uniform(codes: Codes) -> bool:
    return codes.size > 0 and not any(codes.strides)


def first_element(mask: Mask) -> tuple[int, ...]:
    """The index of the first element that is marked."""
    flat = int(np.argmax(mask))
    return tuple(int(i) for i in np.unravel_index(flat, mask.shape))


def _host(array: Any) -> Any:
    if isinstance(array, float | complex):  # jit passes Python scalars as they are
        array = np.asarray(array)
    if not can_be_non_finite(array):
        return None
    if isinstance(array, REF):
        array = array[...]
    return np.asarray(array)


def _is_finite(host: Any) -> bool:
    if host.dtype.itemsize >= 4:
        # A NaN or an Inf makes any sum non-finite, and a sum is read fastest.
        with np.errstate(all="ignore"):
            if np.isfinite(host.sum()):
                return True
    return bool(np.isfinite(host).all())
