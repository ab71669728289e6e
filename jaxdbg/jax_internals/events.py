"""What JAX tells its listeners: its monitoring events, and each trace as it begins.

The events of `jax.monitoring` are public, their names are not. Traces come from JAX's
own test hook, which fires in the body of every real Python trace: the public event also
comes where no Python ran (other jit options), and not for inner jits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from jaxdbg.jax_internals.requirements import derived, missing, private

CACHE_HIT = "/jax/compilation_cache/cache_hits"
CACHE_ASKED = "/jax/compilation_cache/compile_requests_use_cache"
CACHE_SAVED = "/jax/compilation_cache/compile_time_saved_sec"

private(
    "jax._src.compiler.compile_or_get_cached",
    "phases",
    "what the persistent cache saves is not known",
    constants=(CACHE_HIT, CACHE_ASKED, CACHE_SAVED),
)
_LOWER = private(
    "jax._src.dispatch.JAXPR_TO_MLIR_MODULE_EVENT",
    "phases",
    "lowerings are not counted",
)
_COMPILE = private(
    "jax._src.dispatch.BACKEND_COMPILE_EVENT",
    "phases",
    "compilations are not counted",
)
private("jax._src.util.test_event", "counts")  # it calls the listener
_EVENT_LISTENER = private("jax._src.util.test_event_listener", "counts")
_TRACE_FOR_JIT = private("jax._src.pjit._trace_for_jit", "counts")

_TRACE_EVENT = "trace_to_jaxpr"


def phase_of(event: str) -> str | None:
    """What begins or ends with a monitoring event: "lower", "compile", or None."""
    return _phases().get(event)


@derived
def _phases() -> Mapping[str, str]:
    named = ((_LOWER, "lower"), (_COMPILE, "compile"))
    return {event.get(): phase for event, phase in named if not event.absent}


def hear_traces(
    began: Callable[[FrameType], None],
    around: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> Callable[[], None]:
    """Hears the traces in every thread, until what this returns is called.

    Arguments:
        began: called as each trace begins, with its frame; may not raise what is ours.
        around: from the function in which jit traces to what runs in its place, which
            has it as `__wrapped__`.
    """
    if missing("counts"):
        return lambda: None
    plain, before = _TRACE_FOR_JIT.get(), _EVENT_LISTENER.get()

    def hook(name: str, *args: Any) -> None:
        if before is not None:
            before(name, *args)
        if name == _TRACE_EVENT:
            began(sys._getframe(2))  # hook <- test_event <- trace_to_jaxpr

    def stop() -> None:
        _TRACE_FOR_JIT.put(plain)
        _EVENT_LISTENER.put(before)

    wrapped = around(plain)
    _EVENT_LISTENER.put(hook)
    _TRACE_FOR_JIT.put(wrapped)
    return stop
