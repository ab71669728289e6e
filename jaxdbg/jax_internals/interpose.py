"""The seam: every top-level jitted call of the region, before and after it runs.

Inside a region a config state of ours, part of jit's dispatch key, makes calls miss
the C++ fast path; JAX then comes to `_pjit_call_impl_python`, which is ours for the
region. We answer without an executable, so that JAX installs no fast path for what
happens here, and the fast path of the plain program is found again afterwards.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

from jaxdbg.errors import Failure, is_own_file
from jaxdbg.jax_internals.config import region_state
from jaxdbg.jax_internals.interrupts import HeldBack
from jaxdbg.jax_internals.neutral import put_to_neutral, put_to_neutral_for_outputs
from jaxdbg.jax_internals.requirements import missing, private
from jaxdbg.jax_internals.user_frames import outward

_CALL_IMPL = private("jax._src.pjit._pjit_call_impl", "interpose")
_CALL_IMPL_PYTHON = private("jax._src.pjit._pjit_call_impl_python", "interpose")
_COMPILED_CALL = private("jax._src.stages.Compiled.__call__", "aot")
_LOOK_FOR_BAD = private(
    "jax._src.dispatch.check_special",
    "contexts",
    "jax.debug_nans() does not look at calls of a region with checks in them",
)


class Invocation:
    """One top-level call of a jitted function, not yet run.

    Attributes:
        args: the flat arguments, the very objects the caller holds.
        params: what JAX knows of the call: `jaxpr`, `name`, `donated_invars`, ...
        error: what running it raised: the user's error, not one of ours.
    """

    __slots__ = ("_answer", "args", "error", "params")

    def __init__(self, args: tuple[Any, ...], params: dict[str, Any]):
        self._answer: list[Any] | None = None
        self.args = args
        self.params = params
        self.error: BaseException | None = None

    def execute(self, args: tuple[Any, ...]) -> list[Any]:
        """Runs the call as JAX would."""
        self._answer = outs = self.run_with(args, self.params)
        return outs

    def execute_changed(
        self, args: tuple[Any, ...], changed: dict[str, Any], users: slice
    ) -> list[Any]:
        """Runs the call with some of its parameters changed.

        Arguments:
            users: which of the outputs are the user's: those that JAX looks at, where
                it is to look for NaN.
        """
        with put_to_neutral_for_outputs():
            outs = self.run_with(args, {**self.params, **changed})
        self._look_for_bad(outs[users])
        return outs

    def run_with(self, args: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
        """Runs a call with these parameters as JAX would."""
        self._answer = None
        try:
            # What JAX does with a jit that it meets while it evaluates: this finds the
            # fast path again, and costs a tenth of the way through Python.
            with _Running():
                outs: list[Any] = _CALL_IMPL.get()(*args, **params)
        except BaseException as error:
            self.error = error
            raise
        return outs

    def _look_for_bad(self, outs: list[Any]) -> None:
        """What JAX does after a call under `jax.debug_nans` and `jax.debug_infs`."""
        if _LOOK_FOR_BAD.absent:
            return
        shards = (getattr(out, "addressable_shards", ()) for out in outs)
        arrays = [shard.data for of_one in shards for shard in of_one]
        try:
            _LOOK_FOR_BAD.get()(f"jit({self.params['name']})", arrays)
        except BaseException as error:
            self.error = error
            raise

    @property
    def has_run(self) -> bool:
        """Whether it ran, and to its end."""
        return self._answer is not None

    def answer(self) -> list[Any]:
        """What the plain program gives for this call; runs it where it did not run."""
        return self.execute(self.args) if self._answer is None else self._answer


class Handler(Protocol):
    """Who is asked about each call of a region."""

    def jitted(self, call: Invocation) -> list[Any]:
        """Runs a jitted call and returns its flat outputs."""

    def compiled(
        self, run: Callable[..., Any], compiled: Any, args: Any, kwargs: Any
    ) -> Any:
        """Runs a call of an AOT-compiled function and returns its result."""

    def lost(self, doing: str, error: BaseException) -> None:
        """A part of jaxdbg broke, so that a call was not checked."""

    def answer(self, call: Invocation) -> list[Any]:
        """What the user gets from a call that is not checked."""


class _Run:
    """Runs an AOT-compiled function, and knows what came of it."""

    def __init__(self, plain: Callable[..., Any]):
        self._plain = plain
        self.results: list[Any] = []
        self.error: BaseException | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = self._plain(*args, **kwargs)
        except BaseException as error:
            self.error = error
            raise
        self.results = [result]
        return result


def _is_of_ours(error: BaseException, call: Invocation | _Run) -> bool:
    """Whether a call has raised what neither its running raised nor an interrupt is."""
    if _here.running:  # an interrupt has cut off an end: here nothing of ours runs
        _reset()
    # Its traceback leads back to the call: what its frames hold would live on.
    raised, call.error = call.error, None
    return isinstance(error, Exception) and error is not raised


class _Here(threading.local):
    """The state of one thread.

    Attributes:
        ours: how many pieces of work of jaxdbg's own run, one in the other.
        running: how many calls go JAX's own way.
        undo: what puts back the user's settings that are neutral now.
        state: what the region's state is in this thread without us.
    """

    def __init__(self) -> None:
        self.ours = self.running = 0
        self.undo: list[contextlib.ExitStack] = []
        self.state: Any = None


def heal() -> None:
    """Ends work of ours that is over, and of which an interrupt has cut off the end.

    For where a region begins or ends: else its calls would go JAX's own way.
    """
    if _here.running and not _is_inside_ours(sys._getframe(1)):
        _reset()


def _reset() -> None:
    _here.ours = _here.running = 0
    region_state().set_local(_here.state)
    while _here.undo:
        _here.undo.pop().close()


def _is_inside_ours(frame: FrameType | None) -> bool:
    """Whether what called jaxdbg was itself called by it, as in a trace of ours."""
    ours = (is_own_file(one.f_code.co_filename) for one in outward(frame))
    return any(itertools.dropwhile(bool, ours))


_here = _Here()


def our_own_work() -> contextlib.AbstractContextManager[None]:
    """What runs inside is jaxdbg's own use of JAX.

    It is neither checked nor counted, and what the user has set for their program
    (`jax.no_tracing`, `jax.transfer_guard`) does not concern it.
    """
    return _OurOwnWork()


def unheard() -> contextlib.AbstractContextManager[None]:
    """What runs inside is neither checked nor counted; the user's settings hold."""
    return _Running(ours=1)


