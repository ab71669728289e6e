"""Judges the calls of one region: a failure with what is kept of its call, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from jaxdbg.checks import diagnosis, undiagnosed
from jaxdbg.checks.afterwards.bad_outputs import Limits
from jaxdbg.checks.afterwards.kept_calls import KeptCall
from jaxdbg.checks.calls.call import Call, Run, UserPlace
from jaxdbg.checks.diagnosis import NO_FAILURE, Case, Verdict
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.plan import Plan, Ran, outputs_again
from jaxdbg.checks.session import Session
from jaxdbg.errors import Failure, broken, cause
from jaxdbg.jax_internals.functions import Function
from jaxdbg.origins.bad_elements import codes_of, kinds_in, kinds_of
from jaxdbg.trees import finiteness
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.names import Names


def doubt(why: str) -> str:
    """The reason why a call is not checked whose bad values may be no failure."""
    return f"whether bad values spread in it is not known: {why}"


class Judge:
    """Judges calls one after the other, and remembers which of them failed."""

    def __init__(self, session: Session, names: Callable[[], Names]):
        self._session = session
        self._options = session.options
        self._names = names
        self._limits = Limits()
        self._failed: set[Call] = set()
        self._followed: set[Function] = set()
        self._placed: set[tuple[int, ...]] = set()

    def judged(self, ran: Ran) -> Judgement | None:
        """The judgement on a call; None if it is no failure."""
        suspects = ran.suspects
        error = ran.run.error
        exception = error.get_exception() if error is not None else None
        try:
            verdict = self._verdict(ran, suspects, exception)
        except (Exception, KeyboardInterrupt) as broke:
            verdict = self._undiagnosed(ran.run, suspects, exception, broke)
        if verdict.failure is None:
            return None
        inputs, outputs = self._inputs(ran, suspects), self._outputs(verdict)
        return Judgement(verdict.failure, inputs, outputs, verdict.follows)

    def opaque(self, run: Run) -> Judgement | None:
        """The judgement on a call of an AOT-compiled function, which has no jaxpr."""
        suspects = finiteness.suspects(run.outs)
        if not suspects:
            return None
        try:
            verdict = self._of_opaque(run, suspects)
        except (Exception, KeyboardInterrupt) as broke:
            verdict = self._undiagnosed(run, suspects, None, broke)
        if verdict.failure is None:
            return None
        return Judgement(verdict.failure, outputs=self._outputs(verdict))

    # -- the verdict -----------------------------------------------------------------

    def _verdict(self, ran: Ran, suspects: list[int], exception: Any) -> Verdict:
        """The checks first: the user asked for them."""
        run = ran.run
        if exception is not None:
            verdict = diagnosis.of_check(self._case(ran), exception)
            self._failed.add(run.call)
            return verdict
        lost = [i for i in suspects if is_gone(run.results[i])]
        if lost and ran.plan.in_several:
            suspects = [i for i in suspects if i not in lost]
            if not suspects:
                verdict = diagnosis.of_lost(self._case(ran), lost)
                if verdict.doubt:
                    self._session.unchecked(doubt(verdict.doubt))
                return verdict
        elif lost:
            ran = replace(ran, run=replace(run, outs=outputs_again(run)))
        verdict = self._of_outputs(ran, suspects) if suspects else NO_FAILURE
        if verdict.failure is None and run.ops is not None:
            verdict = self._of_operations(ran)
        return verdict

    def _of_opaque(self, run: Run, suspects: Sequence[int]) -> Verdict:
        kinds = {i: kinds_in(run.outs[i]) for i in suspects}
        bad = {i: held for i, held in kinds.items() if set(held) != {"-inf"}}
        if not bad:
            return NO_FAILURE
        if run.lost or any(kinds_in(a) for a in run.args if not is_gone(a)):
            self._session.unchecked(doubt("it was compiled ahead of time"))
            return NO_FAILURE
        case = self._case(Ran(Plan(run.layout), run, UserPlace()))
        return diagnosis.without_jaxpr(case, bad)

    def _undiagnosed(
        self, run: Run, suspects: Sequence[int], exception: Any, broke: BaseException
    ) -> Verdict:
        """The verdict without a diagnosis, which broke or was interrupted."""
        if exception is not None:
            failure: Failure | None = undiagnosed.check(run.call, exception, broke)
        else:
            failure = undiagnosed.non_finite(run, suspects, broke)
        if failure is None:
            self._session.unchecked(doubt(cause(broke)))
        self._failed.add(run.call)
        if not isinstance(broke, KeyboardInterrupt):
            name = run.call.function.name
            self._session.notice(broken(f"looking into a failure of {name}", broke))
        return Verdict(failure)

    def _of_outputs(self, ran: Ran, suspects: list[int]) -> Verdict:
        run, masks = ran.run, ran.plan.masks
        codes = {i: codes_of(run.results[i]) for i in suspects}
        bad = {i: c for i, c in codes.items() if c is not None}
        inputs = tuple(
            finiteness.suspects([None if is_gone(a) else a for a in run.args])
        )
        if not masks.know(bad, inputs):
            kinds = {i: kinds_of(c) for i, c in bad.items()}
            verdict = diagnosis.of_outputs(self._case(ran), kinds)
            if verdict.failure is not None or verdict.follows:
                self._learn(run.call, verdict)
                return verdict
            masks.learn(bad, inputs)
            ran.plan.doubt = verdict.doubt or ran.plan.doubt
        if ran.plan.doubt:
            self._session.unchecked(doubt(ran.plan.doubt))
        self._note_placed(ran, suspects)
        return NO_FAILURE

    def _of_operations(self, ran: Ran) -> Verdict:
        bad = tuple(np.flatnonzero(np.asarray(ran.run.ops)).tolist())
        if not bad or bad in ran.plan.benign:
            return NO_FAILURE
        verdict = diagnosis.inside(self._case(ran))
        if verdict.doubt:
            self._session.unchecked(doubt(verdict.doubt))
        elif verdict.failure is None:
            ran.plan.benign.add(bad)
        return verdict

    def _case(self, ran: Ran) -> Case:
        run = ran.run
        function = run.call.function
        return Case(
            run=run,
            place=_place(ran),
            names=self._names(),
            earlier=self._session.earlier,
            failed=self._failed,
            is_known_to_follow=not function.user or function in self._followed,
            again=partial(ran.plan.again, run),
            options=self._options,
            broke=self._session.broke,
        )

    def _learn(self, call: Call, verdict: Verdict) -> None:
        """What this failure means for later calls.

        Of the calls of a function that only follow from an earlier failure one is a
        finding, and no more: after a NaN in the model each step of a loop that runs on
        would be one.
        """
        self._failed.add(call)
        if verdict.follows and verdict.failure is None and call.function.user:
            self._session.notice(
                f"later calls of {call.function.name} use values of an earlier "
                "finding; these are not findings of their own."
            )
        if verdict.follows:
            self._followed.add(call.function)

    def _note_placed(self, ran: Ran, suspects: list[int]) -> None:
        # A mask comes back with each call; to find its name costs more than the call.
        seen = (id(ran.plan), *suspects)
        if seen in self._placed:
            return
        self._placed.add(seen)
        paths = ran.run.result_names(Names())
        for i in suspects:
            self._session.placed(ran.run.call.function.name, paths[i])

    # -- what is kept ----------------------------------------------------------------

    def _inputs(self, ran: Ran, suspects: Sequence[int]) -> KeptCall | None:
        """The arguments of the call, for `repro` and `rewind`."""
        run, options = ran.run, self._options
        try:
            if not self._session.kept.has_room(run.call, run.args):
                return None
            return KeptCall.of(
                run,
                self._names(),
                _place(ran).site,
                suspects,
                self._session.earlier,
                copy=options.record and not options.async_,
            )
        except (Exception, KeyboardInterrupt) as error:
            name = run.call.function.name
            self._session.broke(f"keeping what {name} was given", error)
            return None

    def _outputs(self, verdict: Verdict) -> Mapping[str, Any]:
        """The bad results of the call, and in its finding what they hold."""
        failure, bad = verdict.failure, verdict.bad
        if failure is None or bad is None:
            return {}
        try:
            failure.finding = replace(
                failure.finding,
                outputs=self._limits.of(bad),
                pictures=self._limits.pictures_of(bad),
            )
            runs_on = self._options.record or self._options.async_
            return self._session.kept.fitting(bad.arrays, copy=runs_on)
        except (Exception, KeyboardInterrupt) as error:
            doing = "keeping the bad results of a call"
            self._session.broke(doing, error)
            return {}


def _place(ran: Ran) -> UserPlace:
    """Where the user made a call, or makes it now."""
    return ran.place or UserPlace.now(ran.run.call.function)
