"""Runs the calls of one region, and has each one judged.

Inputs are still there when a check fails: donated arguments are copied before the call
and the copies are donated, so that the originals, and with them the model, keep their
last good values until the call has proved good.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxdbg.checks.calls.aot_call import AotCall
from jaxdbg.checks.calls.call import Call, Layout, Run, UserPlace
from jaxdbg.checks.failure_messages import CHEXIFIED, failed_check
from jaxdbg.checks.judge import Judge
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.plan import Plan, Ran, plan_of
from jaxdbg.checks.raising import raise_unless_recorded
from jaxdbg.checks.session import Session
from jaxdbg.errors import Failure
from jaxdbg.jax_internals.arrays import REF, spans_processes
from jaxdbg.jax_internals.chex import chexified
from jaxdbg.jax_internals.interpose import Invocation, our_own_work
from jaxdbg.trees import finiteness
from jaxdbg.trees.copies import copied_at, is_gone
from jaxdbg.trees.names import Names

BROKE = "a part of jaxdbg broke"
"""Why a call was not checked; the notice says which part."""

FAILED = "failed while running"
"""Why a call was not checked whose results are an error, met where they are used."""

PENDING = "pending when the region ended"
"""Why a call was not checked that `--async` had left."""

OPERATIONS = "the operations of calls that run in several processes"
"""What `--every-op` and `--errors` do not look at."""

INTERRUPTED = "interrupted"
"""Why a call was not checked, or a region did not run to its end."""

LIBRARY = "whether what a library made came out of the call of it is not known"
"""Why the eager calls of a library are in doubt in which something bad was made."""

CLOSED_OVER = "whether what a Ref holds that it closes over was made by it is not known"
"""Why a call is in doubt after which such a Ref holds something bad."""

MAX_PENDING = 16
"""How many calls `--async` leaves unchecked at most; each keeps its inputs alive."""


class Checker:
    """Checks the calls of one region; what it finds goes to the session."""

    def __init__(self, session: Session, names: Callable[[], Names]):
        self._session = session
        self._options = session.options
        self._judge = Judge(session, names)
        self._queue: deque[Ran] = deque()
        self._in_several = False

    def begins(self, invocation: Invocation) -> None:
        """Raises what is known by now, before a call is counted, and runs."""
        self.wait_for_chex()
        donates = any(invocation.params["donated_invars"])
        if self._options.async_ and self._raises_before(donates):
            self._drain_ready()

    def jitted(self, invocation: Invocation, call: Call) -> list[Any]:
        """Runs a jitted call and checks it; raises the failure it finds."""
        plan = plan_of(invocation, call.function, self._options)
        given, params = invocation.args, invocation.params
        if plan.in_several:
            self._begins_in_several(call)
        args, kept = self._arguments(given, plan.layout)
        lost = self._is_bad_and_lost(given, plan.layout)
        before = _held_by(given, plan.layout)
        began = time.perf_counter()
        outs, error, ops = plan.execute(invocation, args)
        if _is_any_bad(_closed_over(params["jaxpr"])):
            self._session.unchecked(CLOSED_OVER)
        number = self._noted(call, params["jaxpr"], kept, outs)
        layout = plan.layout
        run = Run(
            call, number, layout, params, kept, given, outs, lost, error, ops, before
        )
        if self._options.async_:
            self._session.ran(call, began, time.perf_counter())
            self._enqueue(plan, run)
        else:
            self._settle(Ran(plan, run), began)
        _donate(given, args, layout.donated)
        return outs

    def compiled(self, aot: AotCall, call: Call, donated: Sequence[int]) -> Any:
        """Runs a call of an AOT-compiled function and checks its result.

        There is no jaxpr to look into: a bad result counts as born in the call if all
        inputs are good.
        """
        args = aot.leaves
        donated = tuple(i for i in donated if _is_there(args[i]))
        keep = self._options.keep_donation
        lost = keep and _is_any_bad([args[i] for i in donated])
        copies = args if keep else copied_at(args, donated)
        in_several = any(map(spans_processes, args))
        if in_several:
            self._begins_in_several(call)
        result = aot.execute(copies)
        outs = jax.tree.leaves(result)
        if in_several:
            self._wait_with_others(lambda: _are_ready(outs))
        try:
            number = self._noted(call, None, args, outs)
            layout = Layout(donated=donated)
            run = Run(call, number, layout, None, args, args, outs, lost)
            with our_own_work():
                judgement = self._judge.opaque(run)
        except Exception as error:
            self._session.broke("checking an AOT call", error)
            self._session.unchecked(BROKE)
            return result
        if judgement is not None:
            self._raise([judgement])
        _donate(args, copies, donated)
        return result

    def drain(self, wait: bool = True) -> None:
        """Judges the calls that `--async` left; raises the first failure of all.

        Arguments:
            wait: also wait for calls that have not finished.
        """
        judgements: list[Judgement] = []
        try:
            while self._queue and (wait or _ready(self._queue[0])):
                judgements += self._settled(self._queue[0])
                self._queue.popleft()
        finally:  # an interrupt loses no failure that is known
            if judgements:
                self._raise(judgements)
        if wait and self._in_several:
            self._raise_what_others_found(self._session.peers.found())

    def look_at_libraries(self, args: Sequence[Any] = ()) -> None:
        """Raises what has come out of libraries' eager calls by now.

        Arguments:
            args: of a call that is to run.
        """
        if self._judge.library_values and not self._options.async_:
            self._raise_what_came_out(args)

    def end_of_libraries(self) -> None:
        """The same at the end of the region, where nothing is left that runs."""
        if self._judge.library_values:
            self._raise_what_came_out()
        if lost := self._judge.library_values.end():
            self._session.unchecked(LIBRARY, lost)

    def _raise_what_came_out(self, args: Sequence[Any] = ()) -> None:
        with our_own_work():
            judgements = self._judge.come_out(sys._getframe(1), args)
        if judgements:
            self._raise(judgements)

    def wait_for_chex(self) -> None:
        """Raises what a function that the user has chexified has found by now.

        Such a function checks after its call has returned, so this is for the begin of
        the next call and the end of the region.
        """
        if self._options.async_:
            return
        exception = chexified.failure()
        if exception is not None:
            found = exception
            if not isinstance(found, Failure):
                found = failed_check(exception, None, where=CHEXIFIED)
            raise_unless_recorded(self._session, [Judgement(found)])

    def end(self) -> None:
        """Gives up the calls that are left."""
        if self._queue:
            self._session.unchecked(PENDING, len(self._queue))
            self._queue.clear()

    def _noted(
        self, call: Call, jaxpr: Any, args: Sequence[Any], outs: Sequence[Any]
    ) -> int:
        """The number of a call among all of the region; it is checked without, too."""
        try:
            return self._session.earlier.note(call, jaxpr, args, outs)
        except Exception as error:
            self._session.broke(f"noting a call of {call.function.name}", error)
            return 0

    def _begins_in_several(self, call: Call) -> None:
        """A call that runs in several processes: what they have found comes first."""
        self._in_several = True
        if self._options.every_op or self._options.errors:
            self._session.notice(
                f"{call.name} runs in several processes, so nothing was added to it: "
                "its operations were not checked, only its results."
            )
            self._session.unchecked(OPERATIONS, calls=0)
        if self._session.peers.in_step:
            self.drain()
        self._raise_what_others_found(self._session.peers.begin())

    def _wait_with_others(self, is_done: Callable[[], bool]) -> None:
        """Waits for a call; raises what another process finds meanwhile."""
        self._raise_what_others_found(self._session.peers.wait(is_done))

    def _raise_what_others_found(self, found: Sequence[Judgement]) -> None:
        own = {(f.function, f.call) for f in self._session.findings}
        findings = [(j, j.failure.finding) for j in found]
        new = [j for j, f in findings if (f.function, f.call) not in own]
        if new:
            self._raise(new)

    def _raise(self, judgements: Sequence[Judgement]) -> None:
        if not self._options.record:
            # Other processes will not take part in them when they learn of this.
            left = deque(ran for ran in self._queue if not ran.plan.in_several)
            if dropped := len(self._queue) - len(left):
                self._session.unchecked(PENDING, dropped)
            self._queue = left
        raise_unless_recorded(self._session, judgements)

    def _arguments(
        self, args: tuple[Any, ...], layout: Layout
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The arguments to run with, and those to keep for a diagnosis."""
        if not layout.donated or self._options.keep_donation:
            return args, args
        copies = copied_at(args, layout.donated)
        # When the failure is raised at this call, the model must keep its own arrays;
        # when it is raised later, the model has moved on and the copies are for us.
        if self._options.async_:
            return args, copies
        return copies, args

    def _is_bad_and_lost(self, args: tuple[Any, ...], layout: Layout) -> bool:
        donated = layout.donated if self._options.keep_donation else ()
        return _is_any_bad([args[i] for i in (*layout.refs, *donated)])

    def _enqueue(self, plan: Plan, run: Run) -> None:
        place, results = UserPlace.now(run.call.function, often=True), run.results
        with our_own_work():
            flags = finiteness.pending([results[i] for i in run.can_be_bad])
        self._queue.append(Ran(plan, run, place, flags))
        if not self._raises_before(bool(run.layout.donated)):
            self._drain_ready()

    def _raises_before(self, donates: bool) -> bool:
        """Whether pending failures rise before a call runs, and not after it.

        What a call was donated is deleted by then, and nobody would have its results.
        Of several processes only those in step raise before the same call.
        """
        in_step = not self._in_several or self._session.peers.in_step
        return donates and in_step

    def _drain_ready(self) -> None:
        self.drain(wait=False)
        if len(self._queue) > MAX_PENDING:
            self.drain()

    def _settle(self, ran: Ran, began: float) -> None:
        # Waits, so that the seconds of the check are ours and not the user's.
        judgements = self._settled(ran, began)
        if judgements:
            self._raise(judgements)

    def _settled(self, ran: Ran, began: float | None = None) -> list[Judgement]:
        """Waits for a call and judges it: one judgement, or none."""
        if ran.plan.in_several:
            self._wait_with_others(lambda: _is_done(ran))
        if not _wait(ran.run):
            self._session.unchecked(FAILED)
            return []
        if began is not None:
            self._session.ran(ran.run.call, began, time.perf_counter())
        judgement = self._judged(ran)
        if judgement is None:
            return []
        if ran.plan.in_several:
            with contextlib.suppress(KeyboardInterrupt):  # then it fails without a line
                judgement = self._session.peers.with_line(judgement)
        return [judgement]

    def _judged(self, ran: Ran) -> Judgement | None:
        began = time.perf_counter()
        judgement = None
        try:
            with our_own_work():
                judgement = self._judge.judged(ran)
        except Exception as error:
            self._session.broke(f"checking {ran.run.call.function.name}", error)
            self._session.unchecked(BROKE)
        took = time.perf_counter() - began
        self._session.spent(took, failed=judgement is not None)
        return judgement


