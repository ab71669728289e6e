"""The open regions, and the hooks that are installed as long as there is one."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from jaxdbg.checks.budgets import exceeded, too_long
from jaxdbg.checks.calls.aot_call import AotCall
from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.checker import BROKE, INTERRUPTED, Checker
from jaxdbg.checks.failure_messages import (
    CHEXIFIED,
    failed_check,
    failed_on_host,
)
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.ownership import enter, handed_on, leave, regions_here
from jaxdbg.checks.plan import without_checks
from jaxdbg.checks.raising import raise_unless_recorded
from jaxdbg.checks.session import Session
from jaxdbg.checks.watch.watcher import Watcher
from jaxdbg.compiles.listener import Phase, bare
from jaxdbg.compiles.recorder import recorder
from jaxdbg.errors import Failure
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals import interpose, no_tracing
from jaxdbg.jax_internals.chex.assertions import live_assertions
from jaxdbg.jax_internals.chex.mode import ChexMode
from jaxdbg.jax_internals.chex.under_vmap import has_checks
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.interpose import Invocation
from jaxdbg.jax_internals.interrupts import HeldBack
from jaxdbg.jax_internals.names import executable_name
from jaxdbg.jax_internals.requirements import all_missing, missing
from jaxdbg.jax_internals.stack import function_called
from jaxdbg.trees.asserted_names import leaf_names

UNCHECKED_WITHOUT = ("interpose", "aot", "chex")
"""The capabilities without which something goes unchecked."""

AOT = "<ahead of time>"
"""The source of a function that is known by the name of its executable only."""


class OpenRegion(Protocol):
    """What the hub asks of a region."""

    number: int
    is_open: bool
    checker: Checker
    watcher: Watcher
    session: Session


_M = TypeVar("_M", bound=Callable[..., None])


def _reported_as_ours(listener: _M) -> _M:
    """JAX calls listeners bare: what breaks in one would be the user's crash."""

    @functools.wraps(listener)
    def safe(hub: Hub, *args: Any) -> None:
        try:
            listener(hub, *args)
        except Failure:
            raise
        except Exception as error:
            hub.lost("counting traces and compilations", error)

    return safe  # type: ignore[return-value]


