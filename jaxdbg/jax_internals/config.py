"""JAX's configuration: the state that marks a region, and the keys of JAX's caches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax

from jaxdbg.jax_internals.requirements import derived, missing, private

REGION_STATE = "jaxdbg_region"
"""Name of the config state that is part of jit's dispatch key inside a region."""

_BOOL_STATE = private("jax._src.config.bool_state", "interpose")
_STATES = private("jax._src.config.config_states", "interpose")
_SET_GLOBAL = private("jax._src.config.State.set_global", "interpose")
_GET_GLOBAL = private("jax._src.config.State.get_global", "interpose")
_SET_LOCAL = private("jax._src.config.State.set_local", "interpose")
_SWAP_LOCAL = private("jax._src.config.State.swap_local", "interpose")
_CONTEXT = private(
    "jax._src.config.trace_context",
    "reasons",
    "changes of JAX's configuration are not named",
)
_CONTEXT_NAMES = private(
    "jax._src.config.trace_context_names",
    "reasons",
    "changes of JAX's configuration are named where no trace depends on them, too",
    since="0.10.2",
)
_HLO_SOURCE_FILES = private(
    "jax._src.config.hlo_source_file_canonicalization_regex",
    "modules",
)


@derived
def region_state() -> Any:
    """The config state that makes fast calls come to Python inside a region.

    It belongs to jit's dispatch key but not to the trace context: calls in a region
    miss the C++ fast path, while traces and executables are shared with the plain
    program. Registering it makes each existing function miss once, so it is made
    once, when jaxdbg is first used. Where JAX has no such states it is one of ours,
    without effect.
    """
    if missing("interpose"):
        return _NoState()
    known = states()
    if REGION_STATE in known:  # a second import of jaxdbg in this process
        return known[REGION_STATE]
    return _BOOL_STATE.get()(
        REGION_STATE,
        False,
        "Inside a jaxdbg region, jitted calls come to Python.",
        include_in_jit_key=True,
    )


def states() -> Mapping[str, Any]:
    """JAX's settings that can differ by thread, by name."""
    return {} if _STATES.absent else _STATES.get()


class _NoState:
    """A config state that nothing depends on."""

    def get_global(self) -> bool:
        return False

    def set_global(self, value: Any) -> None:
        pass

    def set_local(self, value: Any) -> None:
        pass

    def swap_local(self, value: Any) -> Any:
        return value


def trace_context() -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """What of the configuration is part of the key of JAX's caches: names and values.

    Before JAX 0.10.2 JAX does not name it: then every setting is looked at.
    """
    if _CONTEXT.absent:
        return (), ()
    if not _CONTEXT_NAMES.absent:
        return _CONTEXT_NAMES.get()(), _CONTEXT.get()()
    named = {n: s.value for n, s in states().items() if n != REGION_STATE}
    named["abstract_mesh_context_manager"] = jax.sharding.get_abstract_mesh()
    return tuple(named), tuple(named.values())


def trace_context_values() -> Any:
    """What is part of the key of JAX's caches; None where JAX does not say."""
    return None if _CONTEXT.absent else _CONTEXT.get()()


def other_trace_context(value: str) -> AbstractContextManager[Any]:
    """A context in which this thread finds none of its cached traces.

    It changes a setting that is part of the key of a trace and has no part in it: how
    source files are named when a trace is lowered.
    """
    context: AbstractContextManager[Any] = _HLO_SOURCE_FILES.get()(value)
    return context