def is_ours() -> bool:
    """Whether this thread is inside `our_own_work`."""
    return _here.ours > 0


class _Running:
    """Calls of this thread go JAX's own way, as outside of any region.

    A class, since it is entered several times in each call: a generator takes longer.
    """

    __slots__ = ("_before", "_ours", "_state")

    def __init__(self, ours: int = 0):
        self._ours = ours

    def __enter__(self) -> None:
        # In this order: what an interrupt cuts off is seen by the count, see `heal`.
        _here.running += 1
        _here.ours += self._ours
        self._state = region_state()
        self._before = self._state.swap_local(False)
        if _here.running == 1:
            _here.state = self._before

    def __exit__(self, *_: object) -> None:
        self._state.set_local(self._before)
        _here.ours -= self._ours
        _here.running -= 1


class _OurOwnWork(_Running):
    """See `our_own_work`."""

    __slots__ = ("_undo",)

    def __init__(self) -> None:
        super().__init__(ours=1)

    def __enter__(self) -> None:
        self._undo = put_to_neutral(_here.undo)
        super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._undo is not None:
            with HeldBack():
                self._undo.close()
                _here.undo.remove(self._undo)


@contextlib.contextmanager
def interposed(handler: Handler) -> Iterator[None]:
    """Sends every top-level jitted call of every thread through `handler`."""
    with contextlib.ExitStack() as undo:
        undo.enter_context(_jit(handler))
        if not missing("aot"):
            undo.enter_context(_aot(handler))
        yield


@contextlib.contextmanager
def _jit(handler: Handler) -> Iterator[None]:
    state, plain = region_state(), _CALL_IMPL_PYTHON.get()

    def call_impl(*args: Any, **params: Any) -> tuple[Any, ...]:
        if _here.running:
            return plain(*args, **params)  # type: ignore[no-any-return]
        call = Invocation(args, params)
        try:
            return handler.jitted(call), None, None, []
        except Failure:
            raise
        except BaseException as error:
            if not _is_of_ours(error, call):
                raise
            handler.lost("checking a call", error)
        return _not_checked(call), None, None, []

    def _not_checked(call: Invocation) -> list[Any]:
        try:
            return handler.answer(call)
        except BaseException as error:
            if not _is_of_ours(error, call):
                raise
        # Without what JAX would install for the next call, which nobody would see.
        outs: list[Any] = plain(*call.args, **call.params)[0]
        return outs

    call_impl.__wrapped__ = plain  # type: ignore[attr-defined]
    before = state.get_global()
    _CALL_IMPL_PYTHON.put(call_impl)
    state.set_global(True)
    try:
        yield
    finally:
        state.set_global(before)
        _CALL_IMPL_PYTHON.put(plain)


@contextlib.contextmanager
def _aot(handler: Handler) -> Iterator[None]:
    plain = _COMPILED_CALL.get()

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _here.running:
            return plain(self, *args, **kwargs)

        run = _Run(functools.partial(plain, self))
        try:
            return handler.compiled(run, self, args, kwargs)
        except Failure:
            raise
        except BaseException as error:
            if not _is_of_ours(error, run):
                raise
            handler.lost("checking an AOT call", error)
            return run.results[0] if run.results else run(*args, **kwargs)

    _COMPILED_CALL.put(call)
    try:
        yield
    finally:
        _COMPILED_CALL.put(plain)
