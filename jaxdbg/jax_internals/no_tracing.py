"""`jax.no_tracing()`: in a region it refuses what it refuses in the plain program.

JAX refuses each call that is not on its fast path, and in a region none is. So where
JAX asks whether to refuse a call, the answer is whether a trace would be needed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import jax

from jaxdbg.jax_internals.config import region_state
from jaxdbg.jax_internals.interpose import unheard
from jaxdbg.jax_internals.requirements import private
from jaxdbg.jax_internals.stack import traced_jaxpr

_LOST = "under jax.no_tracing() each jitted call of a region raises"

_NO_TRACING = private("jax._src.config.no_tracing", "contexts", _LOST)
_IS_CLEAN = private("jax._src.core.trace_state_clean", "contexts", _LOST)
_CACHE_MISS = private(
    "jax._src.pjit._cpp_pjit.<locals>.cache_miss",
    "contexts",
    _LOST,
    variables=("fun", "jit_info", "args", "kwargs"),
    constants=("no_tracing",),
)
_TRACE_FOR_JIT = private("jax._src.pjit._trace_for_jit", "contexts", _LOST)
_INFER = private("jax._src.pjit._infer_params", "contexts", _LOST, since="0.10")


@contextlib.contextmanager
def refused_as_plain(has_checks: Callable[[Any], bool]) -> Iterator[None]:
    """While open, `jax.no_tracing()` lets calls pass whose trace is known.

    Arguments:
        has_checks: whether a jaxpr has the effects of checks, which the plain program
            has not.
    """
    if any(o.absent for o in (_NO_TRACING, _IS_CLEAN, _CACHE_MISS, _TRACE_FOR_JIT)):
        yield
        return
    plain = _NO_TRACING.get()
    _NO_TRACING.put(_NoTracing(plain, has_checks))
    try:
        yield
    finally:
        _NO_TRACING.put(plain)


class _NoTracing:
    """JAX's setting, with another answer for calls that are off the fast path."""

    def __init__(self, plain: Any, has_checks: Callable[[Any], bool]):
        self._plain = plain
        self._has_checks = has_checks

    @property
    def value(self) -> bool:
        refused: bool = self._plain.value
        if not refused:
            return False
        jaxpr = _trace_at_hand(sys._getframe(1))
        # What has effects never gets on the fast path.
        return jaxpr is None or bool(jaxpr.effects and not self._has_checks(jaxpr))

    def __call__(self, *args: Any) -> Any:
        return self._plain(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def _trace_at_hand(frame: FrameType) -> Any:
    """The jaxpr of a call that misses JAX's fast path only since it is in a region."""
    if frame.f_code not in _CACHE_MISS.codes() or not region_state().value:
        return None
    call = _CACHE_MISS.variables_in(frame) or {}
    leaves = jax.tree.leaves((call["args"], call["kwargs"]))
    if not _IS_CLEAN.get()() or any(isinstance(x, jax.core.Tracer) for x in leaves):
        return None
    infer: Callable[..., Any] = (_TRACE_FOR_JIT if _INFER.absent else _INFER).get()
    try:
        with unheard():  # a trace would be refused
            return traced_jaxpr(
                infer(call["fun"], call["jit_info"], call["args"], call["kwargs"])
            )
    except Exception:  # it is refused, or cannot be called so
        return None
