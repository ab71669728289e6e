"""What JAX's caches have lost, by what is not in them any more."""

from __future__ import annotations

from typing import Any

from jaxdbg.jax_internals.requirements import derived, private

_UNSEEN = "that JAX's caches were cleared is not known"

_CACHE = private("jax._src.util.weakref_lru_cache", "reasons", _UNSEEN)
_TRACES = private(
    "jax._src.interpreters.partial_eval.trace_to_jaxpr.cache_keys", "reasons", _UNSEEN
)


class _Anchor:
    """What the entry is of: JAX's caches hold it weakly."""


_anchor = _Anchor()


@derived
def _entry() -> Any:
    """A cache of JAX's kind, which is cleared with all others."""
    return _CACHE.get()(lambda anchor: None)


def were_cleared() -> bool:
    """Whether `jax.clear_caches()` was called since this was asked last."""
    if _CACHE.absent:
        return False
    entry = _entry()
    asked_before = getattr(_anchor, "asked", False)
    cleared = entry.cache_info().currsize == 0
    _anchor.asked = True  # type: ignore[attr-defined]
    if cleared:
        entry(_anchor)
    return cleared and asked_before


def is_remembered(fun: object) -> bool | None:
    """Whether JAX has a trace of this function; None where that is not known.

    Nothing but `clear_cache` of a jitted function takes one out as long as the function
    lives.
    """
    if _TRACES.absent:
        return None
    return any(key[0]() is fun for key in _TRACES.get()())