class Hub:
    """The open regions, and the hooks that are there as long as one is."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Weakly: a region that nobody holds any more can never be closed.
        self._open: tuple[weakref.ref[OpenRegion], ...] = ()
        self._hooks: contextlib.ExitStack | None = None
        self._chex = self._chex_mode()

    def open(self, region: OpenRegion) -> None:
        """Adds a region to this context; the first one installs the hooks."""
        with HeldBack(), self._lock:
            numbers = {r.number for r in self.regions()}
            self._open = (*map(weakref.ref, self.regions()), weakref.ref(region))
            enter(region.number, numbers.__contains__)
            if self._hooks is None:
                try:
                    self._install(region)
                except Exception as error:  # then the program runs on unchecked
                    self._broke("installing its hooks", error, [region])
                    region.session.unchecked(BROKE, calls=0)

    def close(self, region: OpenRegion) -> None:
        """Removes a region; the last one removes the hooks."""
        with HeldBack(), self._lock:
            leave(region.number)
            left = [r for r in self.regions() if r is not region]
            self._open = tuple(map(weakref.ref, left))
            try:
                self._remove_hooks_unless_open()
            except Exception as error:
                region.session.broke("removing its hooks", error)

    def regions(self) -> tuple[OpenRegion, ...]:
        """The open regions, from the first to the last."""
        found = [reference() for reference in self._open]
        return tuple(r for r in found if r is not None and r.is_open)

    def _remove_hooks_unless_open(self) -> None:
        """Also for a region that ended, and whose end was cut short."""
        with self._lock:
            if self._hooks is not None and not self.regions():
                hooks, self._hooks = self._hooks, None
                hooks.close()

    def _chex_mode(self) -> ChexMode:
        return ChexMode(
            self._check_failed_eagerly,
            failed_on_host,
            self._chexify_found,
            self._is_in_region,
            self.lost,
            leaf_names,
        )

    def _is_in_region(self) -> bool:
        try:
            return bool(self.watching())
        except Exception as error:
            self.lost("looking for the region of a call", error)
            return False

    def _install(self, region: OpenRegion) -> None:
        self._chex = self._chex_mode()
        with contextlib.ExitStack() as hooks:
            loaded()  # a library that is loaded declares what is needed of it
            for lost in all_missing():
                region.session.notice(f"{lost}.")
                if lost.capability in UNCHECKED_WITHOUT:
                    region.session.unchecked(lost.lost, calls=0)
            if not missing("interpose"):
                hooks.enter_context(interpose.interposed(self))
                hooks.enter_context(no_tracing.refused_as_plain(has_checks))
            hooks.enter_context(handed_on())
            hooks.enter_context(recorder().running(self))
            hooks.enter_context(live_assertions(self._chex))
            self._hooks = hooks.pop_all()

    def watching(self) -> list[OpenRegion]:
        """The open regions that what is called here belongs to."""
        here = regions_here()
        return [r for r in self.regions() if r.number in here]

    # -- the handler of calls --------------------------------------------------------

    def jitted(self, call: Invocation) -> list[Any]:
        watching, which = self.watching(), None
        if not watching:
            self._remove_hooks_unless_open()
            return call.execute(call.args)
        try:
            watching[-1].checker.begins(call)
            watching[-1].checker.look_at_libraries(call.args)
            which = _counted(watching, self._function(call.params["jaxpr"]))
            watching[-1].watcher.begins(which, call)
            return watching[-1].checker.jitted(call, which)
        except Failure:
            raise
        except BaseException as error:
            name = str(call.params.get("name"))
            if not self._broke_at(name, call, watching, which, error):
                raise
        return self.answer(call)

    def answer(self, call: Invocation) -> list[Any]:
        """What the user gets from a call that is not checked."""
        if call.has_run or not has_checks(call.params["jaxpr"]):
            return call.answer()
        return without_checks(call)

    def compiled(
        self, run: Callable[..., Any], compiled: Any, args: Any, kwargs: Any
    ) -> Any:
        watching = self.watching()
        if not watching:
            self._remove_hooks_unless_open()
            return run(*args, **kwargs)
        which, call = None, AotCall(run, args, kwargs)
        try:
            name = executable_name(compiled) or "AOT function"
            which = _counted(watching, Function(bare(name), AOT))
            donated = compiled.donate_argnums
            return watching[-1].checker.compiled(call, which, donated)
        except Failure:
            raise
        except BaseException as error:
            if not self._broke_at("an AOT call", call, watching, which, error):
                raise
        return call.answer()

    def _function(self, jaxpr: Any) -> Function:
        frame = sys._getframe(1)
        if has_checks(jaxpr):
            self._chex.called_with_checks(frame)
        return function_called(jaxpr.jaxpr.debug_info, frame)

    def _broke_at(
        self,
        name: str,
        call: Invocation | AotCall,
        watching: Sequence[OpenRegion],
        which: Call | None,
        error: BaseException,
    ) -> bool:
        """Whether a part of jaxdbg raised at a call; notes what that means."""
        is_exception = isinstance(error, Exception)
        if is_exception and error is call.error:
            return False
        call.error = None  # it leads back to the call, which then would live on
        why = BROKE if is_exception else INTERRUPTED
        for region in watching:
            region.session.unchecked(why, beside=which is None)
        if is_exception:
            self._broke(f"checking {name}", error, watching)
        return is_exception

    def _check_failed_eagerly(self, exception: Any) -> None:
        watching = self.watching()
        if watching:
            judgement = Judgement(failed_check(exception, None))
            raise_unless_recorded(watching[-1].session, [judgement])

    def _chexify_found(self, exception: Any) -> Any:
        return (
            failed_check(exception, None, where=CHEXIFIED) if self.watching() else None
        )

    # -- the watcher of phases -------------------------------------------------------

    @_reported_as_ours
    def began(self, phase: Phase) -> None:
        if phase.phase == "trace":
            self._chex.traced(phase.fun)
        watching = self.watching()
        for n, region in enumerate(watching, 1):
            try:
                _begin(region.session, phase)
            except Failure:
                for counted in watching[:n]:
                    counted.session.refused(phase)
                raise

    @_reported_as_ours
    def ended(self, phase: Phase) -> None:
        watching = self.watching()
        for region in watching:
            region.session.ended(phase)
        if phase.phase == "compile" and not phase.failed:
            for region in watching:
                _stop_if_too_long(region.session, phase)

    def broke(self, doing: str, error: BaseException) -> None:
        """A part of jaxdbg broke: the regions that watch say so."""
        try:
            self._broke(doing, error, self.watching())
        except Exception:  # also what says whose a call is has broken
            self.lost(doing, error)

    def lost(self, doing: str, error: BaseException) -> None:
        """A part of jaxdbg broke, and of which region that is is not known."""
        for reference in self._open:
            if (region := reference()) is not None:
                region.session.broke(doing, error)
                region.session.unchecked(BROKE, calls=0)

    def _broke(
        self, doing: str, error: BaseException, regions: Sequence[OpenRegion]
    ) -> None:
        for region in regions:
            region.session.broke(doing, error)


def _begin(session: Session, phase: Phase) -> None:
    """Counts a phase in a region; raises if that is one too many."""
    failure = exceeded(session, phase, session.counted(phase))
    if failure is not None:
        raise_unless_recorded(session, [Judgement(failure)])
    if not phase.hidden:
        _stop_if_too_long(session, phase)
    session.began(phase)


def _stop_if_too_long(session: Session, phase: Phase) -> None:
    """Raises if compiling has taken longer than it may."""
    failure = too_long(session, phase)
    if failure is not None:
        raise_unless_recorded(session, [Judgement(failure)])


def _counted(watching: Sequence[OpenRegion], function: Function) -> Call:
    """Counts a call in each region, and says which it is in the innermost."""
    session = watching[-1].session
    for region in watching[:-1]:
        region.session.called(function)
    return Call(function, session.called(function), session.scope)


hub = Hub()
"""The hub of this process."""
