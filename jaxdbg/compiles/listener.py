"""Each trace, lowering and compilation: when it begins, for which call, when it ends.

Lowerings and compilations come from `jax.monitoring`, which is public. Traces come from
JAX's own test hook, which fires in the body of every real Python trace: the public
event also comes where no Python ran (other jit options), and not for inner jits. The
function in which jit traces is wrapped, so that the end of a trace is seen too. Nothing
here runs in a call that finds everything cached.

JAX calls listeners bare: what a sink raises as a phase begins stops that phase.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import jax

from jaxdbg.compiles import signatures
from jaxdbg.compiles.signatures import Signature
from jaxdbg.jax_internals import names as _compat
from jaxdbg.jax_internals.chex.stand_ins import original
from jaxdbg.jax_internals.functions import (
    Function as Function,
    as_called,
    function_called as function_called,
    function_of as function_of,
    functions_called as functions_called,
    is_user_file as is_user_file,
    only_calls_a_jitted,
)
from jaxdbg.jax_internals.interpose import is_ours
from jaxdbg.jax_internals.stack import Surroundings, ended_with_error
from jaxdbg.records.source import SourceFrame

_PHASES = {
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}
_HIT = "/jax/compilation_cache/cache_hits"
_ASKED = "/jax/compilation_cache/compile_requests_use_cache"
_SAVED = "/jax/compilation_cache/compile_time_saved_sec"


class Phase:
    """A trace, lowering or compilation, as it is seen.

    Attributes:
        phase: "trace", "lower" or "compile".
        function: of whom; `role` as in `CompileEvent`.
        fun: the callable that is traced, while it is; else None.
        signature: of the call.
        start: seconds since the epoch.
        duration, inside: seconds, and how many of them nested phases took.
        parent: the phase it is nested in.
        thread: name of the thread.
        source, cell: the user's line, and IPython's number of the cell that runs.
        cache, saved: the persistent cache, as in `CompileEvent`.
        failed, ended: how it stands.
        hidden: a trace that a library makes inside another trace: part of that.
        reason: why it runs again; the recorder finds it.
    """

    __slots__ = (
        "cache",
        "cell",
        "duration",
        "ended",
        "failed",
        "fun",
        "function",
        "hidden",
        "inside",
        "parent",
        "phase",
        "reason",
        "role",
        "saved",
        "signature",
        "source",
        "start",
        "thread",
    )

    def __init__(
        self,
        phase: str,
        signature: Signature,
        around: Surroundings,
        parent: Phase | None,
    ):
        self.phase = phase
        self.function = function = signature.function
        self.signature = signature
        self.role = around.role
        self.source: SourceFrame | None = around.source
        self.cell = around.cell
        self.parent = parent
        self.fun: Any = None
        self.thread = threading.current_thread().name
        self.start = time.time()
        self.duration = 0.0
        self.inside = 0.0
        self.cache, self.saved = "off", 0.0
        self.failed = self.ended = False
        self.hidden = phase == "trace" and parent is not None and not function.user
        self.reason: Any = None
        signature.cell = around.cell
        signature.outer = parent.function.name if parent is not None else ""
        if around.source is not None:
            signature.line = around.source.file, around.source.line

    def let_go(self) -> None:
        """Forgets the signature, which may be large."""
        self.signature = signatures.of_name(self.function)


class Sink(Protocol):
    """Who is told of each phase."""

    def began(self, phase: Phase) -> None:
        """A phase begins; may raise to stop it."""

    def ended(self, phase: Phase) -> None:
        """A phase that began has ended, well or not."""

    def broke(self, doing: str, error: Exception) -> None:
        """A part of ours broke; the user's program goes on."""


class _Here(threading.local):
    """What goes on in one thread.

    Attributes:
        open: the phases that run, the outermost first.
        traced: of each running call of JAX's tracing function, the signature it took.
        lowered: the signature of the call that was lowered last, until it compiles.
    """

    def __init__(self) -> None:
        self.open: list[Phase] = []
        self.traced: list[Signature | None] = []
        self.lowered: tuple[Any, Signature] | None = None


_signatures: weakref.WeakKeyDictionary[Any, Signature] = weakref.WeakKeyDictionary()
"""Of each jaxpr, what it was traced for."""


