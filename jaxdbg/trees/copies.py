"""Copies of arrays, quickly, and whether an array is gone.

What a call donates is deleted, so it is copied before the call runs.

`jax.device_put` copies at the speed of memory and compiles nothing, but takes tens of
microseconds for the smallest array; a jitted copy takes five and is compiled once for
each shape. So small arrays go the second way, measured by `tests/bench/copies.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.arrays import spans_processes
from jaxdbg.jax_internals.interpose import our_own_work

MAX_SMALL = 1 << 16
"""Bytes up to which a jitted copy is the quicker one."""


@jax.jit
def _copy_small(x: jax.Array) -> jax.Array:
    return jnp.copy(x)


def is_gone(value: Any) -> bool:
    """Whether an array is deleted: donated to a call, for one."""
    return isinstance(value, jax.Array) and value.is_deleted()


def copied(arrays: Sequence[Any]) -> list[Any]:
    """A copy of each array, of the same sharding, committed or not as it was."""
    copies = [_copied_alone(a) for a in arrays]
    rest = [i for i, c in enumerate(copies) if c is None]
    if rest:
        put = jax.device_put([arrays[i] for i in rest], may_alias=False)
        for i, copy in zip(rest, put, strict=True):
            copies[i] = copy
    return copies


def copied_at(arrays: Sequence[Any], which: Sequence[int]) -> tuple[Any, ...]:
    """The arrays, with copies in place of some of them.

    Arguments:
        arrays: the arguments of a call, which may be no arrays.
        which: indices of those to copy.
    """
    result = list(arrays)
    with our_own_work():
        for i, copy in zip(which, copied([arrays[i] for i in which]), strict=True):
            result[i] = copy
    return tuple(result)


def _copied_alone(a: Any) -> Any:
    """A copy of an array that is copied by itself; None for one that is not."""
    if _is_small(a):
        copy = _copy_small(a)
        # What is not committed to its device is copied to the default one by jit.
        return copy if copy.sharding == a.sharding else None
    return _copied_by_shard(a) if spans_processes(a) else None


def _copied_by_shard(a: Any) -> Any:
    """A copy of an array that spans processes: each copies its own shards."""
    if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
        words = _copied_by_shard(jax.random.key_data(a))
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(a))
    shards = [shard.data for shard in a.addressable_shards]
    copies = jax.device_put(shards, may_alias=False)
    # The public function for this forgets that a type is weak.
    return type(a)(a.aval, a.sharding, copies, committed=a.committed)


def _is_small(a: Any) -> bool:
    # A jitted copy forgets that a type is weak, and knows no typed keys.
    return (
        isinstance(a, jax.Array)
        and not jnp.issubdtype(a.dtype, jax.dtypes.extended)
        and a.nbytes <= MAX_SMALL
        and not a.weak_type
        and len(a.sharding.device_set) == 1
    )