def _is_any_bad(arrays: Sequence[Any]) -> bool:
    if not arrays:
        return False
    with our_own_work():
        return bool(finiteness.suspects(arrays))


def _held_by(args: Sequence[Any], layout: Layout) -> tuple[Any, ...]:
    """What the Refs among arguments hold; the call may write to them."""
    refs = [args[i] for i in layout.refs]
    if not refs or any(map(spans_processes, refs)):
        return ()
    with our_own_work():
        return tuple(ref[...] for ref in refs)


def _closed_over(jaxpr: Any) -> list[Any]:
    """The Refs that a function closes over; a call may write to them, too."""
    return [c for c in getattr(jaxpr, "consts", ()) if isinstance(c, REF)]


def _wait(run: Run) -> bool:
    """Waits for a call; False if it failed, which the user meets where they look."""
    try:
        for out in run.outs[-1:]:
            if _is_there(out):
                out.block_until_ready()
    except Exception:
        return False
    return True


def _is_done(ran: Ran) -> bool:
    """Whether to judge a call would not wait."""
    flags = ran.flags is None or ran.flags.ready()
    return flags and _are_ready(ran.run.outs)


def _are_ready(outs: Sequence[Any]) -> bool:
    """Whether what a call returns is there; all of it is at once."""
    return all(o.is_ready() for o in outs[-1:] if _is_there(o))


def _ready(ran: Ran) -> bool:
    return ran.flags is not None and ran.flags.ready()


def _is_there(value: Any) -> bool:
    return isinstance(value, jax.Array) and not is_gone(value)


def _donate(
    originals: Sequence[Any], copies: Sequence[Any], donated: Sequence[int]
) -> None:
    """Deletes what the plain program would have lost to donation by now."""
    for i in donated:
        if copies[i] is not originals[i] and is_gone(copies[i]):
            originals[i].delete()