class Listener:
    """Tells a sink of each trace, lowering and compilation of every thread.

    From `start` to `stop`; once only. Both take some microseconds in all: a function
    with a budget does that at each call.
    """

    def __init__(self, sink: Sink):
        self._sink = sink
        self._here = _Here()
        # Bound methods are made anew each time: JAX unregisters by identity.
        self._listeners = (
            self._safely(self._begin),
            self._safely(self._event),
            self._safely(self._end),
        )
        self._before: tuple[Any, ...] | None = None

    def start(self) -> None:
        """Listens from now on."""
        self._see_traces()
        begin, event, end = self._listeners
        monitoring = jax.monitoring
        monitoring.register_scalar_listener(begin)
        monitoring.register_event_listener(event)
        monitoring.register_event_duration_secs_listener(end)

    def stop(self) -> None:
        """Leaves JAX as it was."""
        self._see_no_traces()
        # Only our own are unregistered: clear_event_listeners() would take others'.
        begin, event, end = self._listeners
        monitoring = jax.monitoring
        for unregister, listener in (
            (monitoring.unregister_event_duration_listener, end),
            (monitoring.unregister_event_listener, event),
            (monitoring.unregister_scalar_listener, begin),
        ):
            # Not there where another has cleared them all.
            with contextlib.suppress(AssertionError, ValueError):
                unregister(listener)

    def _safely(self, listener: Callable[..., None]) -> Callable[..., None]:
        """What breaks in a listener of ours must not be the user's crash."""

        def safe(event: str, *args: Any, **kwargs: Any) -> None:
            try:
                listener(event, *args, **kwargs)
            except _Stop as stop:
                raise stop.error from None
            except Exception as error:
                self._sink.broke("recording compilations", error)

        return safe

    # -- lowerings and compilations --------------------------------------------------

    def _begin(self, event: str, value: float, **kwargs: Any) -> None:
        kind = _PHASES.get(event)
        if kind is None or is_ours():
            return
        frame = sys._getframe(1)
        around = Surroundings(frame)
        signature = self._of_call(kind, around, str(kwargs["fun_name"]), frame)
        self._open(kind, signature, around)

    def _end(self, event: str, duration_secs: float, **kwargs: Any) -> None:
        if event == _SAVED and self._here.open and not is_ours():
            self._here.open[-1].saved = duration_secs
        kind = _PHASES.get(event)
        if kind is None or is_ours():
            return
        stack = self._here.open
        if not any(p.phase == kind for p in stack):
            return  # it began before we listened
        while stack[-1].phase != kind:
            self._close(stack[-1], failed=True)
        failed = ended_with_error(sys._getframe(1))
        self._close(stack[-1], failed, duration_secs)

    def _event(self, event: str, **kwargs: Any) -> None:
        if event not in (_HIT, _ASKED) or is_ours() or not self._here.open:
            return
        phase = self._here.open[-1]
        if event == _HIT:
            phase.cache = "hit"
        elif jax.config.values["jax_compilation_cache_dir"] and phase.cache == "off":
            phase.cache = "miss"

    def _of_call(
        self, kind: str, around: Surroundings, fun_name: str, frame: FrameType
    ) -> Signature:
        if kind == "compile" and self._here.lowered is not None:
            key, signature = self._here.lowered
            self._here.lowered = None
            if key == _key(around):
                return signature
        jaxpr = _jaxpr_of(around)
        if jaxpr is None:
            return _lowered_before(around, fun_name)
        fun = original(around.calling.get("fun"))
        known = _signatures.get(jaxpr)
        if known is None and around.derived is not None:
            # A region runs what it made of the user's jaxpr.
            jaxpr = around.derived.params["jaxpr"]
            known = _signatures.get(jaxpr)
        if known is None:
            function = as_called(function_of(jaxpr.debug_info), fun, frame)
            known = signatures.of_jaxpr(function, jaxpr, fun)
        signature = signatures.lowered(known, around)
        if kind == "lower":
            self._here.lowered = _key(around), signature
        return signature

    # -- traces ----------------------------------------------------------------------

    def _see_traces(self) -> None:
        """Sees traces begin, through JAX's test hook, and end."""
        if _compat.missing("counts"):
            return
        util, pjit = _compat.util(), _compat.pjit()
        codes, before = _compat.jit_trace_codes(), util.test_event_listener
        traced = self._safely(self._trace_began)

        def hook(name: str, *args: Any) -> None:
            if before is not None:
                before(name, *args)
            if name == "trace_to_jaxpr" and not is_ours():
                tracing = sys._getframe(2)  # hook <- test_event <- trace_to_jaxpr
                caller = tracing.f_back
                if caller is not None and caller.f_code in codes:
                    traced(name, tracing, caller)

        _compat.hide_from_tracebacks()
        self._before = util, before, pjit, pjit._trace_for_jit
        util.test_event_listener = hook
        pjit._trace_for_jit = self._wrapped(pjit._trace_for_jit)

    def _see_no_traces(self) -> None:
        if self._before is not None:
            util, before, pjit, plain = self._before
            pjit._trace_for_jit = plain
            util.test_event_listener = before

    def _wrapped(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def trace_for_jit(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True  # IPython shows no frame of ours
            here = self._here
            depth = len(here.open)
            here.traced.append(None)
            try:
                result = plain(*args, **kwargs)
            except BaseException:
                here.traced.pop()
                self._close_to(depth, failed=True)
                raise
            signature = here.traced.pop()
            self._close_to(depth, failed=False)
            if signature is not None:
                _remember(result, signature)
            return result

        trace_for_jit.__wrapped__ = plain  # type: ignore[attr-defined]
        return trace_for_jit

    def _trace_began(self, name: str, tracing: FrameType, caller: FrameType) -> None:
        here, callee = self._here, tracing.f_locals["fun"]
        fun = original(callee)
        info = tracing.f_locals["debug_info"]
        function = as_called(function_of(info), fun, caller)
        if here.open and not function.user:
            self._open("trace", Signature(function), Surroundings(None), callee)
            return
        around = Surroundings(caller)
        known = {**tracing.f_locals, "fun": fun}
        signature = signatures.of_trace(function, known, caller.f_locals, around)
        if here.traced:
            here.traced[-1] = signature
        # Of a function that only calls a jitted one, the trace of that is the one in
        # which Python runs.
        if not only_calls_a_jitted(fun):
            self._open("trace", signature, around, callee)

    # -- both ------------------------------------------------------------------------

    def _open(
        self, kind: str, signature: Signature, around: Surroundings, fun: Any = None
    ) -> None:
        stack = self._here.open
        phase = Phase(kind, signature, around, stack[-1] if stack else None)
        phase.fun = fun
        try:
            self._sink.began(phase)
        except Exception as error:
            raise _Stop(error) from None
        finally:
            phase.fun = None
        # A phase that was stopped has no end: it is on the stack only from here on.
        if not phase.hidden:
            phase.start = time.time()
            stack.append(phase)

    def _close_to(self, depth: int, failed: bool) -> None:
        while len(self._here.open) > depth:
            self._close(self._here.open[-1], failed)

    def _close(self, phase: Phase, failed: bool, duration: float | None = None) -> None:
        self._here.open.pop()
        if duration is None:
            duration = time.time() - phase.start
        phase.duration = max(0.0, duration)  # the clock may be set back
        phase.failed = phase.signature.failed = failed
        phase.ended = True
        if phase.parent is not None:
            phase.parent.inside += phase.duration
        try:
            self._sink.ended(phase)
        except Exception as error:
            self._sink.broke("recording compilations", error)


class _Stop(BaseException):
    """Carries what a sink raises out to JAX; nothing of ours may catch it."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error


def bare(fun_name: str) -> str:
    """`f` for `jit(f)` and `jit_f`."""
    return fun_name.removeprefix("jit(").removeprefix("jit_").removesuffix(")")


def _jaxpr_of(around: Surroundings) -> Any:
    return around.lowering.get("jaxpr") or around.executing.get("jaxpr")


def _lowered_before(around: Surroundings, fun_name: str) -> Signature:
    """The compilation of what was lowered ahead of time, or of what nobody knows."""
    lowering = around.compiling.get("self")
    info = getattr(lowering, "compile_args", {}).get("all_args_info")
    if info is None:
        return signatures.of_name(Function(bare(fun_name), ""))
    return signatures.of_lowered(function_of(info.debug_info), info)


def _key(around: Surroundings) -> tuple[int, int]:
    """Tells one call from the next, as long as it runs."""
    args = around.executing.get("args")
    return id(args), id(around.executing.get("jaxpr"))


def _remember(result: Any, signature: Signature) -> None:
    # Before JAX 0.10 the arguments come with it.
    parameters = result if hasattr(result, "params") else result[0]
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        _signatures[parameters.params["jaxpr"]] = signature
