"""JAX's settings that concern what a program itself does, neutral for work of ours.

A user has JAX refuse transfers and traces, look for NaN, or log what it compiles: all
of this is about their program, and must neither stop nor show what jaxdbg evaluates.
Settings on which values depend stay as they are: x64, precisions, random numbers,
devices, meshes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import ExitStack
from enum import Enum
from typing import Any

from jaxdbg.jax_internals.config import states
from jaxdbg.jax_internals.interrupts import HeldBack
from jaxdbg.jax_internals.requirements import derived

LOOKS_FOR_BAD: dict[str, object] = {
    "jax_debug_infs": False,
    "jax_debug_nans": False,
}
"""Settings by which JAX looks at all that a call returns."""

NEUTRAL: dict[str, object] = {
    **LOOKS_FOR_BAD,
    "check_vma": False,  # JAX has it on in a shard_map that is not jitted
    "eager_constant_folding": False,
    "jax_captured_constants_warn_bytes": 2_000_000_000,
    "jax_check_tracer_leaks": False,
    "jax_debug_key_reuse": False,
    "jax_disable_jit": False,
    "jax_distributed_debug": False,
    "jax_enable_checks": False,
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_explain_cache_misses": False,
    "jax_legacy_prng_key": "allow",
    "jax_log_checkpoint_residuals": False,
    "jax_log_compiles": False,
    "jax_no_execution": False,
    "jax_no_tracing": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_raise_persistent_cache_errors": False,
}
"""By name of a setting, the value that it has for work of ours: JAX's default."""

GUARDS = (
    "jax_transfer_guard_device_to_device",
    "jax_transfer_guard_device_to_host",
    "jax_transfer_guard_host_to_device",
)
"""Settings that are neutral where nobody has set them, and else are put to "allow"."""

CACHE_FOLDER = "jax_compilation_cache_dir"
"""The folder of the persistent compilation cache, which is the user's."""

SHORTEST_TO_WRITE = "jax_persistent_cache_min_compile_time_secs"
"""The least seconds of a compilation that is written to it.

Without the folder JAX would take its cache to be off, for the user too.
"""


def put_to_neutral(undos: list[ExitStack]) -> ExitStack | None:
    """Puts the settings to neutral for this thread; to be closed, if they were not.

    It is on the way of each call: what costs little is to see that nothing is set.

    Arguments:
        undos: what is to be closed is added here, too, whatever interrupts this.
    """
    settings, values = _watched()
    if [setting.value for setting in settings] == values:
        return None
    with HeldBack():
        undos.append(undo := _put((*NEUTRAL, *GUARDS, CACHE_FOLDER)))
    return undo


def put_to_neutral_for_outputs() -> ExitStack:
    """Has JAX neither look at what a call returns nor write it to its cache.

    For a program of the user's with outputs of ours.
    """
    return _put((*LOOKS_FOR_BAD, CACHE_FOLDER))


def _put(names: Iterable[str]) -> ExitStack:
    undo = ExitStack()
    known = states()
    for name in names:
        setting = known.get(name)
        if setting is None or setting.value == _neutral(name, setting):
            continue
        if name in GUARDS:
            undo.enter_context(setting("allow"))
        elif name == CACHE_FOLDER:
            _set(known[SHORTEST_TO_WRITE], math.inf, undo)
        else:
            # Not by JAX's own context manager: one for debug_nans, when it ends, turns
            # a global debug_nans off for the thread.
            _set(setting, _neutral(name, setting), undo)
    return undo


def _set(setting: Any, value: object, undo: ExitStack) -> None:
    undo.callback(setting.set_local, setting.swap_local(value))


def _neutral(name: str, setting: Any) -> object:
    value = NEUTRAL.get(name)
    kind = type(setting.get_global())
    return kind(value) if issubclass(kind, Enum) else value


@derived
def _watched() -> tuple[tuple[Any, ...], list[object]]:
    """What is looked at before work of ours: settings, and their neutral values."""
    known = states()
    names = [n for n in (*NEUTRAL, *GUARDS, CACHE_FOLDER) if n in known]
    settings = tuple(known[name] for name in names)
    return settings, [_neutral(n, known[n]) for n in names]
