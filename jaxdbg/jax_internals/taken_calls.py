"""A jitted call, traced and not run: what it would have been run with."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.config import region_state
from jaxdbg.jax_internals.functions import function_of
from jaxdbg.jax_internals.names import jitted_class
from jaxdbg.jax_internals.requirements import private
from jaxdbg.jax_internals.shared_changes import SharedChange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxdbg.jax_internals.types import ClosedJaxpr

_CALL_IMPL_PYTHON = private("jax._src.pjit._pjit_call_impl_python", "frames")


@dataclass(frozen=True, slots=True)
class TakenCall:
    """A call that was traced, and not run.

    Attributes:
        jaxpr: closed.
        args: its flat arguments, the objects that the caller holds.
    """

    jaxpr: ClosedJaxpr
    args: Sequence[Any]


class NothingTaken(Exception):
    """The function has run to its end, without a call that was taken."""


class _Taken(BaseException):
    """Ends a call before it runs; no error, so that no library handles it."""

    def __init__(self, call: TakenCall):
        super().__init__()
        self.call = call


def taken_call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    has_users: Callable[[], bool],
) -> TakenCall:
    """Calls a jitted function up to where JAX would run it.

    Arguments:
        function: of `jax.jit`, or of the jit of a library.
        args, kwargs: what it is called with.
        has_users: whether a function of the user's was traced by now.

    Raises:
        NothingTaken: no jitted call came, so the function has run.
        Exception: what the function raises while it is traced.
    """
    is_of_jax = isinstance(function, jitted_class())

    def is_meant(jaxpr: ClosedJaxpr) -> bool:
        return is_of_jax or has_users() or not _is_eager(jaxpr)

    try:
        with _here.taking(is_meant):
            function(*args, **kwargs)
    except _Taken as taken:
        return taken.call
    raise NothingTaken


def _is_eager(jaxpr: ClosedJaxpr) -> bool:
    return function_of(jaxpr.jaxpr.debug_info).eager


@dataclass(slots=True)
class _Here(threading.local):
    is_meant: Callable[[Any], bool] | None = field(default=None)

    @contextlib.contextmanager
    def taking(self, is_meant: Callable[[Any], bool]) -> Iterator[None]:
        before, self.is_meant = self.is_meant, is_meant
        # A call that has run before would run again past Python; see `interpose`.
        state = region_state()
        state_before = state.swap_local(True)
        try:
            with _INTERPOSED.made():
                yield
        finally:
            state.set_local(state_before)
            self.is_meant = before


def _interpose() -> Callable[[], None]:
    plain = _CALL_IMPL_PYTHON.get()

    def call_impl(*args: Any, **params: Any) -> Any:
        is_meant = _here.is_meant
        if is_meant is None:
            return plain(*args, **params)
        if is_meant(params["jaxpr"]):
            raise _Taken(TakenCall(params["jaxpr"], args))
        # Without what JAX would install for the next call in this state.
        return plain(*args, **params)[0], None, None, []

    _CALL_IMPL_PYTHON.put(call_impl)

    def undo() -> None:
        if _CALL_IMPL_PYTHON.get() is call_impl:
            _CALL_IMPL_PYTHON.put(plain)

    return undo


_here = _Here()
_INTERPOSED = SharedChange(_interpose)
