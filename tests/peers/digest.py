"""Values as short hashes: the same hash for the same bits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

_ADDRESS = re.compile(r"0x[0-9a-f]+|<locals>\.\w+|\bid=\d+")


def digest(*values: object) -> str:
    """A hash of arrays by type and bits, of trees by leaf, of all else by its text."""
    state = hashlib.blake2b(digest_size=6)
    for value in values:
        for part in _parts(value, depth=6):
            state.update(part)
    return state.hexdigest()


def masked(text: str) -> str:
    """A text without the addresses of objects, which no two runs share."""
    return _ADDRESS.sub("…", text)


def _parts(value: Any, depth: int) -> Iterator[bytes]:
    if isinstance(value, jax.core.Tracer):
        yield f"tracer {value.aval}".encode()
    elif isinstance(value, jax.Array | np.ndarray | np.generic):
        yield from _array(value)
    elif isinstance(value, Mapping) and depth:
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from _parts(value[key], depth - 1)
    elif isinstance(value, list | tuple) and depth:
        yield f"{type(value).__name__} {len(value)}".encode()
        for one in value:
            yield from _parts(one, depth - 1)
    else:
        yield _text(value).encode()


def _array(value: Any) -> Iterator[bytes]:
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    if not getattr(value, "is_fully_addressable", True):
        yield b"an array of several processes"
        return
    host = np.asarray(value)
    yield f"{host.dtype}{host.shape}".encode()
    yield host.tobytes() if host.dtype != object else _text(host).encode()


def _text(value: object) -> str:
    try:
        return masked(repr(value))
    except Exception as error:  # their class, their error
        return f"{type(value).__name__}, {type(error).__name__} in its repr"
