"""A function that carries its own budget: how often it may be traced.

The budget counts from the decoration on, so that a cell which decorates a function can
be run again. It looks only while the function runs, in its thread; the reason comes
from the recorder.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

import jax

from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.failure_messages import over_budget
from jaxdbg.compiles.listener import Phase
from jaxdbg.compiles.recorder import recorder
from jaxdbg.errors import TraceBudgetError, UsageError
from jaxdbg.jax_internals.functions import (
    Function,
    has_known_traces,
    is_jitted,
    is_object,
    jitted_by_user,
    users_own,
    written_layers,
)
from jaxdbg.jax_internals.interpose import is_ours
from jaxdbg.jax_internals.stack import is_tracing
from jaxdbg.records import Reason

_F = TypeVar("_F", bound=Callable[..., Any])

_AHEAD_OF_TIME = ("lower", "trace", "eval_shape")
"""What a jitted function offers that traces it, too."""


@overload
def max_traces(function: _F, n: int) -> _F: ...
@overload
def max_traces(function: int) -> Callable[[_F], _F]: ...
@overload
def max_traces(*, n: int) -> Callable[[_F], _F]: ...


def max_traces(function: Any = None, n: Any = None) -> Any:
    """A function that fails before it is traced more than `n` times.

    `@jaxdbg.max_traces(1)` above `@jax.jit`, `@nnx.jit` or `@eqx.filter_jit`, or
    `max_traces(f, 1)`. The error says what has changed; the function can be used on.
    Below `@jax.jit` it counts too, and knows the reason where jaxdbg records.

    A cached call takes some microseconds more where jaxdbg records (from `%load_ext`
    on), and about ten where it does not: then it listens for the time of the call.

    Arguments:
        function: a function that is jitted, or will be; a method can be one.
        n: how often it may be traced, 0 or more; cached calls are free.

    Returns:
        The function with its budget; the decorator if there is only a number.

    Raises:
        UsageError: the number is none, or what is given cannot be called, is compiled
            and never traced, or is traced under a name that says nothing.
        TraceBudgetError: later, by the function, before the trace that is one too many.
    """
    if n is None:
        function, n = None, function
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise UsageError(
            f"max_traces takes a whole number of at least 0, not {n!r}: "
            "`@jaxdbg.max_traces(1)` above the function, or `max_traces(f, 1)`."
        )
    if function is None:
        return functools.partial(max_traces, n=n)
    if not callable(function):
        raise UsageError(
            f"max_traces goes around a function; {type(function).__name__} cannot be "
            "called."
        )
    if isinstance(function, jax.stages.Compiled):
        raise UsageError(
            "max_traces counts traces, and a compiled function is never traced: put it "
            "around the jitted function, before `lower`."
        )
    if is_jitted(function) and not has_known_traces(function):
        raise UsageError(
            f"max_traces cannot tell which traces are those of {_name(function)}: what "
            "is jitted is of a library. Jit a function of yours that calls it."
        )
    return _budgeted(function, _Budget(_identity(function), n, is_object(function)))


def _budgeted(function: Callable[..., Any], budget: _Budget) -> Callable[..., Any]:
    if not is_jitted(function):
        return functools.wraps(function)(_inside_jit(function, budget))
    guarded = functools.wraps(function, updated=())(_guarded(function, budget))
    for name in _AHEAD_OF_TIME:
        if hasattr(function, name):
            setattr(guarded, name, _guarded(getattr(function, name), budget))
    if hasattr(function, "clear_cache"):
        guarded.clear_cache = function.clear_cache  # type: ignore[attr-defined]
    return guarded


def _guarded(function: Callable[..., Any], budget: _Budget) -> Callable[..., Any]:
    """A jitted function: the recorder announces each of its traces before it begins."""

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if budget.here.watching:
            return function(*args, **kwargs)
        with recorder().running(_Watcher(budget)):
            budget.here.watching = True
            try:
                return function(*args, **kwargs)
            except TraceBudgetError as error:
                if error is not budget.here.failure:
                    raise  # of a function inside: its frames are the user's
                # What lies between is JAX and ours: the user's line comes last.
                raise error.with_traceback(None) from None
            finally:
                budget.here.watching, budget.here.failure = False, None

    return call


def _inside_jit(function: Callable[..., Any], budget: _Budget) -> Callable[..., Any]:
    """A plain function: in a trace its Python runs once for each time it is traced."""

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not is_ours() and is_tracing(sys._getframe(1)):
            budget.spend(_reason_of_the_trace_of(budget.function))
        return function(*args, **kwargs)

    return call


def _reason_of_the_trace_of(function: Function) -> Reason | None:
    """Why the trace that runs now was made; None where nobody records."""
    phase = recorder().running_trace()
    if phase is None or phase.function != function:
        return None
    reason: Reason | None = phase.reason
    return reason


class _Here(threading.local):
    """The state of one thread: whether it is watched, and what was raised."""

    watching = False
    failure: TraceBudgetError | None = None


class _Budget:
    """How often a function was traced, and may be.

    Arguments:
        function: as traces of it are called.
        most: how often it may be traced.
        is_object: whether it is an object, which JAX has no name for.
    """

    def __init__(self, function: Function, most: int, is_object: bool = False):
        self.function = function
        self._is_object = is_object
        self.here = _Here()
        self._most = most
        self._traces = 0
        self._lock = threading.Lock()

    def is_of(self, phase: Phase) -> bool:
        """Whether a phase that begins while the function is called is one of it."""
        if phase.function == self.function:
            return True
        is_nameless = phase.parent is None and not phase.function.source
        return self._is_object and is_nameless

    def spend(self, reason: Reason | None) -> None:
        """Counts a trace that is about to begin; raises where it is one too many."""
        with self._lock:
            if self._traces < self._most:
                self._traces += 1
                return
            times = self._traces + 1
        call = Call(self.function, 0, "")
        limit = "jaxdbg.max_traces"
        raise over_budget("traces", call, times, self._most, reason, limit)


class _Watcher:
    """Looks for traces of one function, while one thread runs it."""

    def __init__(self, budget: _Budget):
        self._budget = budget
        self._thread = threading.get_ident()

    def began(self, phase: Phase) -> None:
        """A phase begins; a trace that is one too many is stopped."""
        mine = self._budget.is_of(phase)
        if not mine or phase.phase != "trace" or threading.get_ident() != self._thread:
            return
        try:
            # Without a name it is compared with all that have none.
            self._budget.spend(phase.reason if phase.function.source else None)
        except TraceBudgetError as error:
            self._budget.here.failure = error  # until the call that is watched ends
            raise
        except Exception as error:  # ours: never the user's crash
            recorder().broke("looking after a budget", error)

    def ended(self, phase: Phase) -> None:
        """A phase has ended."""

    def broke(self, doing: str, error: Exception) -> None:
        """A part of jaxdbg broke; the recorder keeps the notice."""

    lost = broke


def _identity(function: Callable[..., Any]) -> Function:
    """The function as traces of it will be called: JAX names what it unwraps."""
    if (own := users_own(function)) is not None:
        return own
    if layers := written_layers(function):
        return jitted_by_user(layers[-1], function)
    return Function(_name(function), "")


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
