"""The checking of one call: run it, look at what it gave, and say what is wrong.

Inputs are still there when a check fails: donated arguments are copied before the call
and the copies are donated, so that the originals, and with them the model, keep their
last good values until the call has proved good.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxdbg.checks import every_op, failure_messages as findings
from jaxdbg.checks.afterwards import kept_calls as held
from jaxdbg.checks.diagnosis import Aftermath, Diagnosis, Stands
from jaxdbg.checks.earlier_calls import Memory
from jaxdbg.checks.known_masks import Masks
from jaxdbg.checks.session import Session
from jaxdbg.compiles.listener import Function
from jaxdbg.errors import Failure
from jaxdbg.jax_internals.arrays import REF, can_be_non_finite
from jaxdbg.jax_internals.chex import assertions as chex_mode
from jaxdbg.jax_internals.chex.under_vmap import has_checks
from jaxdbg.jax_internals.interpose import Invocation, our_own_work
from jaxdbg.jax_internals.jaxprs.effects import replayable
from jaxdbg.origins.bad_elements import codes_of, kinds_in, kinds_of
from jaxdbg.origins.tell import not_reproduced
from jaxdbg.trees import finiteness as finite
from jaxdbg.trees.copies import copied, is_gone
from jaxdbg.trees.names import Names

MAX_PENDING = 16
"""How many calls `--async` leaves unchecked at most; each keeps its inputs alive."""


@dataclass(slots=True)
class Plan:
    """What there is to do for each call of one jaxpr.

    Attributes:
        function: whose call it is.
        floats: indices of the outputs that can hold NaN or Inf.
        donated: indices of the arguments the call donates.
        refs: indices of the arguments that are Refs, which the call may write to.
        checked: the jaxpr with its checks as outputs, where there are any.
        marked: the jaxpr with a mark for each operation, where that is asked for.
        masks: bad elements of the outputs that have proved to be no failure.
        benign: marked operations that have proved to be no failure.
    """

    function: Function
    floats: tuple[int, ...]
    donated: tuple[int, ...]
    refs: tuple[int, ...] = ()
    checked: chex_mode.Functionalised | None = None
    marked: every_op.Instrumented | None = None
    masks: Masks = field(default_factory=Masks)
    benign: set[Any] = field(default_factory=set)


@dataclass(slots=True)
class Checked:
    """A call that ran, with what is needed to judge it.

    Attributes:
        lost: whether an argument that is gone since, or written to, held NaN or Inf.
        given: the arrays that the user gave it; `args` are what is left to look at.
        number: which call of the region it was, of any function.
        memory: the calls of the region.
        stands: where the user's program stood.
        began: when it began, by `perf_counter`.
    """

    plan: Plan
    params: dict[str, Any]
    call: findings.Call
    args: Sequence[Any]
    outs: list[Any]
    lost: bool = False
    given: Sequence[Any] = ()
    number: int = 0
    memory: Memory = None  # type: ignore[assignment]  # set once it has run
    stands: Stands = field(default_factory=Stands)
    began: float = 0.0
    error: Any = None
    marks: Any = None
    flags: finite.Pending | None = None

    @property
    def jaxpr(self) -> Any:
        """The closed jaxpr of the call."""
        return self.params["jaxpr"]

    @property
    def results(self) -> list[Any]:
        """The outputs, and after them the Refs, which are written to instead."""
        return [*self.outs, *(self.args[i] for i in self.plan.refs)]

    @property
    def can_be_bad(self) -> tuple[int, ...]:
        """Indices of the results that can hold NaN or Inf."""
        before = len(self.outs)
        return (*self.plan.floats, *range(before, before + len(self.plan.refs)))


_PLANS: weakref.WeakKeyDictionary[Any, dict[Any, Plan]] = weakref.WeakKeyDictionary()
"""By jaxpr, then by what is asked for: regions share what was compiled for a jaxpr."""


class Checker:
    """Checks the calls of one region; what it finds goes to the session."""

    def __init__(self, session: Session, names: Callable[[], Names]):
        self._session = session
        self._options = session.options
        self._names = names
        self._queue: deque[Checked] = deque()
        self._noted: set[Any] = set()
        self._aftermath = Aftermath()

    def jitted(self, call: Invocation, which: findings.Call) -> list[Any]:
        """Runs a jitted call and checks it; raises the failure it finds."""
        plan = self._plan(call, which.function)
        args, kept = self._arguments(call.args, plan)
        lost = self._is_bad_and_lost(call.args, plan)
        began = time.perf_counter()
        checked = self._run(call, plan, which, args, kept)
        checked.began = began
        checked.lost = lost
        checked.given, checked.memory = call.args, self._session.memory
        checked.number = checked.memory.note(which, checked.jaxpr, kept, checked.outs)
        if self._options.async_:
            self._session.ran(which, began, time.perf_counter())
            self._enqueue(checked)
        else:
            self._settle(checked)
        _donate(call.args, args, plan.donated)
        return checked.outs

    def compiled(
        self,
        run: Callable[[Sequence[Any]], Any],
        which: findings.Call,
        args: Sequence[Any],
        donated: Sequence[int],
    ) -> Any:
        """Runs a call of an AOT-compiled function and checks what it gives.

        There is no jaxpr to look into: what is bad is taken as born where all inputs
        are good.
        """
        donated = [i for i in donated if _is_there(args[i])]
        keep = self._options.keep_donation
        with our_own_work():
            lost = keep and bool(finite.suspects([args[i] for i in donated]))
        copies = args if keep else _copied(args, donated)
        result = run(copies)
        try:
            self._session.memory.note(which, None, args, jax.tree.leaves(result))
            with our_own_work():
                failure = None if lost else self._judge_opaque(which, args, result)
                if failure is not None:
                    self._hold_outputs(failure)
        except Exception as error:
            self._session.broke("checking an AOT call", error)
            return result
        if failure is not None:
            self._session.failed(failure)
        _donate(args, copies, donated)
        return result

    def drain(self, wait: bool = True) -> None:
        """Judges the calls that `--async` left; raises the first failure of all.

        Arguments:
            wait: also wait for calls that have not finished.
        """
        failures: list[Failure] = []
        while self._queue and (wait or _ready(self._queue[0])):
            checked = self._queue.popleft()
            failure = self._safely_judged(checked)
            if failure is not None:
                failures.append(failure)
        findings.raise_together(failures, self._session)

    # -- running ---------------------------------------------------------------------

    def _plan(self, call: Invocation, function: Function) -> Plan:
        jaxpr, params = call.params["jaxpr"], call.params
        key = (self._options.errors, self._options.every_op, params["donated_invars"])
        plans = _PLANS.setdefault(jaxpr, {})
        if key not in plans:
            with our_own_work():
                plans[key] = self._new_plan(call, function)
        return plans[key]

    def _new_plan(self, call: Invocation, function: Function) -> Plan:
        jaxpr, donated = call.params["jaxpr"], call.params["donated_invars"]
        avals, paths = jaxpr.out_avals, jaxpr.jaxpr.debug_info.result_paths or ()
        # What checkify's own errors carry is no result of the user's.
        payloads = {i for i, path in enumerate(paths) if "ErrorEffect(" in str(path)}
        plan = Plan(
            function=function,
            floats=tuple(
                i
                for i, a in enumerate(avals)
                if can_be_non_finite(a) and i not in payloads
            ),
            donated=tuple(i for i, d in enumerate(donated) if d),
            refs=tuple(i for i, a in enumerate(call.args) if isinstance(a, REF)),
        )
        if has_checks(jaxpr) or (self._options.errors and function.user):
            plan.checked = chex_mode.functionalise(jaxpr, self._options.errors)
        if self._options.every_op and function.user:
            base = plan.checked.jaxpr if plan.checked else jaxpr
            plan.marked = every_op.instrument(base)
        return plan

    def _arguments(
        self, args: tuple[Any, ...], plan: Plan
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The arguments to run with, and those to keep for a diagnosis."""
        if not plan.donated or self._options.keep_donation:
            return args, args
        copies = _copied(args, plan.donated)
        # When the failure is raised at this call, the model must keep its own arrays;
        # when it is raised later, the model has moved on and the copies are for us.
        if self._options.async_:
            return args, copies
        return copies, args

    def _is_bad_and_lost(self, args: tuple[Any, ...], plan: Plan) -> bool:
        lost = plan.refs + (plan.donated if self._options.keep_donation else ())
        if not lost:
            return False
        with our_own_work():
            return bool(finite.suspects([args[i] for i in lost]))

    def _run(
        self,
        call: Invocation,
        plan: Plan,
        which: findings.Call,
        args: tuple[Any, ...],
        kept: tuple[Any, ...],
    ) -> Checked:
        outs = call.execute(args, **_changed(call.params, plan))
        return self._ran(Checked(plan, call.params, which, kept, outs))

    def _ran(self, checked: Checked) -> Checked:
        """Takes apart what a call gave: its outputs, and what we had added."""
        plan = checked.plan
        if plan.marked is not None:
            checked.marks = checked.outs[-1]
            checked.outs = checked.outs[:-1]
        if plan.checked is not None:
            checked.error, checked.outs = plan.checked.split(checked.outs)
        return checked

    def _enqueue(self, checked: Checked) -> None:
        checked.stands = Stands.now(checked.call.function)
        with our_own_work():
            results = checked.results
            checked.flags = finite.pending([results[i] for i in checked.can_be_bad])
        self._queue.append(checked)
        self.drain(wait=False)
        if len(self._queue) > MAX_PENDING:
            self.drain()

    # -- judging ---------------------------------------------------------------------

    def _settle(self, checked: Checked) -> None:
        failure = self._safely_judged(checked)
        if failure is not None:
            self._session.failed(failure)

    def _safely_judged(self, checked: Checked) -> Failure | None:
        try:
            for out in checked.outs[-1:]:
                _wait(out)  # so that the seconds below are ours, not the user's
        except Exception:
            return None  # the computation failed: the user meets that where they look
        began = time.perf_counter()
        if not self._options.async_:
            self._session.ran(checked.call, checked.began, began)
        failure = None
        try:
            with our_own_work():
                failure = self._judge(checked)
                if failure is not None:
                    self._hold(failure, checked)
                    self._hold_outputs(failure)
        except Exception as error:
            self._session.broke(f"checking {checked.call.function.name}", error)
            failure = None
        took = time.perf_counter() - began
        self._session.spent(took, failed=failure is not None)
        return failure

    def _judge(self, checked: Checked) -> Failure | None:
        """The failure of a call, or None: its checks first, they were asked for."""
        if checked.error is not None:
            exception = checked.error.get_exception()
            if exception is not None:
                return self._diagnosis(checked).of_check(exception)
        suspects = self._suspects(checked)
        if any(is_gone(checked.results[i]) for i in suspects):
            checked.outs = _outputs_again(checked)
        failure = self._judge_outputs(checked, suspects) if suspects else None
        if failure is None and checked.marks is not None:
            failure = self._judge_marks(checked)
        return failure

    def _hold(self, failure: Failure, checked: Checked) -> None:
        """Keeps what the call was given, for `repro` and `rewind`."""
        try:
            if self._session.kept.has_room(checked.call, checked.args):
                options = self._options
                failure.held = held.taken(
                    checked,
                    self._names(),
                    self._suspects(checked),
                    copy=options.record and not options.async_,
                )
        except Exception as error:
            name = checked.call.function.name
            self._session.broke(f"keeping what {name} was given", error)

    def _hold_outputs(self, failure: Failure) -> None:
        """Keeps what a call gave that is bad, to be looked at."""
        try:
            runs_on = self._options.record or self._options.async_
            room = self._session.kept
            failure.outputs = room.fitting(failure.outputs, copy=runs_on)
        except Exception as error:
            failure.outputs = {}
            self._session.broke("keeping the bad results of a call", error)

    def _suspects(self, checked: Checked) -> list[int]:
        results, indices = checked.results, checked.can_be_bad
        if checked.flags is not None:
            found = checked.flags.suspects()
        else:
            found = finite.suspects([results[i] for i in indices])
        return [indices[i] for i in found]

    def _judge_outputs(self, checked: Checked, suspects: list[int]) -> Failure | None:
        results = checked.results
        held = {i: codes_of(results[i]) for i in suspects}
        bad = {i: codes for i, codes in held.items() if codes is not None}
        args = [None if is_gone(a) else a for a in checked.args]
        inputs, masks = tuple(finite.suspects(args)), checked.plan.masks
        if not masks.know(bad, inputs):
            diagnosis = self._diagnosis(checked)
            failure = diagnosis.of_outputs({i: kinds_of(c) for i, c in bad.items()})
            if failure is not None or diagnosis.silent:
                return failure
            masks.learn(bad, inputs)
        self._note_placed(checked, suspects)
        return None

    def _judge_marks(self, checked: Checked) -> Failure | None:
        bad = np.isnan(np.asarray(checked.marks))
        signature = ("ops", tuple(np.flatnonzero(bad).tolist()))
        if not bad.any() or signature in checked.plan.benign:
            return None
        failure = self._diagnosis(checked).inside()
        if failure is None:
            checked.plan.benign.add(signature)
        return failure

    def _diagnosis(self, checked: Checked) -> Diagnosis:
        if not self._options.async_:  # else the stack is another call's by now
            checked.stands = Stands.now(checked.call.function)
        return Diagnosis(
            checked,
            self._names(),
            self._session,
            self._aftermath,
            again=lambda args: self._again(checked, args),
        )

    def _again(self, checked: Checked, args: Sequence[Any]) -> list[Any]:
        """What the program that ran gives for other arguments, or for these again."""
        plan = checked.plan
        given = _copied(args, [i for i in plan.donated if args[i] is checked.args[i]])
        call = Invocation(given, checked.params)
        outs = call.execute(given, **_changed(checked.params, plan))
        return self._ran(Checked(plan, checked.params, checked.call, given, outs)).outs

    def _judge_opaque(
        self, which: findings.Call, args: Sequence[Any], result: Any
    ) -> Failure | None:
        outs = jax.tree.leaves(result)
        suspects = finite.suspects(outs)
        kinds = {i: kinds_in(outs[i]) for i in suspects}
        candidates = [i for i, held in kinds.items() if set(held) != {"-inf"}]
        if not candidates or any(kinds_in(a) for a in args if not is_gone(a)):
            return None
        why = "an AOT-compiled function cannot be looked into"
        return findings.non_finite(
            which,
            not_reproduced(kinds[candidates[0]][0], why),
            suspects=candidates,
            results=outs,
            paths=findings.result_paths(which, args, outs, (), None, self._names()),
            written=len(outs),
            options=self._options,
            room=self._session.room,
        )

    def _note_placed(self, checked: Checked, suspects: list[int]) -> None:
        # A mask comes back with each call; to find its name costs more than the call.
        seen = (id(checked.plan), *suspects)
        if seen in self._noted:
            return
        self._noted.add(seen)
        call, info = checked.call, checked.jaxpr.jaxpr.debug_info
        paths = findings.result_paths(
            call, checked.args, checked.outs, checked.plan.refs, info, Names()
        )
        for i in suspects:
            self._session.placed(call.function.name, paths[i])


