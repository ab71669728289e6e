"""Runs the calls of one region, and has each one judged.

Inputs are still there when a check fails: donated arguments are copied before the call
and the copies are donated, so that the originals, and with them the model, keep their
last good values until the call has proved good.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxdbg.checks.calls.call import Call, Layout, Run, UserPlace
from jaxdbg.checks.judge import Judge
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.plan import Plan, Ran, plan_of
from jaxdbg.checks.raising import raise_unless_recorded
from jaxdbg.checks.session import Session
from jaxdbg.jax_internals.interpose import Invocation, our_own_work
from jaxdbg.trees import finiteness
from jaxdbg.trees.copies import copied_at, is_gone
from jaxdbg.trees.names import Names

MAX_PENDING = 16
"""How many calls `--async` leaves unchecked at most; each keeps its inputs alive."""


class Checker:
    """Checks the calls of one region; what it finds goes to the session."""

    def __init__(self, session: Session, names: Callable[[], Names]):
        self._session = session
        self._options = session.options
        self._judge = Judge(session, names)
        self._queue: deque[Ran] = deque()

    def jitted(self, invocation: Invocation, call: Call) -> list[Any]:
        """Runs a jitted call and checks it; raises the failure it finds."""
        plan = plan_of(invocation, call.function, self._options)
        given, params = invocation.args, invocation.params
        args, kept = self._arguments(given, plan.layout)
        lost = self._is_bad_and_lost(given, plan.layout)
        began = time.perf_counter()
        outs, error, ops = plan.execute(invocation, args)
        number = self._session.earlier.note(call, params["jaxpr"], kept, outs)
        layout = plan.layout
        run = Run(call, number, layout, params, kept, given, outs, lost, error, ops)
        if self._options.async_:
            self._session.ran(call, began, time.perf_counter())
            self._enqueue(plan, run)
        else:
            self._settle(Ran(plan, run), began)
        _donate(given, args, layout.donated)
        return outs

    def compiled(
        self,
        execute: Callable[[Sequence[Any]], Any],
        call: Call,
        args: Sequence[Any],
        donated: Sequence[int],
    ) -> Any:
        """Runs a call of an AOT-compiled function and checks its result.

        There is no jaxpr to look into: a bad result counts as born in the call if all
        inputs are good.
        """
        donated = tuple(i for i in donated if _is_there(args[i]))
        keep = self._options.keep_donation
        lost = keep and _is_any_bad([args[i] for i in donated])
        copies = args if keep else copied_at(args, donated)
        result = execute(copies)
        try:
            outs = jax.tree.leaves(result)
            number = self._session.earlier.note(call, None, args, outs)
            run = Run(call, number, Layout(donated=donated), None, args, args, outs)
            with our_own_work():
                judgement = None if lost else self._judge.opaque(run)
        except Exception as error:
            self._session.broke("checking an AOT call", error)
            return result
        if judgement is not None:
            raise_unless_recorded(self._session, [judgement])
        _donate(args, copies, donated)
        return result

    def drain(self, wait: bool = True) -> None:
        """Judges the calls that `--async` left; raises the first failure of all.

        Arguments:
            wait: also wait for calls that have not finished.
        """
        judgements = []
        while self._queue and (wait or _ready(self._queue[0])):
            ran = self._queue.popleft()
            judgement = self._judged(ran) if _is_computed(ran.run) else None
            if judgement is not None:
                judgements.append(judgement)
        if judgements:
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
        place, results = UserPlace.now(run.call.function), run.results
        with our_own_work():
            flags = finiteness.pending([results[i] for i in run.can_be_bad])
        self._queue.append(Ran(plan, run, place, flags))
        self.drain(wait=False)
        if len(self._queue) > MAX_PENDING:
            self.drain()

    def _settle(self, ran: Ran, began: float) -> None:
        # Waits, so that the seconds of the check are ours and not the user's.
        if not _is_computed(ran.run):
            return
        self._session.ran(ran.run.call, began, time.perf_counter())
        judgement = self._judged(ran)
        if judgement is not None:
            raise_unless_recorded(self._session, [judgement])

    def _judged(self, ran: Ran) -> Judgement | None:
        began = time.perf_counter()
        judgement = None
        try:
            with our_own_work():
                judgement = self._judge.judged(ran)
        except Exception as error:
            self._session.broke(f"checking {ran.run.call.function.name}", error)
        took = time.perf_counter() - began
        self._session.spent(took, failed=judgement is not None)
        return judgement


def _is_any_bad(arrays: Sequence[Any]) -> bool:
    if not arrays:
        return False
    with our_own_work():
        return bool(finiteness.suspects(arrays))


def _is_computed(run: Run) -> bool:
    """Waits for a call; False if it failed, which the user meets where they look."""
    try:
        for out in run.outs[-1:]:
            _wait(out)
    except Exception:
        return False
    return True


def _wait(out: Any) -> None:
    if _is_there(out):
        out.block_until_ready()


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
