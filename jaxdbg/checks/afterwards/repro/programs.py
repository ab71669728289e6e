"""Functions of flat arrays as files that any JAX of the years to come can run.

`jax.export` gives portable StableHLO. Its own file format needs the package flatbuffers
on both sides, which JAX does not bring; so the bytes of the program are kept by
themselves, with what else the script needs to know beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import Host


@dataclass(frozen=True, slots=True)
class Program:
    """A function, exported.

    Attributes:
        code: its portable StableHLO.
        about: what `repro.py` must know to run it, as JSON has it.
    """

    code: bytes
    about: dict[str, Any]


def exported(fun: Callable[..., list[Any]], avals: Sequence[Any]) -> Program:
    """The program of a function, for the platform at hand and for the CPU.

    Arguments:
        fun: from flat arrays to flat arrays.
        avals: shapes and dtypes of its arguments; a typed key counts as what it is,
            and the program takes its words.

    Raises:
        Exception: JAX cannot export it; it calls back to Python, for one.
    """

    def on_words(*words: Any) -> list[Any]:
        args = [_from_words(w, a) for w, a in zip(words, avals, strict=True)]
        return [_to_words(out) for out in fun(*args)]

    words = [_words(aval) for aval in avals]
    platforms = sorted({jax.default_backend(), "cpu"})
    try:
        program = _export(on_words, words, platforms)
    except Exception:
        # What is written for one platform alone may not lower for the other.
        program = _export(on_words, words, [jax.default_backend()])
    return Program(
        bytes(program.mlir_module_serialized),
        {
            "outputs": [[list(o.shape), str(o.dtype)] for o in program.out_avals],
            "platforms": list(program.platforms),
            "devices": program.nr_devices,
            "module_kept_var_idx": list(program.module_kept_var_idx),
            "uses_global_constants": program.uses_global_constants,
            "calling_convention_version": program.calling_convention_version,
        },
    )


def _export(fun: Any, avals: Sequence[Any], platforms: Sequence[str]) -> Any:
    return jax.export.export(jax.jit(fun), platforms=platforms)(*avals)


def host(value: Any, aval: Any) -> Host:
    """An argument as NumPy has it: of a typed key its words."""
    if isinstance(value, jax.Array):
        return np.asarray(jax.device_get(_to_words(value)))
    return np.asarray(value, aval.dtype)  # a number of Python's


def _to_words(array: Any) -> Any:
    """Of a typed key its words, any other array as it is."""
    return jax.random.key_data(array) if _is_key(array) else array


def _is_key(array: Any) -> bool:
    """Whether an array, or an abstract one, is of typed PRNG keys."""
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))


def _words(aval: Any) -> Any:
    shaped: Any = jax.ShapeDtypeStruct
    here = shaped(aval.shape, aval.dtype)
    if not _is_key(aval):
        return here
    words = jax.eval_shape(jax.random.key_data, here)
    return shaped(words.shape, words.dtype)


def _from_words(words: Any, aval: Any) -> Any:
    if not _is_key(aval):
        return words
    impl = jax.random.key_impl(jnp.empty((), aval.dtype))
    return jax.random.wrap_key_data(words, impl=impl)
