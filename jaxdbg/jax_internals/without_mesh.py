"""Work that has no place on the mesh that the user, or JAX, has set."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np

from jaxdbg.errors import NotOffered

_NONE = jax.sharding.Mesh(np.empty((), object), ())


def without_mesh() -> AbstractContextManager[Any]:
    """What is traced inside is as where no mesh is set."""
    try:
        return without_devices()
    except NotOffered:
        context: AbstractContextManager[Any]
        context = jax.sharding.use_abstract_mesh(_NONE.abstract_mesh)
        return context


def without_devices() -> AbstractContextManager[Any]:
    """What runs inside is on one device, wherever the user's program is.

    Raises:
        NotOffered: the call is one of a `shard_map` that is not jitted.
    """
    try:
        context: AbstractContextManager[Any] = jax.set_mesh(_NONE)
    except ValueError:
        raise NotOffered("it is part of a shard_map that is not jitted") from None
    return context
