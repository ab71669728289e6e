"""Each trace, lowering and compilation: when it begins, for which call, when it ends.

Lowerings and compilations come from `jax.monitoring`, which is public. Traces come from
JAX's own test hook (`jax_internals.events` says why), and the
function in which jit traces is wrapped, so that the end of a trace is seen too. Nothing
here runs in a call that finds everything cached.

JAX calls listeners bare: a `Failure` that a watcher raises as a phase begins stops that
phase.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import CodeType, FrameType
from typing import Any, Protocol

import jax

from jaxdbg.compiles import signatures
from jaxdbg.compiles.control_flow import (
    Body,
    bodies_in,
    body_of,
    caller_of,
    has_bodies,
    is_asked_for,
)
from jaxdbg.compiles.equations import equations
from jaxdbg.compiles.signatures import Signature
from jaxdbg.errors import Failure
from jaxdbg.jax_internals.events import (
    CACHE_ASKED,
    CACHE_HIT,
    CACHE_SAVED,
    hear_traces,
    phase_of,
)
from jaxdbg.jax_internals.functions import (
    Function,
    as_called,
    function_of,
    only_calls_a_jitted,
)
from jaxdbg.jax_internals.interpose import is_ours
from jaxdbg.jax_internals.made_by_jax import operation_parameters
from jaxdbg.jax_internals.names import hide_from_tracebacks
from jaxdbg.jax_internals.stack import (
    JitTrace,
    Stack,
    ended_with_error,
    read_jit_trace,
    read_other_trace,
    read_stack,
    traced_jaxpr,
)
from jaxdbg.jax_internals.stand_ins import original
from jaxdbg.jax_internals.user_frames import outward
from jaxdbg.records.equations import Equations
from jaxdbg.records.source import SourceFrame

RECORDING = "recording compilations"
"""What jaxdbg does here, for the notice where it breaks."""


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
        failed, ended: whether it raised, whether it is over.
        is_alike: a function of one call that is called as another one is, as two
            lambdas on a line.
        hidden: a trace that a library makes inside another trace: part of that.
        reason: why it runs again; the recorder finds it.
        equations: of a trace that is no part of another, what was counted in it.
    """

    __slots__ = (
        "cache",
        "cell",
        "duration",
        "ended",
        "equations",
        "failed",
        "fun",
        "function",
        "hidden",
        "inside",
        "is_alike",
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
        around: Stack,
        parent: Phase | None,
    ):
        self.phase = phase
        self.function = function = signature.function
        outer = parent.function.name if parent is not None else ""
        self.signature = signatures.placed_at(signature, around, outer)
        self.role = around.role
        self.source: SourceFrame | None = around.source
        self.cell = around.cell
        self.parent = parent
        self.fun: Any = None
        self.is_alike = False
        self.thread = threading.current_thread().name
        self.start = time.time()
        self.duration = 0.0
        self.inside = 0.0
        self.cache, self.saved = "off", 0.0
        self.failed = self.ended = False
        self.hidden = phase == "trace" and parent is not None and not function.user
        self.reason: Any = None
        self.equations: Equations | None = None

    def let_go(self) -> None:
        """Forgets the signature, which may be large."""
        self.signature = signatures.of_name(self.function)


class PhaseWatcher(Protocol):
    """Hears of phases as they happen."""

    def began(self, phase: Phase) -> None:
        """A phase begins; a `Failure` raised here stops it."""

    def ended(self, phase: Phase) -> None:
        """A phase that began has ended, well or not.

        A `Failure` raised here at the end of a compilation stops the call.
        """

    def broke(self, doing: str, error: Exception) -> None:
        """A part of jaxdbg broke; the user's program runs on."""

    def lost(self, doing: str, error: Exception) -> None:
        """As `broke`, and a phase may not be counted for it."""


@dataclass(frozen=True, slots=True)
class _RunningBody:
    """A function that is traced for control flow, by the ids of running frames."""

    phase: Phase
    frame: _FrameKey
    caller: _FrameKey


_FrameKey = tuple[int, CodeType]


def _frame_key(frame: FrameType) -> _FrameKey:
    """Tells a running frame from others, and does not keep what it holds alive."""
    return id(frame), frame.f_code


class _Here(threading.local):
    """What goes on in one thread.

    Attributes:
        open: the phases that run, the outermost first.
        traced: of each running call of JAX's tracing function, the signature it took.
        lowered: the signature of the call that was lowered last, until it compiles.
        bodies: what was traced for control flow, until that runs.
        body, caller: of these, the one that is traced now, and the frame of the control
            flow.
    """

    def __init__(self) -> None:
        self.open: list[Phase] = []
        self.traced: list[Signature | None] = []
        self.lowered: tuple[Any, Signature] | None = None
        self.bodies: list[tuple[str, Body]] = []
        self.body: _RunningBody | None = None
        self.caller: _FrameKey | None = None


