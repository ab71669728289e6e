"""A checked region: one mechanism behind `%%checked`, `with`, and the decorator."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import jax

from jaxdbg.checks import failure_messages as findings
from jaxdbg.checks.afterwards import kept_calls as held, rewind as rewinding
from jaxdbg.checks.afterwards.rewind import Rewound
from jaxdbg.checks.checker import Checker
from jaxdbg.checks.decorator import decorated
from jaxdbg.checks.session import Session
from jaxdbg.checks.watch.watcher import Watcher
from jaxdbg.compiles.listener import (
    Function,
    Phase,
    bare,
    function_called,
    is_user_file,
)
from jaxdbg.compiles.recorder import recorder
from jaxdbg.errors import Failure, UsageError, is_own_file
from jaxdbg.jax_internals import interpose, names as _compat
from jaxdbg.jax_internals.chex import assertions as chex_mode
from jaxdbg.jax_internals.chex.under_vmap import has_checks
from jaxdbg.jax_internals.interpose import Invocation, our_own_work
from jaxdbg.options import Options
from jaxdbg.records import Finding, Report
from jaxdbg.trees.names import Names, frame_namespaces

_F = TypeVar("_F", bound=Callable[..., Any])

_AOT = "<ahead of time>"
"""The source of a function that is known by the name of its executable only."""

_last: Report | None = None
_last_failing: Report | None = None


class Region:
    """The scope in which jitted code is checked.

    A context manager, and a decorator. A NaN or Inf that leaves a jitted call, a chex
    assertion or `checkify.check` that fails inside one, and a function that is traced
    or compiled over its budget, raise at the call.

        with jaxdbg.checked(record=True) as region:
            train(model, data)
        print(region.report)

        @jaxdbg.checked(max_traces=1)  # each call is a region of its own
        def evaluate(model): ...

    Arguments:
        max_traces: how often each function the user wrote may be traced, or a mapping
            from names to numbers.
        max_compiles: the same for compilations.
        every_op: check each intermediate value too.
        errors: more kinds of error to look for: "index" (a gather or scatter out of
            bounds), "div" (an integer divided by zero).
        async_: keep dispatch asynchronous; failures rise at a later call or at the end.
        record: collect failures, and let the program run on.
        keep_donation: do not copy donated arguments for the diagnosis: saves memory,
            but the diagnosis cannot show them.
        watch: names of trees of which a few numbers per leaf are kept over the calls,
            `"model,opt"`; by default of the NNX modules and optimizers that jitted
            calls are given.
        namespace: where names of arrays are looked up; the caller's by default.
        cell: IPython's number of the cell.
        options: in place of all that comes before `namespace`.

    Attributes:
        report: what the region has seen; final once it has ended.

    Raises:
        UsageError: an option has a value it cannot take.
    """

    def __init__(
        self,
        max_traces: int | Mapping[str, int] | None = None,
        max_compiles: int | Mapping[str, int] | None = None,
        every_op: bool = False,
        errors: Sequence[str] = (),
        async_: bool = False,
        record: bool = False,
        keep_donation: bool = False,
        watch: str | Sequence[str] = (),
        *,
        namespace: Mapping[str, Any] | None = None,
        cell: int | None = None,
        options: Options | None = None,
    ):
        if callable(max_traces):
            raise UsageError(
                "jaxdbg.checked takes options, and was given a function: write "
                "`@jaxdbg.checked()` above it, with parentheses."
            )
        self._options = options or Options(
            max_traces,
            max_compiles,
            every_op,
            errors if isinstance(errors, str) else tuple(errors),  # type: ignore[arg-type]
            async_,
            record,
            keep_donation,
            watch,  # type: ignore[arg-type]
        )
        self._namespace = namespace
        self._cell = cell
        self._session: Session | None = None
        self._final: Report | None = None

    @property
    def report(self) -> Report:
        """What the region has seen so far, or in all."""
        if self._final is not None:
            return self._final
        return self._session.report() if self._session else Report()

    def __enter__(self) -> Self:
        if self._session is not None and self._final is None:
            raise RuntimeError(
                "This region is already open. Make a new one with jaxdbg.checked(...) "
                "for a region inside it."
            )
        self._final = None
        self._session = Session(self._options, self._cell)
        self.checker = Checker(self._session, self._names)
        self.watcher = Watcher(self._session, self._names, self._options.watch)
        self._session.histories = self.watcher.histories
        # Threads that ran before belong to somebody else.
        self._strangers = weakref.WeakSet(threading.enumerate())
        self._strangers.discard(threading.current_thread())
        _hub.open(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        session = self._session
        assert session is not None, "left a region that was never entered"
        own = not isinstance(exc, Failure) or exc.finding in session.findings
        if isinstance(exc, Failure) and not own:  # of a region inside: wrong here too
            session.findings.append(exc.finding)
        try:
            late = self._late_failure(session, exc)
        finally:
            _hub.close(self)
            self.watcher.ends(exc)
            session.close(recorder().stale())
            self._final = _remember(session.report())
        if isinstance(exc, Failure):
            if own:
                exc.report = self._final
            end_in_user_code(exc)
        elif isinstance(exc, KeyboardInterrupt) and _stands_in_ours(exc):
            end_in_user_code(exc)
        if late is not None:
            late.report = self._final
            raise late.with_traceback(None) from None

    def __call__(self, function: _F) -> _F:
        """As a decorator: each call of the function is a region of its own."""
        if not callable(function):
            raise UsageError(
                "jaxdbg.checked() goes above a function, or into a `with`; "
                f"{type(function).__name__} cannot be called."
            )
        return decorated(function, self._again)  # type: ignore[return-value]

    @contextlib.contextmanager
    def left(self) -> Iterator[None]:
        """While this is open nothing is checked, as if the region had ended."""
        _hub.close(self)
        try:
            yield
        finally:
            _hub.open(self)

    def rewind(self) -> Rewound:
        """Puts arrays back to the values they had before the first failing call.

        After `record=True` or `async_=True` the program has run on, and the user's
        modules, optimizers and variables hold what came out of it. Each place that a
        checked call has overwritten gets back the array that the failing call was
        given; what the user has put somewhere stays. What is kept for this, and for
        how long, says `jaxdbg.checks.afterwards.kept_calls`.

        Returns:
            What was put back, and what was not, and why; as text, if printed.

        Raises:
            RuntimeError: the region found nothing, or what it kept is dropped.
        """
        found = self._found()
        if not found:
            raise RuntimeError("Nothing to rewind: this region has found nothing.")
        kept = [h for f, h in held.latest() if any(f is g for g in found)]
        return _rewound(kept, self._namespaces())

    def _found(self) -> Sequence[Finding]:
        return self._session.findings if self._session is not None else ()

    def _namespaces(self) -> list[Mapping[str, object]]:
        return [*frame_namespaces(), *([self._namespace] if self._namespace else [])]

    @property
    def session(self) -> Session:
        """The records of the open region."""
        assert self._session is not None, "the region was not entered"
        return self._session

    def watches(self) -> bool:
        """Whether the current thread belongs to the region."""
        return threading.current_thread() not in self._strangers

    def _again(self) -> Region:
        # A region is open once; a decorated function may call itself.
        return Region(namespace=self._namespace, cell=self._cell, options=self._options)

    def _late_failure(
        self, session: Session, exc: BaseException | None
    ) -> Failure | None:
        """What is known only now: of pending calls, or from a worker thread."""
        try:
            # After an interrupt nobody wants to wait.
            self.checker.drain(wait=exc is None or isinstance(exc, Exception))
        except Failure as failure:
            # The user's own error, or an interrupt, must not be hidden by ours.
            return failure if exc is None else None
        except Exception as error:
            session.broke("ending the region", error)
        unseen = session.in_threads if exc is None and not self._options.record else []
        return unseen[0] if unseen else None

    def _names(self) -> Names:
        return Names(*self._namespaces())


checked = Region
"""The name under which users know a region: `with jaxdbg.checked(): ...`."""


def rewind_last(namespace: Mapping[str, object]) -> Rewound:
    """`Region.rewind` for the region that failed last.

    Arguments:
        namespace: where the user's names are.

    Raises:
        RuntimeError: nothing has failed, or what was kept is dropped.
    """
    return _rewound([h for _, h in held.latest()], [namespace])


def _rewound(
    kept: Sequence[held.Held], namespaces: Sequence[Mapping[str, object]]
) -> Rewound:
    if not kept:
        raise RuntimeError(
            "Nothing to rewind with: nothing has failed, or what the failing calls "
            "were given is not kept any more. It is kept until a later checked region "
            "calls a jitted function."
        )
    with our_own_work():
        return rewinding.rewind(kept, namespaces)


def _remember(report: Report) -> Report:
    global _last, _last_failing
    _last = report
    _last_failing = report if report.findings else _last_failing
    return report


def last_report() -> Report | None:
    """The report of the region that ended last, or None."""
    return _last


def last_failing_report() -> Report | None:
    """The report of the region that ended last with a finding, or None."""
    return _last_failing


def block_until_checked() -> None:
    """Waits until everything that was called is checked.

    Raises the first failure that `--async` has left pending, in any open region, and
    what chex's own asynchronous checks have found.
    """
    for region in _hub.regions():
        region.checker.drain()
    if "chex" in sys.modules:
        sys.modules["chex"].block_until_chexify_assertions_complete()


def end_in_user_code(error: BaseException) -> None:
    """Cuts a traceback after the last frame of the user's, in place.

    Then the traceback ends in the line that the user wrote, and `%debug` stands there.
    """
    last, tb = None, error.__traceback__
    while tb is not None:
        if is_user_file(tb.tb_frame.f_code.co_filename):
            last = tb
        tb = tb.tb_next
    if last is not None:
        last.tb_next = None
    error.__cause__ = None
    error.__suppress_context__ = True
    notes = getattr(error, "__notes__", [])
    notes[:] = [n for n in notes if "JAX has removed its internal frames" not in n]


def _stands_in_ours(error: BaseException) -> bool:
    """Whether jaxdbg has run, below the user's last line, when an error came."""
    ours, tb = False, error.__traceback__
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        ours = is_own_file(file) or (ours and not is_user_file(file))
        tb = tb.tb_next
    return ours


