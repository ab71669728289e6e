"""Traces that hold chex assertions, reused by later regions, hidden from plain calls.

JAX finds a trace by the function it was made of. A function that is known to assert is
therefore traced, in a region, under a stand-in that only regions use: the next region
finds that trace, with what was compiled of it, and a plain call never does.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from jaxdbg.jax_internals.config import trace_context_values
from jaxdbg.jax_internals.names import evict_traces
from jaxdbg.jax_internals.requirements import private

_INFER = private("jax._src.pjit._infer_params", "stand-ins", since="0.10")
_INFER_CACHED = private(
    "jax._src.pjit._infer_params_cached",
    "stand-ins",
    variables=("fun", "jit_info", "signature", "in_avals", "ctx_mesh"),
    since="0.10",
)

_STAND_INS: dict[int, tuple[weakref.ref[Any], Callable[..., Any]]] = {}
"""By id of the function, which the first of the two guards against being reused."""

_original: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = (
    weakref.WeakKeyDictionary()
)


def are_possible() -> bool:
    """Whether JAX lets stand-ins be used, and says when caches are cleared."""
    return not (_INFER.absent or _INFER_CACHED.absent)


def remember(fun: Callable[..., Any]) -> None:
    """From the next trace on, regions trace `fun` under a stand-in."""
    if not are_possible() or id(fun) in _STAND_INS or is_stand_in(fun):
        return
    key = id(fun)
    try:
        reference = weakref.ref(fun, lambda _: _STAND_INS.pop(key, None))
    except TypeError:  # then JAX could not cache a trace of it either
        return
    _STAND_INS[key] = reference, _stand_in(reference)


def is_stand_in(fun: Any) -> bool:
    """Whether this is a stand-in, and not the user's function."""
    return original(fun) is not fun


def original(fun: Any) -> Any:
    """The user's function behind a stand-in; any other is returned as it is."""
    try:
        reference = _original.get(fun)
    except TypeError:  # cannot be weakly referred to, hence is no stand-in
        return fun
    return fun if reference is None else reference()


def _stand_in(reference: weakref.ref[Any]) -> Callable[..., Any]:
    # A reference of its own would keep the function, and its traces, alive for ever.
    fun = reference()

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        function = reference()
        assert function is not None, "JAX holds the function whose call it traces"
        return function(*args, **kwargs)

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        if hasattr(fun, name):
            setattr(stand_in, name, getattr(fun, name))
    _original[stand_in] = reference
    return stand_in


@contextlib.contextmanager
def in_use(wanted: Callable[[], bool]) -> Iterator[None]:
    """While open, functions that are known to assert are traced as their stand-ins.

    Arguments:
        wanted: whether what is called here belongs to a region.
    """
    if not are_possible():
        yield
        return
    plain = _INFER.get()

    def infer_params(fun: Any, *rest: Any) -> Any:
        known = fun
        # Without a stand-in its traces live as long as the region, and no longer.
        with contextlib.suppress(Exception):
            known = _known(fun) if wanted() else fun
        return plain(known, *rest)

    _INFER.put(infer_params)
    try:
        yield
    finally:
        _INFER.put(plain)


def _known(fun: Any) -> Any:
    found = _STAND_INS.get(id(fun))
    if found is None or found[0]() is not fun:
        return fun
    if _caches_were_cleared():
        # The user has asked for new traces, maybe since something has changed that a
        # function closes over. Of which function is not known: none is trusted.
        for _, stand_in in _STAND_INS.values():
            evict_traces(stand_in)
    return found[1]


_epochs: dict[Any, Any] = {}


def _caches_were_cleared() -> bool:
    """Whether any jitted function's cache was cleared since this was last asked.

    JAX clears the memo of this function with them, and it makes a new value for us.
    The memo is by trace context, and so are the values we have seen.
    """
    context = trace_context_values()
    now = _INFER_CACHED.get()(_caches_were_cleared, None, None, (), None)
    before = _epochs.setdefault(context, now)
    _epochs[context] = now
    return before is not now
