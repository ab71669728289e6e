"""An array argument as JAX types it."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from jaxdbg.jax_internals.descriptions import short_dtype


class Leaf(NamedTuple):
    """The type of an argument.

    Attributes:
        shape: `(8, 4)`; names of symbolic dimensions as text.
        dtype: `f32`.
        weak: whether the type is weak.
        python: the Python type of a scalar, `int`; empty for an array.
        sharding: where it is part of the type; else empty.
        kind: type of the NNX variable it is in, `Param`; else empty.
    """

    shape: tuple[int | str, ...]
    dtype: str
    weak: bool = False
    python: str = ""
    sharding: str = ""
    kind: str = ""

    def __str__(self) -> str:
        if self.python:
            return f"Python {self.python}"
        shape = f"[{','.join(map(str, self.shape))}]"
        weak = ", weakly typed" if self.weak else ""
        before = f"{self.kind} " if self.kind else ""
        after = f" {self.sharding}" if self.sharding else ""
        return f"{before}{self.dtype}{shape}{after}{weak}"


def of_aval(aval: Any, python: str = "") -> Leaf:
    """The leaf of an abstract value."""
    try:
        return _of_aval(aval, python)
    except TypeError:  # an aval that cannot be hashed
        return Leaf((), str(aval.str_short()), python=python)


def of_array(value: Any, kind: str = "") -> Leaf:
    """The leaf of an array."""
    weak = bool(getattr(value, "weak_type", False))
    dtype, sharding = short_dtype(value.dtype), _sharding(getattr(value, "aval", None))
    return Leaf(tuple(value.shape), dtype, weak, sharding=sharding, kind=kind)


def python_type(value: Any) -> str:
    """`int` for a Python scalar, nothing for anything else."""
    return type(value).__name__ if type(value) in (bool, int, float, complex) else ""


@functools.lru_cache(maxsize=4096)
def _of_aval(aval: Any, python: str) -> Leaf:
    shape, dtype = getattr(aval, "shape", None), getattr(aval, "dtype", None)
    if shape is None or dtype is None:
        return Leaf((), str(aval.str_short()), python=python)
    return Leaf(
        tuple(n if isinstance(n, int) else str(n) for n in shape),
        short_dtype(dtype),
        bool(getattr(aval, "weak_type", False)),
        python,
        _sharding(aval),
    )


def _sharding(aval: Any) -> str:
    """What of a sharding is part of the type: how it is split, or over which mesh.

    Over a mesh whose axes are not explicit the type says only which mesh it is; an
    array that is on none is of another type.
    """
    sharding = getattr(aval, "sharding", None)
    spec, mesh = getattr(sharding, "spec", None), getattr(sharding, "mesh", None)
    if spec is not None and any(s is not None for s in spec):
        return f"@{spec}".replace("PartitionSpec", "")
    sizes = getattr(mesh, "shape", None) or {}
    return f"over {', '.join(f'{k}={n}' for k, n in sizes.items())}" if sizes else ""
