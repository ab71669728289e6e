"""A checked region: one mechanism behind `%%checked`, `with`, and the decorator."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from jaxdbg.checks.afterwards import kept_calls, rewind
from jaxdbg.checks.afterwards.last import remember
from jaxdbg.checks.afterwards.rewind import Rewound
from jaxdbg.checks.budgets import of_nobody
from jaxdbg.checks.checker import BROKE, INTERRUPTED, Checker
from jaxdbg.checks.decorator import decorated
from jaxdbg.checks.hub import hub
from jaxdbg.checks.notes import add_notes
from jaxdbg.checks.session import Session
from jaxdbg.checks.tracebacks import end_in_user_code, ends_in_jaxdbg
from jaxdbg.checks.watch.watcher import Watcher
from jaxdbg.compiles.recorder import recorder
from jaxdbg.errors import Failure, UsageError, broken, did_you_mean
from jaxdbg.jax_internals.interpose import heal
from jaxdbg.jax_internals.interrupts import HeldBack
from jaxdbg.options import OPTIONS, Options
from jaxdbg.records import Finding, Remark, Report
from jaxdbg.records.read_only import ReadOnly
from jaxdbg.trees.names import Names, frame_namespaces

DROPPED = "the region was dropped before its end"
"""Why of a region not everything was checked that nobody holds any more."""

_UNCHECKED = "that went unchecked"

_numbers = itertools.count(1)

_F = TypeVar("_F", bound=Callable[..., Any])


def _naming_unknown_options(init: _F) -> _F:
    """Has a call refuse an option that does not exist with the nearest that does."""
    known = inspect.signature(init).parameters

    @functools.wraps(init)
    def checked(self: Region, *args: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                names = [option.name for option in OPTIONS]
                raise TypeError(
                    f"checked() has no option {name!r}.{did_you_mean(name, names)} "
                    f"Expected {', '.join(names)}."
                )
        return init(self, *args, **options)

    return checked  # type: ignore[return-value]


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
        max_traces: fail when a function is traced more often than this: a number for
            every function, or one for each (`f=1,g=2`); here a mapping of names.
        max_compiles: the same for compilations.
        max_compile_seconds: fail when tracing, lowering and compiling take longer than
            this: seconds for all functions together, or for each (`f=30,g=2.5`); here a
            mapping of names.
        every_op: check each intermediate value, not only what calls return.
        errors: look for more kinds of error: `index` (a gather or scatter out of
            bounds), `div` (an integer divided by zero).
        async_: keep dispatch asynchronous: failures rise at a later call or at the end,
            all pending ones together.
        record: collect failures, and let the program run on.
        keep_donation: let calls consume their donated arguments: saves memory, but the
            diagnosis cannot show them.
        watch: keep a few numbers of each leaf of these trees over the calls; by default
            of the NNX modules and optimizers that jitted calls are given.
        allow: values of these kinds are meant: they are counted, and no failure; some
            of "nan", "inf", "-inf".
        only: the same for all kinds but these.
        namespace: where names of arrays are looked up; the caller's by default.
        cell: IPython's number of the cell.
        options: in place of all that comes before `namespace`.

    Attributes:
        report: what the region has seen; final once it has ended.

    Raises:
        UsageError: an option has a value it cannot take.
    """

    @_naming_unknown_options
    def __init__(
        self,
        max_traces: int | Mapping[str, int] | None = None,
        max_compiles: int | Mapping[str, int] | None = None,
        max_compile_seconds: float | Mapping[str, float] | None = None,
        every_op: bool = False,
        errors: str | Sequence[str] = (),
        async_: bool = False,
        record: bool = False,
        keep_donation: bool = False,
        watch: str | Sequence[str] = (),
        allow: str | Sequence[str] = (),
        only: str | Sequence[str] = (),
        *,
        namespace: Mapping[str, Any] | None = None,
        cell: int | None = None,
        options: Options | None = None,
    ):
        arguments = locals()  # what is an option among them, the table knows
        if callable(max_traces):
            raise UsageError(
                "jaxdbg.checked takes options, and was given a function: write "
                "`@jaxdbg.checked()` above it, with parentheses."
            )
        values = {o.name: arguments[o.name] for o in OPTIONS}
        try:
            self._options = options or Options(**values)
        except UsageError as error:
            raise error.with_traceback(None) from None
        self._namespace = namespace
        self._cell = cell
        self._session: Session | None = None
        self._final: Report | None = None
        self.is_open = False
        self.number = 0

    @property
    def report(self) -> Report:
        """What the region has seen so far, or in all."""
        if self._final is not None:
            return self._final
        return self._session.report() if self._session else Report()

    def __enter__(self) -> Self:
        if self.is_open:
            raise RuntimeError(
                "This region is already open. Make a new one with jaxdbg.checked(...) "
                "for a region inside it."
            )
        self._final = self._session = None
        try:
            with HeldBack():
                heal()
                self._open()
        except Exception as error:  # then the program runs on unchecked
            self._cut_short(BROKE, broken("opening a region", error, _UNCHECKED))
        except BaseException:
            self._cut_short(INTERRUPTED)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not self.is_open:
            return
        try:
            self._exit(exc)
        except Failure:
            raise
        except Exception as error:  # of ours: what the user's code raises is `exc`
            self._cut_short(BROKE, broken("ending a region", error, _UNCHECKED))
        except BaseException:
            heal()
            if self.is_open:
                self._cut_short(INTERRUPTED)
            raise

    def __del__(self) -> None:
        if getattr(self, "is_open", False):
            self._dropped()

    def _open(self) -> None:
        self.session = self._session = Session(self._options, self._cell)
        names = functools.partial(_names, self._namespace)
        self.checker = Checker(self._session, names)
        self.watcher = Watcher(self._session, names, self._options.watch)
        self._session.histories = self.watcher.histories
        self.number = next(_numbers)
        self.is_open = True
        hub.open(self)

    def _exit(self, exc: BaseException | None) -> None:
        own = self._is_own(exc)
        interrupt: BaseException | None = None
        late: Failure | None = None
        try:
            late = self._late_failure(self.session, exc)
        except BaseException as error:
            interrupt = error
            raise
        finally:
            final = self._close(exc or interrupt)
        if isinstance(exc, Failure):
            if own:
                exc.report = final
            end_in_user_code(exc)
        elif isinstance(exc, Exception):
            self._add_notes(exc)
        elif isinstance(exc, KeyboardInterrupt) and ends_in_jaxdbg(exc):
            end_in_user_code(exc)
        if late is not None:
            late.report = final
            raise late.with_traceback(None) from None

    def _add_notes(self, error: Exception) -> None:
        try:
            add_notes(error)
        except Exception as broke:  # of ours: what the user's code raises is `error`
            self.session.broke("looking for the module of an error", broke)

    def _is_own(self, exc: BaseException | None) -> bool:
        """Whether a failure is of this region; one of a region inside counts, too."""
        if not isinstance(exc, Failure) or exc.finding in self.session.findings:
            return True
        self.session.findings.append(exc.finding)
        # An assertion on the host is a finding where the program does not handle it.
        return exc.report is None

    def _close(self, exc: BaseException | None) -> Report:
        """Ends the region; its report is final then. An interrupt waits for that."""
        with HeldBack() as held:
            self.is_open = False
            hub.close(self)
            self.checker.end()
            self.watcher.ends(exc)
            stale = self._stale()
            ended = exc is None or isinstance(exc, Exception | GeneratorExit)
            if held.is_interrupted or not ended:
                self.session.unchecked(INTERRUPTED, calls=0)
            if exc is None:
                self._name_budgets_of_nobody()
            self.session.close(stale)
            self._final = report = self.session.report()
            try:
                remember(report)
            except Exception as error:  # which must not replace a failure
                self.session.broke("remembering a report", error)
            return report

    def _name_budgets_of_nobody(self) -> None:
        try:
            for text in of_nobody(self.session):
                self.session.notice(text)
        except Exception as error:
            self.session.broke("comparing the names of budgets", error)

    def _cut_short(self, why: str, *notices: str) -> None:
        """Ends a region of which a part was interrupted, or broke; none may raise."""
        self.is_open = False  # the next call removes the hooks, if nothing else does
        with contextlib.suppress(Exception):
            hub.close(self)
        report = self._final or self._so_far()
        self._final = replace(
            report,
            notices=(*report.notices, *notices),
            unchecked=ReadOnly({**report.unchecked, why: 0}),
        )
        with contextlib.suppress(Exception):
            remember(self._final)

    def _so_far(self) -> Report:
        session = self._session
        if session is None:
            return Report()
        try:
            return session.report()
        except Exception:  # the notice about the first part says enough
            return Report(findings=tuple(session.findings))

    def _dropped(self) -> None:
        """Nobody holds the region any more, so nobody can end it."""
        self.session.unchecked(DROPPED, calls=0)
        self._close(None)
        # Not with `warnings`, which a user may have turned into errors.
        print(
            f"jaxdbg: {DROPPED}, which ends it: {self._final}\nWrite "
            "`with jaxdbg.checked():`, which ends where its block does.",
            file=sys.stderr,
        )

    def _stale(self) -> tuple[Remark, ...]:
        try:
            return recorder().stale()
        except Exception as error:
            self.session.broke("comparing what functions closed over", error)
            return ()

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
        hub.close(self)
        try:
            yield
        finally:
            hub.open(self)

    def rewind(self) -> Rewound:
        """Puts arrays back to the values they had before the first failing call.

        After `record=True` or `async_=True` the program has run on, and the user's
        modules, optimizers and variables hold what came out of it. Each place that a
        checked call has overwritten gets back the array that the failing call was
        given; what the user has put somewhere stays. For this the arguments of the
        first failing call of each function are kept, and of a few more calls as long
        as they take up to 64 MiB, until a later checked region calls a jitted function.

        Returns:
            What was put back, and what was not, and why; as text, if printed.

        Raises:
            RuntimeError: the region found nothing, or what it kept is dropped.
        """
        found = self._found()
        if not found:
            raise RuntimeError("Nothing to rewind: this region has found nothing.")
        kept = [c for f, c in kept_calls.latest() if any(f is g for g in found)]
        return rewind.rewind(kept, _namespaces(self._namespace))

    def _found(self) -> Sequence[Finding]:
        return self._session.findings if self._session is not None else ()

    def _again(self) -> Region:
        # A region is open once; a decorated function may call itself.
        return Region(namespace=self._namespace, cell=self._cell, options=self._options)

    def _late_failure(
        self, session: Session, exc: BaseException | None
    ) -> Failure | None:
        """What is known only now: of pending calls, or from a worker thread."""
        try:
            # After an interrupt nobody wants to wait.
            wait = exc is None or isinstance(exc, Exception)
            self.checker.drain(wait)
            if wait:
                self.checker.wait_for_chex()
            if exc is None:  # else its traceback keeps what is dead
                self.checker.end_of_libraries()
        except Failure as failure:
            # The user's own error, or an interrupt, must not be hidden by ours.
            return failure if exc is None else None
        except Exception as error:
            session.broke("ending the region", error)
            session.unchecked(BROKE, calls=0)
        unseen = session.in_threads if exc is None and not self._options.record else []
        return unseen[0] if unseen else None


def _names(namespace: Mapping[str, Any] | None) -> Names:
    """What the user's frames can name. Of the region it knows nothing, nor keeps it."""
    return Names(*_namespaces(namespace))


def _namespaces(namespace: Mapping[str, Any] | None) -> list[Mapping[str, object]]:
    return [*frame_namespaces(), *([namespace] if namespace else [])]


checked = Region
"""The name under which users know a region: `with jaxdbg.checked(): ...`."""


def block_until_checked() -> None:
    """Waits until everything that was called is checked.

    Raises the first failure that `--async` has left pending, in any open region, and
    what chex's own asynchronous checks have found.
    """
    for region in hub.regions():
        region.checker.drain()
    if "chex" in sys.modules:
        sys.modules["chex"].block_until_chexify_assertions_complete()
