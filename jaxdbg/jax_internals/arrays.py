"""What an array of some kind may hold, and whether it may change."""

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


def can_be_non_finite(value: Any) -> bool:
    """Whether an array, or an abstract value, is of a dtype with NaN and Inf."""
    return has_non_finite(getattr(value, "dtype", None))