def _changed(params: dict[str, Any], plan: Plan) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if plan.checked is not None:
        changed = plan.checked.changed(params)
    if plan.marked is not None:
        changed = chex_mode.with_outputs(
            plan.marked.jaxpr, {**params, **changed}, before=0, after=1
        )
    return changed


def _copied(args: Sequence[Any], which: Sequence[int]) -> tuple[Any, ...]:
    copies = list(args)
    with our_own_work():
        for i, copy in zip(which, copied([args[i] for i in which]), strict=True):
            copies[i] = copy
    return tuple(copies)


def _outputs_again(checked: Checked) -> list[Any]:
    """The outputs of a call, of which a later call was given some to keep."""
    jaxpr = replayable(checked.jaxpr)
    args = _copied(checked.args, checked.plan.donated)
    return Invocation(args, {**checked.params, "jaxpr": jaxpr}).execute(args)


def _ready(checked: Checked) -> bool:
    return checked.flags is not None and checked.flags.ready()


def _wait(out: Any) -> None:
    if _is_there(out):
        out.block_until_ready()


def _is_there(value: Any) -> bool:
    return isinstance(value, jax.Array) and not is_gone(value)


def _donate(
    originals: Sequence[Any], copies: Sequence[Any], donated: Sequence[int]
) -> None:
    """Deletes what the plain program would have lost to donation by now."""
    for i in donated:
        if copies[i] is not originals[i] and is_gone(copies[i]):
            originals[i].delete()
