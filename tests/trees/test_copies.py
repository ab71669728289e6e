"""Copies are of the same kind as what they copy, in memory of their own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxdbg.trees.copies import MAX_SMALL, copied

DEVICES = jax.devices()[:2]
SPLIT = NamedSharding(jax.make_mesh((2,), ("d",), devices=DEVICES), PartitionSpec("d"))

ARRAYS = {
    "small": lambda: jnp.arange(6.0).reshape(2, 3),
    "large": lambda: jnp.zeros(MAX_SMALL),
    "scalar": lambda: jnp.float32(1) + 1,
    "weakly typed": lambda: jax.jit(lambda: 1.0)(),
    "integers": lambda: jnp.arange(3),
    "bfloat16": lambda: jnp.ones(3, jnp.bfloat16),
    "empty": lambda: jnp.zeros((0, 3)),
    "committed": lambda: jax.device_put(jnp.ones(3), DEVICES[1]),
    "sharded": lambda: jax.device_put(jnp.ones(4), SPLIT),
    "key": lambda: jax.random.key(0),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_copy_is_alike_and_its_own(name):
    array = ARRAYS[name]()
    before = jax.random.key_data(array) if name == "key" else np.asarray(array)
    (copy,) = copied([array])
    assert jax.typeof(copy) == jax.typeof(array)
    weak = [getattr(jax.typeof(a), "weak_type", None) for a in (copy, array)]
    assert weak[0] == weak[1]  # typeof compares equal without it
    assert copy.sharding == array.sharding
    assert copy.committed == array.committed
    before = np.array(before)
    array.delete()
    after = jax.random.key_data(copy) if name == "key" else copy
    np.testing.assert_array_equal(after, before)


def test_copies_keep_their_order():
    arrays = [jnp.full(n, n) for n in (1, MAX_SMALL, 2, 2 * MAX_SMALL)]
    assert [int(c[0]) for c in copied(arrays)] == [1, MAX_SMALL, 2, 2 * MAX_SMALL]
