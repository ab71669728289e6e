"""The open regions, and the hooks that are installed as long as there is one."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import jax

from jaxdbg.checks.budgets import exceeded
from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.checker import Checker
from jaxdbg.checks.failure_messages import failed_check
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.raising import raise_unless_recorded
from jaxdbg.checks.session import Session
from jaxdbg.checks.watch.watcher import Watcher
from jaxdbg.compiles.listener import Phase, bare
from jaxdbg.compiles.recorder import recorder
from jaxdbg.errors import Failure
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals import interpose
from jaxdbg.jax_internals.chex.assertions import ChexMode, live_assertions
from jaxdbg.jax_internals.chex.under_vmap import has_checks
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.interpose import Invocation
from jaxdbg.jax_internals.names import executable_name
from jaxdbg.jax_internals.requirements import all_missing, missing
from jaxdbg.jax_internals.stack import function_called

AOT = "<ahead of time>"
"""The source of a function that is known by the name of its executable only."""


class OpenRegion(Protocol):
    """What the hub asks of a region."""

    checker: Checker
    watcher: Watcher

    @property
    def session(self) -> Session:
        """The records of the region."""

    def watches(self) -> bool:
        """Whether the current thread belongs to the region."""


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
            hub.broke("counting traces and compilations", error)

    return safe  # type: ignore[return-value]


class Hub:
    """The open regions, and the hooks that are there as long as one is."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: list[OpenRegion] = []
        self._hooks: contextlib.ExitStack | None = None
        self._chex = ChexMode(self._check_failed_eagerly)

    def open(self, region: OpenRegion) -> None:
        """Adds a region; the first one installs the hooks."""
        with self._lock:
            self._open = [*self._open, region]
            if self._hooks is None:
                try:
                    self._install(region)
                except Exception as error:  # then the program runs on unchecked
                    self.broke("installing its hooks", error)

    def close(self, region: OpenRegion) -> None:
        """Removes a region; the last one removes the hooks."""
        with self._lock:
            self._open = [r for r in self._open if r is not region]
            if not self._open and self._hooks is not None:
                hooks, self._hooks = self._hooks, None
                try:
                    hooks.close()
                except Exception as error:
                    region.session.broke("removing its hooks", error)

    def regions(self) -> tuple[OpenRegion, ...]:
        """The open regions, from the first to the last."""
        return tuple(self._open)

    def _install(self, region: OpenRegion) -> None:
        self._chex = ChexMode(self._check_failed_eagerly)
        with contextlib.ExitStack() as hooks:
            loaded()  # a library that is loaded declares what is needed of it
            for lost in all_missing():
                region.session.notice(f"{lost}.")
            if not missing("interpose"):
                hooks.enter_context(interpose.interposed(self))
            hooks.enter_context(recorder().running(self))
            hooks.enter_context(live_assertions(self._chex))
            self._hooks = hooks.pop_all()

    def _watching(self) -> list[OpenRegion]:
        return [r for r in self._open if r.watches()]

    # -- the handler of calls --------------------------------------------------------

    def jitted(self, call: Invocation) -> list[Any]:
        try:
            return self._checked(call)
        except Failure:
            raise
        except Exception as error:
            if error is call.error:
                raise
            self.broke(f"checking {call.params.get('name')}", error)
            return call.answer()

    def _checked(self, call: Invocation) -> list[Any]:
        watching = self._watching()
        if not watching:
            return call.execute(call.args)
        jaxpr = call.params["jaxpr"]
        if has_checks(jaxpr):
            self._chex.called_with_checks(sys._getframe())
        function = function_called(jaxpr.jaxpr.debug_info, sys._getframe())
        which = _counted(watching, function)
        watching[-1].watcher.begins(which, call)
        return watching[-1].checker.jitted(call, which)

    def compiled(
        self, run: Callable[..., Any], compiled: Any, args: Any, kwargs: Any
    ) -> Any:
        watching = self._watching()
        if not watching:
            return run(*args, **kwargs)
        name = executable_name(compiled) or "AOT function"
        function = Function(bare(name), AOT)
        which = _counted(watching, function)
        leaves, tree = jax.tree.flatten((args, kwargs))

        def run_with(copies: Sequence[Any]) -> Any:
            args, kwargs = jax.tree.unflatten(tree, copies)
            return run(*args, **kwargs)

        donated = compiled.donate_argnums
        return watching[-1].checker.compiled(run_with, which, leaves, donated)

    def _check_failed_eagerly(self, exception: Any) -> None:
        watching = self._watching()
        if watching:
            judgement = Judgement(failed_check(exception, None))
            raise_unless_recorded(watching[-1].session, [judgement])

    # -- the watcher of phases -------------------------------------------------------

    @_reported_as_ours
    def began(self, phase: Phase) -> None:
        if phase.phase == "trace":
            self._chex.traced(phase.fun)
        watching = self._watching()
        for n, region in enumerate(watching, 1):
            try:
                _begin(region.session, phase)
            except Failure:
                for counted in watching[:n]:
                    counted.session.refused(phase)
                raise

    @_reported_as_ours
    def ended(self, phase: Phase) -> None:
        for region in self._watching():
            region.session.ended(phase)

    def broke(self, doing: str, error: Exception) -> None:
        """A part of jaxdbg broke: each open region says so."""
        for region in self._open:
            region.session.broke(doing, error)


def _begin(session: Session, phase: Phase) -> None:
    """Counts a phase in a region; raises if that is one too many."""
    failure = exceeded(session, phase, session.counted(phase))
    if failure is not None:
        raise_unless_recorded(session, [Judgement(failure)])
    session.began(phase)


def _counted(watching: Sequence[OpenRegion], function: Function) -> Call:
    """Counts a call in each region, and says which it is in the innermost."""
    session = watching[-1].session
    for region in watching[:-1]:
        region.session.called(function)
    return Call(function, session.called(function), session.scope)


hub = Hub()
"""The hub of this process."""
