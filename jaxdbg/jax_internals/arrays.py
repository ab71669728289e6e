"""What an array of some kind may hold, whether it may change, and where it lies."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Host = np.ndarray[Any, np.dtype[Any]]
"""An array in the memory of the host."""

REF: Any = getattr(jax, "Ref", ())
"""The class of mutable arrays."""


@lru_cache(maxsize=256)
def has_non_finite(dtype: Any) -> bool:
    """Whether elements of a dtype can be NaN or infinite; False for None."""
    return dtype is not None and bool(jnp.issubdtype(dtype, np.inexact))


def spans_processes(value: Any) -> bool:
    """Whether an array has shards in other processes, which this one cannot read.

    A program over such an array runs in all of them, or in none.
    """
    return (
        isinstance(value, jax.Array)
        and not isinstance(value, jax.core.Tracer)
        and not value.is_fully_addressable
    )


def can_be_non_finite(value: Any) -> bool:
    """Whether an array, or an abstract value, is of a dtype with NaN and Inf."""
    return has_non_finite(getattr(value, "dtype", None))
