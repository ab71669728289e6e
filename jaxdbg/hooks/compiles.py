"""How often each function was traced and compiled, while a region is open.

Compilations come from `jax.monitoring`, which is public. Traces come from JAX's own
test hook, which fires in the body of every real Python trace: the public trace event
also fires where no Python ran (other jit options), and not for inner jits. Listeners
only count, and tell the session when a budget could be spent; JAX calls them bare, so
what a session raises there stops the trace or compilation before it begins.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import FrameType
from typing import Any, Protocol

import jax

from jaxdbg.hooks import _compat
from jaxdbg.hooks.interpose import is_ours
from jaxdbg.hooks.signatures import Signature, signature_of
from jaxdbg.hooks.stand_ins import original

_PHASES = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
_COMPILE = _PHASES[2]


class Function:
    """A function as counts know it: its name and where it was written.

    Two objects made again from the same code (a lambda in a loop) are one function.
    """

    __slots__ = ("name", "source", "user")

    def __init__(self, name: str, source: str):
        self.name = name
        self.source = source
        self.user = is_user_file(source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and (self.name, self.source) == (
            other.name,
            other.source,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.source))


def function_of(debug_info: Any) -> Function:
    """The function a jaxpr was traced from; `debug_info` is the jaxpr's own."""
    return _parse(str(debug_info.func_src_info))


def function_called(debug_info: Any, frame: FrameType) -> Function:
    """The same for a call that is on the stack, where it may be one of `pmap`."""
    function = function_of(debug_info)
    if function.name not in _PMAP:
        return function
    return _seen_through(function, next(functions_called(frame), None))


def functions_called(frame: FrameType | None) -> Iterator[Any]:
    """The callables that jit is running a call of, from inside out."""
    codes = _compat.calling_codes()
    while frame is not None:
        if frame.f_code in codes and callable(frame.f_locals.get("fun")):
            yield frame.f_locals["fun"]
        frame = frame.f_back


_PMAP = ("_fun", "call_wrapped")
"""What the function that `pmap` gives to jit is called, instead of the user's."""


def _seen_through(function: Function, fun: Any) -> Function:
    inner = _compat.pmapped(fun) if function.name in _PMAP else None
    code = getattr(inner, "__code__", None)
    if inner is None or code is None:
        return function
    return Function(inner.__name__, f"{code.co_filename}:{code.co_firstlineno}")


@lru_cache(maxsize=4096)
def _parse(src_info: str) -> Function:
    # JAX writes "name at file:line"; a name can hold spaces ("f at" never does).
    name, _, source = src_info.partition(" at ")
    return Function(name, source)


@lru_cache(maxsize=4096)
def is_user_file(source: str) -> bool:
    """Whether `file:line` lies outside the installed libraries and jaxdbg itself."""
    path = source.rpartition(":")[0] or source
    if not path or path.startswith("<frozen"):
        return False
    return not any(
        part in path for part in (f"{os.sep}site-packages{os.sep}", _OWN, _STDLIB)
    )


_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


class Sink(Protocol):
    """Who is told of traces and compilations."""

    def trace_began(
        self, function: Function, fun: Any, signature: Callable[[], Signature]
    ) -> None:
        """A Python trace of the callable `fun` begins; may raise to stop it."""

    def compile_began(self, fun_name: str) -> None:
        """A compilation begins; may raise to stop it."""

    def compile_ended(self, fun_name: str) -> None:
        """A compilation has ended well."""

    def time_spent(self, seconds: float) -> None:
        """Time spent tracing, lowering or compiling, without what is nested in it."""


class _Depth(threading.local):
    value = 0


@contextlib.contextmanager
def counting(sink: Sink) -> Iterator[None]:
    """Tells `sink` of every trace and compilation of every thread."""
    depth = _Depth()

    def begin(event: str, value: float, **kwargs: Any) -> None:
        if event in _PHASES and not is_ours():
            # The begin event of a compile may raise, and JAX then sends no end for
            # it: count the depth only once nothing can raise any more.
            if event == _COMPILE:
                sink.compile_began(str(kwargs.get("fun_name", "")))
            depth.value += 1

    def end(event: str, duration_secs: float, **kwargs: Any) -> None:
        if event in _PHASES and not is_ours():
            depth.value = max(0, depth.value - 1)
            if depth.value == 0:
                sink.time_spent(duration_secs)
            if event == _COMPILE and sys.exc_info()[0] is None:
                sink.compile_ended(str(kwargs.get("fun_name", "")))

    jax.monitoring.register_scalar_listener(begin)
    jax.monitoring.register_event_duration_secs_listener(end)
    try:
        with _traces(sink):
            yield
    finally:
        # Only our own: clear_event_listeners() would take other tools' with it.
        jax.monitoring.unregister_scalar_listener(begin)
        jax.monitoring.unregister_event_duration_listener(end)


def _only_calls_a_jitted(fun: Any) -> bool:
    """Whether `fun` is a jitted function in wrappers, as in `jit(grad(jit(f)))`.

    The Python of `f` then runs in the trace of the inner jit, which counts it.
    """
    for _ in range(20):  # a chain of wrappers may be circular
        if isinstance(fun, _compat.jitted_class()):
            return True
        inner = getattr(fun, "__wrapped__", None) or getattr(fun, "func", None)
        if inner is None:
            return False
        fun = inner
    return False


@contextlib.contextmanager
def _traces(sink: Sink) -> Iterator[None]:
    if _compat.missing("counts"):
        yield
        return
    util, codes = _compat.util(), _compat.jit_trace_codes()
    before = util.test_event_listener

    def listener(name: str, *args: Any) -> None:
        if before is not None:
            before(name, *args)
        if name == "trace_to_jaxpr" and not is_ours():
            tracing = sys._getframe(2)  # listener <- test_event <- trace_to_jaxpr
            caller = tracing.f_back
            if caller is not None and caller.f_code in codes:
                fun = tracing.f_locals["fun"]
                if not _only_calls_a_jitted(original(fun)):
                    function = function_of(tracing.f_locals["debug_info"])
                    function = _seen_through(function, original(fun))
                    signature = partial(signature_of, tracing, caller)
                    sink.trace_began(function, fun, signature)

    util.test_event_listener = listener
    try:
        yield
    finally:
        util.test_event_listener = before
