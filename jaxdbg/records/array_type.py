"""The type of an array argument, as JAX writes it: `f32[8,4]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The type of an array argument.

    Attributes:
        dtype: as JAX writes it, `f32`.
        shape: of the array; the names of symbolic dimensions as text.
    """

    dtype: str
    shape: tuple[int | str, ...] = ()

    @property
    def numpy_dtype(self) -> str:
        """`float32` for `f32`; empty where no such number exists in NumPy or JAX."""
        return _NUMPY.get(self.dtype, "")


_NUMPY = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "c64": "complex64",
    "c128": "complex128",
    **{f"i{bits}": f"int{bits}" for bits in (4, 8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (4, 8, 16, 32, 64)},
}