_M = TypeVar("_M", bound=Callable[..., None])


def _ours_to_report(listener: _M) -> _M:
    """JAX calls listeners bare: what breaks in one would be the user's crash."""

    @functools.wraps(listener)
    def safe(hub: _Hub, *args: Any) -> None:
        try:
            listener(hub, *args)
        except Failure:
            raise
        except Exception as error:
            hub.broke("counting traces and compilations", error)

    return safe  # type: ignore[return-value]


class _Hub:
    """The open regions, and the hooks that are there as long as one is."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: list[Region] = []
        self._hooks: contextlib.ExitStack | None = None
        self._chex = chex_mode.ChexMode(self._check_failed_eagerly)

    def open(self, region: Region) -> None:
        """Adds a region; the first one installs the hooks."""
        with self._lock:
            self._open = [*self._open, region]
            if self._hooks is None:
                try:
                    self._install(region)
                except Exception as error:  # then the program runs on unchecked
                    self.broke("installing its hooks", error)

    def close(self, region: Region) -> None:
        """Removes a region, wherever it stands; the last one removes the hooks."""
        with self._lock:
            self._open = [r for r in self._open if r is not region]
            if not self._open and self._hooks is not None:
                hooks, self._hooks = self._hooks, None
                try:
                    hooks.close()
                except Exception as error:
                    region.session.broke("removing its hooks", error)

    def regions(self) -> tuple[Region, ...]:
        """The open regions, from the first to the last."""
        return tuple(self._open)

    def _install(self, region: Region) -> None:
        self._chex = chex_mode.ChexMode(self._check_failed_eagerly)
        with contextlib.ExitStack() as hooks:
            for lost in (r for r in _compat.REQUIREMENTS if not r.found()):
                region.session.notice(
                    f"JAX {_compat.jax_version()} has no {lost.name}: {lost.lost}."
                )
            if not _compat.missing("interpose"):
                hooks.enter_context(interpose.interposed(self))
            hooks.enter_context(recorder().running(self))
            hooks.enter_context(chex_mode.live_assertions(self._chex))
            self._hooks = hooks.pop_all()

    def _watching(self) -> list[Region]:
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
        name = _compat.executable_name(compiled) or "AOT function"
        function = Function(bare(name), _AOT)
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
            failure = findings.failed_check(exception, None)
            watching[-1].session.failed(failure)

    # -- the watcher of phases -------------------------------------------------------

    @_ours_to_report
    def began(self, phase: Phase) -> None:
        if phase.phase == "trace":
            self._chex.traced(phase.fun)
        watching = self._watching()
        for n, region in enumerate(watching, 1):
            try:
                region.session.began(phase)
            except Failure:
                for counted in watching[:n]:
                    counted.session.refused(phase)
                raise

    @_ours_to_report
    def ended(self, phase: Phase) -> None:
        for region in self._watching():
            region.session.ended(phase)

    def broke(self, doing: str, error: Exception) -> None:
        """A part of jaxdbg broke: each open region says so."""
        for region in self._open:
            region.session.broke(doing, error)


def _counted(watching: Sequence[Region], function: Function) -> findings.Call:
    """Counts a call in each region, and says which it is in the innermost."""
    session = watching[-1].session
    for region in watching[:-1]:
        region.session.called(function)
    return findings.Call(function, session.called(function), session.scope)


_hub = _Hub()
