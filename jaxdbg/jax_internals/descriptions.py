"""A value as text, without asking it: no `repr`, `==` or `hash` of the user's runs."""

from __future__ import annotations

from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

_PLAIN = (int, float, complex, str, bytes, bool, type(None))

MAX_PLAIN = 60
"""How long the text of a plain value may be."""


def plain(value: Any) -> bool:
    """Whether a value is a builtin constant, whose text is all there is to it."""
    return type(value) in _PLAIN


def described(value: Any, depth: int = 3) -> str:
    """What a value is, as short text; objects of the user's by their type alone."""
    if type(value) in _PLAIN:
        text = repr(value)
        return text if len(text) < MAX_PLAIN else f"{text[: MAX_PLAIN - 4]}..."
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, FunctionType | MethodType | BuiltinFunctionType):
        return f"function {value.__name__}"
    if depth and type(value) in (tuple, list, set, frozenset):
        return _several(value, depth)
    if depth and type(value) is dict:
        inner = ", ".join(
            f"{described(k, 0)}: {described(v, depth - 1)}"
            for k, v in islice(value.items(), 8)
        )
        return f"{{{inner}{', ...' if len(value) > 8 else ''}}}"
    if depth and isinstance(value, tuple):
        inner = ", ".join(
            described(v, depth - 1) for v in islice(tuple.__iter__(value), 8)
        )
        return f"{type(value).__name__}({inner})"
    if type(value).__module__.partition(".")[0] in ("jax", "jaxlib", "numpy"):
        return _of_jax(value)
    return f"{type(value).__name__} object"


def _several(value: Any, depth: int) -> str:
    texts = [described(v, depth - 1) for v in islice(value, 8)]
    if isinstance(value, set | frozenset):
        texts.sort()
    inner = ", ".join(texts) + (", ..." if len(value) > 8 else "")
    if isinstance(value, list):
        return f"[{inner}]"
    if isinstance(value, tuple):
        return f"({inner})" if len(value) != 1 else f"({inner},)"
    return f"{{{inner}}}"


def _of_jax(value: Any) -> str:
    """Enumerations, dtypes, meshes and shardings have a text of their own."""
    if type(value).__name__ in ("Mesh", "AbstractMesh"):
        return ", ".join(f"{k}={v}" for k, v in value.shape.items())
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):  # an array: never its values
        dtype = short_dtype(getattr(value, "dtype", type(value).__name__))
        return f"{dtype}[{','.join(map(str, shape))}]"
    if callable(value) and (name := getattr(value, "__name__", "")):
        return f"jitted function {name}" if hasattr(value, "lower") else name
    try:
        text = " ".join(str(value).split())
    except Exception:
        return f"{type(value).__name__} object"
    if " at 0x" in text:  # its address says nothing of it
        return f"{type(value).__name__} object"
    return text if len(text) < 2 * MAX_PLAIN else f"{text[: 2 * MAX_PLAIN - 4]}..."


def short_dtype(dtype: Any) -> str:
    """`f32` for float32, as JAX writes it in a jaxpr."""
    return _SHORT.get(str(dtype), str(dtype))


_SHORT = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint64": "u64",
    "uint32": "u32",
    "uint16": "u16",
    "uint8": "u8",
    "complex64": "c64",
    "complex128": "c128",
}
