"""From leaves to what they hold: `records.LeafStats`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import REF
from jaxdbg.records import LeafStats
from jaxdbg.trees import statistics
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.leaves import Leaf
from jaxdbg.trees.measuring import Measured

MAX_DETAILED_BYTES = 1 << 26
"""Bytes up to which a tree is measured in detail unasked: some tenths of a second."""

MAX_DETAILED_LEAVES = 20_000
"""Up to how many leaves a tree is measured in detail unasked."""

ARRAYS: Any = (jax.Array, np.ndarray, np.generic, REF)
"""Types of leaves that have elements."""


class _Fixed(NamedTuple):
    """What is known of a leaf without reading it."""

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    nbytes: int = 0
    sharding: str = ""
    size: int = 0


def measured_leaves(
    leaves: Sequence[Leaf], also: Mapping[str, list[str]], detail: bool | None
) -> Iterator[LeafStats]:
    """What leaves hold, in their order.

    Arguments:
        also: by path, the other paths to a leaf that several places hold.
        detail: whether to measure all, and not only those with NaN or Inf; None where
            the size of the tree decides.
    """
    fixed, arrays = _all_fixed(leaves)
    measures = _measures(arrays, fixed, detail)
    for i, (leaf, what) in enumerate(zip(leaves, fixed, strict=True)):
        path, group, _ = leaf
        if i in measures:
            numbers = _numbers(measures[i], what, arrays[i])
        else:
            numbers = {"detailed": False}
        yield LeafStats(
            path,
            "rng" if what.kind == "key" else group,
            *what,
            also=tuple(also[path]) if path in also else (),
            **numbers,
        )


def stats_of(leaves: Sequence[Leaf]) -> tuple[LeafStats, ...]:
    """What some leaves hold, in detail."""
    return tuple(measured_leaves(leaves, {}, detail=True))


def _numbers(m: Measured, what: _Fixed, array: Any) -> dict[str, Any]:
    """What was measured, by name of the attribute of `LeafStats`."""
    largest = m.largest if m.largest >= 0 else None
    has_moments = m.good and math.isfinite(m.mean) and math.isfinite(m.squares)
    return {
        "nan": m.nan,
        "posinf": m.posinf,
        "neginf": m.neginf,
        "zeros": m.zeros,
        "subnormals": m.subnormals,
        "smallest": m.smallest if m.smallest < math.inf else None,
        "largest": largest,
        "mean": m.mean if has_moments else None,
        "std": math.sqrt(m.squares / m.good) if has_moments else None,
        "headroom": _headroom(array.dtype, largest),
        "first_bad": _index(m.first, what.shape) if m.first >= 0 else None,
    }


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))


def _headroom(dtype: Any, largest: float | None) -> float | None:
    top = _log2_of_largest(dtype)
    return top - math.log2(largest) if largest and top is not None else None


@lru_cache(maxsize=64)
def _log2_of_largest(dtype: Any) -> float | None:
    if dtype == np.bool_:
        return None
    limits: Any = jnp.finfo if jnp.issubdtype(dtype, np.inexact) else jnp.iinfo
    return math.log2(limits(dtype).max)


def _measures(
    arrays: Sequence[Any], fixed: Sequence[_Fixed], detail: bool | None
) -> dict[int, Measured]:
    """The measures of the leaves that are read element by element, by index."""
    readable = [i for i, array in enumerate(arrays) if array is not None]
    if detail is None:
        nbytes = sum(fixed[i].nbytes for i in readable)
        detail = nbytes <= MAX_DETAILED_BYTES and len(readable) <= MAX_DETAILED_LEAVES
    wanted = readable
    if not detail:
        found = statistics.suspects([arrays[i] for i in readable])
        wanted = [readable[k] for k in found]
    measures = statistics.measured([arrays[i] for i in wanted])
    return dict(zip(wanted, measures, strict=True))


def _all_fixed(leaves: Sequence[Leaf]) -> tuple[list[_Fixed], list[Any]]:
    """Of each leaf what is known unread, and the array to read; None for none."""
    fixed, arrays = [], []
    for leaf in leaves:
        what, array = _fixed(leaf.value)
        fixed.append(what)
        arrays.append(array)
    return fixed, arrays


def _fixed(value: Any) -> tuple[_Fixed, Any]:
    """What is known of a value unread, and the array to read; None for none."""
    if isinstance(value, ARRAYS):
        return _fixed_array(value)
    cls = type(value)
    if isinstance(value, float | complex):
        return _Fixed(cls.__name__, size=1), np.asarray(value)
    if isinstance(value, jax.ShapeDtypeStruct):
        return _described(value, "abstract"), None
    kind = _PLAIN.get(cls, "other")
    return _Fixed(kind, size=int(kind not in ("none", "other"))), None


_PLAIN = {type(None): "none", str: "str", bool: "bool", int: "int"}


def _fixed_array(value: Any) -> tuple[_Fixed, Any]:
    if isinstance(value, jax.core.Tracer):
        return _described(value, "abstract"), None
    if is_gone(value):
        return _described(value, "deleted"), None
    dtype = value.dtype
    what = _like(value.shape, dtype, getattr(value, "sharding", None))
    if not what.size or not statistics.is_number(dtype):
        return what, None
    if not _is_computed(value):
        return what._replace(kind="other"), None
    return what, value


@lru_cache(maxsize=1024)
def _like(shape: tuple[int, ...], dtype: Any, sharding: Any) -> _Fixed:
    """Any array of this shape, dtype and sharding: trees hold many that are alike."""
    return _described(
        SimpleNamespace(shape=shape, dtype=dtype, sharding=sharding), _kind(dtype)
    )


def _described(array: Any, kind: str) -> _Fixed:
    shape = tuple(array.shape)
    size = math.prod(shape)
    nbytes = size * getattr(array.dtype, "itemsize", 0)
    sharding = _sharding(getattr(array, "sharding", None))
    return _Fixed(kind, shape, str(array.dtype), nbytes, sharding, size)


@lru_cache(maxsize=256)
def _kind(dtype: Any) -> str:
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return "key"
    kinds = {
        "bool": np.bool_,
        "int": np.integer,
        "float": np.floating,
        "complex": np.complexfloating,
    }
    matching = (k for k, base in kinds.items() if jnp.issubdtype(dtype, base))
    return next(matching, "other")


@lru_cache(maxsize=256)
def _sharding(sharding: Any) -> str:
    """`cpu:0`, or `P('data', None) on 8 cpu devices`."""
    if not isinstance(sharding, jax.sharding.Sharding):
        return ""
    devices = sharding.device_set
    one: Any = next(iter(devices))
    if len(devices) == 1:
        return f"{one.platform}:{one.id}"
    spec = getattr(sharding, "spec", None)
    how = "replicated" if sharding.is_fully_replicated else "sharded"
    if spec is not None and how == "sharded":
        how = str(spec).replace("PartitionSpec", "P")
    return f"{how} on {len(devices)} {one.platform} devices"


def _is_computed(value: Any) -> bool:
    """Waits for an array; False where its computation failed."""
    try:
        if isinstance(value, jax.Array):
            value.block_until_ready()
    except jax.errors.JaxRuntimeError:  # the user meets that where they look
        return False
    return True