_signatures: weakref.WeakKeyDictionary[Any, Signature] = weakref.WeakKeyDictionary()
"""Of each jaxpr, what it was traced for."""


class Listener:
    """Tells a watcher of each trace, lowering and compilation of every thread.

    From `start` to `stop`; once only. Both take some microseconds in all: a function
    with a budget does that at each call.
    """

    def __init__(self, watcher: PhaseWatcher):
        self._watcher = watcher
        self._here = _Here()
        # Bound methods are made anew each time: JAX unregisters by identity.
        self._listeners = (
            self._safely(self._begin),
            self._safely(self._event),
            self._safely(self._end),
        )
        self._stop: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Listens from now on."""
        hide_from_tracebacks()
        self._stop = hear_traces(self._safely(self._heard), self._wrapped)
        begin, event, end = self._listeners
        monitoring = jax.monitoring
        monitoring.register_scalar_listener(begin)
        monitoring.register_event_listener(event)
        monitoring.register_event_duration_secs_listener(end)

    def stop(self) -> None:
        """Leaves JAX as it was."""
        self._stop()
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

        def safe(*args: Any, **kwargs: Any) -> None:
            try:
                listener(*args, **kwargs)
            except _Stop as stop:
                raise stop.failure from None
            except Exception as error:
                self._watcher.lost(RECORDING, error)

        return safe

    # -- lowerings and compilations --------------------------------------------------

    def _begin(self, event: str, value: float, **kwargs: Any) -> None:
        kind = phase_of(event)
        if kind is None or is_ours():
            return
        frame = sys._getframe(1)
        self._close_body(frame)
        around = read_stack(frame)
        signature = self._of_call(kind, around, str(kwargs["fun_name"]), frame)
        phase = self._open(kind, signature, around)
        if kind == "lower":
            self._here.lowered = _key(around), phase.signature

    def _end(self, event: str, duration_secs: float, **kwargs: Any) -> None:
        if event == CACHE_SAVED and self._here.open and not is_ours():
            self._here.open[-1].saved = duration_secs
        kind = phase_of(event)
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
        if event not in (CACHE_HIT, CACHE_ASKED) or is_ours() or not self._here.open:
            return
        phase = self._here.open[-1]
        if event == CACHE_HIT:
            phase.cache = "hit"
        elif jax.config.values["jax_compilation_cache_dir"] and phase.cache == "off":
            phase.cache = "miss"

    def _of_call(
        self, kind: str, around: Stack, fun_name: str, frame: FrameType
    ) -> Signature:
        if kind == "compile" and self._here.lowered is not None:
            key, signature = self._here.lowered
            self._here.lowered = None
            if key == _key(around):
                return signature
        jaxpr = _jaxpr_of(around)
        if jaxpr is None:
            return _lowered_before(around, fun_name)
        fun = original(around.function)
        known = _signatures.get(jaxpr)
        if known is None and around.derived is not None:
            # A region runs what it made of the user's jaxpr.
            jaxpr = around.derived.params["jaxpr"]
            known = _signatures.get(jaxpr)
        if known is None:
            function = as_called(function_of(jaxpr.debug_info), fun, frame)
            known = signatures.of_jaxpr(function, jaxpr, fun)
        return signatures.lowered(known, around)

    # -- traces ----------------------------------------------------------------------

    def _wrapped(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        ended = self._safely(self._trace_ended)
        close_body = self._safely(self._close_body)

        def trace_for_jit(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True  # IPython shows no frame of ours
            here = self._here
            if here.body is not None:
                close_body(sys._getframe(1))
            depth = len(here.open)
            here.traced.append(None)
            try:
                result = plain(*args, **kwargs)
            except BaseException:
                ended(depth, None)
                raise
            ended(depth, result)
            return result

        trace_for_jit.__wrapped__ = plain  # type: ignore[attr-defined]
        return trace_for_jit

    def _trace_ended(self, depth: int, result: Any) -> None:
        signature = self._here.traced.pop()
        begun = self._here.open[depth : depth + 1]
        self._close_to(depth, failed=result is None)
        if result is None:
            return
        for phase in begun:
            if phase.parent is None and phase.function.user:
                phase.equations = self._counted(result)
        if signature is not None:
            _remember(result, signature)

    def _counted(self, result: Any) -> Equations | None:
        try:
            return equations(traced_jaxpr(result))
        except Exception as error:
            self._watcher.broke("counting equations", error)
            return None

    def _heard(self, frame: FrameType) -> None:
        if is_ours():
            return
        trace = read_jit_trace(frame)
        if trace is not None:
            self._trace_began(trace)
        elif (other := read_other_trace(frame)) is not None:
            self._body_began(other, frame)

    def _trace_began(self, trace: JitTrace) -> None:
        here, callee = self._here, trace.fun
        fun = original(callee)
        function = as_called(function_of(trace.debug_info), fun, trace.caller)
        if here.open and not function.user:
            self._open("trace", Signature(function), Stack(), callee)
            return
        around = read_stack(trace.caller)
        signature = signatures.of_trace(function, replace(trace, fun=fun), around)
        parameters = operation_parameters(fun)
        if parameters is not None and has_bodies(parameters):
            bodies, here.bodies = bodies_in(parameters, here.bodies), []
            if bodies:
                # The traces of these functions are those in which Python runs.
                call = signatures.of_control_flow(signature, parameters, bodies)
                here.traced[-1:] = [call] if here.traced else []
                return
        # Of a function that only calls a jitted one, the trace of that is the one in
        # which Python runs.
        if not only_calls_a_jitted(fun):
            signature = self._open("trace", signature, around, callee).signature
        if here.traced:
            here.traced[-1] = signature

    def _body_began(self, trace: JitTrace, frame: FrameType) -> None:
        """Control flow outside of jit has a function of the user's traced."""
        here = self._here
        self._close_body(frame.f_back)
        if here.open or here.traced or not is_asked_for(trace.caller):
            return
        trace = replace(trace, fun=original(trace.fun))
        body, caller = body_of(trace), caller_of(trace.caller)
        if body is None or caller is None:
            return
        if here.caller != _frame_key(caller):
            here.caller, here.bodies = _frame_key(caller), []
        signature = signatures.of_body(body, trace)
        names = [known.function for _, known in here.bodies]
        phase = self._open(
            "trace", signature, read_stack(frame), body.given, body.function in names
        )
        here.bodies.append((str(trace.debug_info.func_src_info), body))
        here.body = _RunningBody(phase, _frame_key(frame), _frame_key(caller))

    def _close_body(self, frame: FrameType | None) -> None:
        """Closes the trace of a body that is over; nothing of JAX's says when."""
        here, running = self._here, self._here.body
        if running is None:
            return
        on_stack = {_frame_key(one) for one in outward(frame)}
        if running.frame in on_stack:
            return
        here.body = None
        phase = running.phase
        # Later than in the call that has asked for it, nobody knows how long it took.
        is_next = running.caller in on_stack
        ended = time.time() - phase.start if is_next else phase.inside
        while phase in here.open:
            last = here.open[-1]
            self._close(last, False, ended if last is phase else None)
        if not is_next:
            here.bodies = []

    # -- both ------------------------------------------------------------------------

    def _open(
        self,
        kind: str,
        signature: Signature,
        around: Stack,
        fun: Any = None,
        is_alike: bool = False,
    ) -> Phase:
        stack = self._here.open
        phase = Phase(kind, signature, around, stack[-1] if stack else None)
        phase.fun, phase.is_alike = fun, is_alike
        try:
            self._watcher.began(phase)
        except Failure as failure:
            raise _Stop(failure) from None
        except Exception as error:
            self._watcher.lost(RECORDING, error)
        finally:
            phase.fun = None
        # A phase that was stopped has no end: it is on the stack only from here on.
        if not phase.hidden:
            phase.start = time.time()
            stack.append(phase)
        return phase

    def _close_to(self, depth: int, failed: bool) -> None:
        while len(self._here.open) > depth:
            self._close(self._here.open[-1], failed)

    def _close(self, phase: Phase, failed: bool, duration: float | None = None) -> None:
        self._here.open.pop()
        if duration is None:
            duration = time.time() - phase.start
        phase.duration = max(0.0, duration)  # the clock may be set back
        phase.failed = failed
        phase.ended = True
        if phase.parent is not None:
            phase.parent.inside += phase.duration
        try:
            self._watcher.ended(phase)
        except Failure as failure:
            raise _Stop(failure) from None
        except Exception as error:
            self._watcher.lost(RECORDING, error)


class _Stop(BaseException):
    """Carries what a watcher raises out to JAX; nothing of ours may catch it."""

    def __init__(self, failure: Failure):
        super().__init__()
        self.failure = failure


def bare(fun_name: str) -> str:
    """`f` for `jit(f)` and `jit_f`."""
    return fun_name.removeprefix("jit(").removeprefix("jit_").removesuffix(")")


def _jaxpr_of(around: Stack) -> Any:
    call = around.lowering or around.executing
    return call.jaxpr if call is not None else None


def _lowered_before(around: Stack, fun_name: str) -> Signature:
    """The compilation of what was lowered ahead of time, or of what nobody knows."""
    info = around.compiled
    if info is None:
        return signatures.of_name(Function(bare(fun_name), ""))
    return signatures.of_lowered(function_of(info.debug_info), info)


def _key(around: Stack) -> tuple[int, int]:
    """Tells one call from the next, as long as it runs."""
    call = around.executing
    return (id(call.args), id(call.jaxpr)) if call is not None else (0, 0)


def _remember(result: Any, signature: Signature) -> None:
    # A result of another form costs the signature of what compiles next, not the call.
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        _signatures[traced_jaxpr(result)] = signature
