"""Judges the calls of one region: a failure with what is kept of its call, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import numpy as np

from jaxdbg.checks import diagnosis, failure_messages, undiagnosed
from jaxdbg.checks.afterwards.bad_outputs import Limits, bad_of
from jaxdbg.checks.afterwards.kept_calls import KeptCall
from jaxdbg.checks.calls.allowed import allowed_now
from jaxdbg.checks.calls.call import Call, Run, UserPlace
from jaxdbg.checks.diagnosis import NO_FAILURE, Case, Verdict
from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.known_masks import Key
from jaxdbg.checks.library_values import Birth, LibraryValues
from jaxdbg.checks.plan import Plan, Ran, outputs_again
from jaxdbg.checks.session import Session
from jaxdbg.errors import Failure, broken, cause
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.library_calls import LibraryCall
from jaxdbg.origins.bad_elements import Codes, codes_of, count_of, kinds_in, kinds_of
from jaxdbg.origins.location import source_lines, wording
from jaxdbg.records import Origin
from jaxdbg.trees import finiteness
from jaxdbg.trees.calling_lines import MAX_LENGTH
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.names import Names
from jaxdbg.views import words

MAX_BIRTHS = 256
"""Of how many operations of libraries it is remembered what they give birth to."""

ALLOWED_SECONDS = 5.0
"""How long in all the calls of one function are looked into that give what is allowed;
from then on the same kinds in the same elements are taken for allowed."""

ALLOWED_LONG = "what is allowed comes back with each call, and is no longer looked into"


def doubt(why: str) -> str:
    """The reason why a call is not checked whose bad values may be no failure."""
    return f"whether bad values spread in it is not known: {why}"


class Judge:
    """Judges calls one after the other, and remembers which of them failed.

    Attributes:
        library_values: what is bad inside of a library's eager call.
    """

    def __init__(self, session: Session, names: Callable[[], Names]):
        self._session = session
        self._options = session.options
        self._names = names
        self._limits = Limits()
        self._failed: set[Call] = set()
        self._followed: set[Function] = set()
        self._placed: set[tuple[int, ...]] = set()
        self.library_values = LibraryValues(late=self._options.async_)
        self._births: dict[Hashable, Origin] = {}

    def judged(self, ran: Ran) -> Judgement | None:
        """The judgement on a call; None if it is no failure."""
        suspects = ran.suspects
        error, function = ran.run.error, ran.run.call.function
        exception = error.get_exception() if error is not None else None
        if suspects and exception is None and not function.user:
            ran = replace(ran, place=ran.place or UserPlace.now(function))
            if (birth := self._known_birth(ran, suspects)) is not None:
                return self._passed_on(ran, suspects, birth)
        try:
            verdict = self._verdict(ran, suspects, exception)
        except (Exception, KeyboardInterrupt) as broke:
            verdict = self._undiagnosed(ran.run, suspects, exception, broke)
        if verdict.failure is None:
            return None
        origin = verdict.failure.finding.origin
        library = ran.place.library if ran.place is not None else None
        if library is not None and origin is not None and exception is None:
            self._failed.discard(ran.run.call)
            birth = Birth(origin, ran.run.call, library)
            if origin.verdict == "born" and len(self._births) < MAX_BIRTHS:
                self._births[_place_of(ran, library, suspects)] = origin
            return self._passed_on(ran, suspects, birth)
        inputs, outputs = self._inputs(ran, suspects), self._outputs(verdict)
        return Judgement(
            verdict.failure, inputs, outputs, verdict.inside, verdict.follows
        )

    # -- what a library makes inside ---------------------------------------------------

    def come_out(self, frame: FrameType, args: Sequence[Any] = ()) -> list[Judgement]:
        """The judgements on what has come out of libraries' calls by now.

        Arguments:
            frame: that runs now.
            args: of a call that is to run.
        """
        found = self.library_values.come_out(frame, args)
        return [self._came_out(birth, array) for birth, array in found]

    def _known_birth(self, ran: Ran, suspects: Sequence[int]) -> Birth | None:
        """What a library's operation has passed on, or gives birth to once more.

        What a library throws away in a loop is not diagnosed each time. Of one that was
        the line and the operation are known; its values are others.
        """
        run, library = ran.run, ran.place.library if ran.place is not None else None
        birth = self.library_values.birth_of(run.given)
        if birth is not None or library is None or library.returns:
            return birth
        origin = self._births.get(_place_of(ran, library, suspects))
        if origin is None or finiteness.suspects(run.given):
            return None
        return Birth(_without_values(origin), run.call, library)

    def _passed_on(
        self, ran: Ran, suspects: Sequence[int], birth: Birth
    ) -> Judgement | None:
        """The judgement on a library's operation that makes or takes what is bad."""
        run, library = ran.run, ran.place.library if ran.place else None
        birth.calls.append(run.call)
        if library is None or library.returns:
            return self._came_out(birth, run.results[suspects[0]], late=False)
        arrays = [run.results[i] for i in suspects]
        self.library_values.hold(arrays, birth, library)
        return None

    def _came_out(self, birth: Birth, array: Any, late: bool = True) -> Judgement:
        self._failed.update(birth.calls)
        source = source_lines.source_frame(birth.library.line)
        name = wording.call_in_words(source_lines.expression_text(source))
        bad = bad_of([(name, array)]) if kinds_in(array) else None
        failure = failure_messages.came_out(
            birth.call, name, birth.origin, bad, self._options, late
        )
        return Judgement(failure, outputs=self._outputs(Verdict(failure, bad)))

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
        meant = self._options.allowed | allowed_now() | {"-inf"}
        bad = {i: held for i, held in kinds.items() if not meant.issuperset(held)}
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
        meant = self._allowed(ran)
        if meant:
            bad = self._without_allowed(run, bad, meant)
            if not bad:
                return NO_FAILURE
        inputs = (
            *finiteness.suspects([None if is_gone(a) else a for a in run.args]),
            *sorted(meant),
        )
        if not masks.know(bad, inputs):
            began = time.perf_counter()
            verdict = self._diagnosed(ran, bad, inputs)
            if verdict.failure is not None or verdict.follows:
                self._learn(run.call, verdict)
                return verdict
            if verdict.allowed:
                self._note_allowed(run, bad, verdict)
                ran.plan.allowed_seconds += time.perf_counter() - began
                if ran.plan.allowed_seconds < ALLOWED_SECONDS:
                    return NO_FAILURE
                verdict = replace(verdict, doubt=ALLOWED_LONG)
            masks.learn(bad, inputs)
            ran.plan.doubt = verdict.doubt or ran.plan.doubt
        if ran.plan.doubt:
            self._session.unchecked(doubt(ran.plan.doubt))
        self._note_placed(ran, suspects)
        return NO_FAILURE

    def _allowed(self, ran: Ran) -> frozenset[str]:
        """The kinds of values that are meant in all of a call."""
        here = ran.place.allowed if ran.place is not None else allowed_now()
        return self._options.allowed | here

    def _without_allowed(
        self, run: Run, bad: Mapping[int, Codes], meant: frozenset[str]
    ) -> dict[int, Codes]:
        """The bad results that hold more than what is meant; the others are counted."""
        left = {i: c for i, c in bad.items() if not meant.issuperset(kinds_of(c))}
        paths = run.result_names(Names()) if len(left) < len(bad) else []
        for i in bad.keys() - left.keys():
            for kind in kinds_of(bad[i]):
                where = f"in {paths[i]}"
                self._session.allowed(kind, where, count_of(bad[i], kind))
        return left

    def _note_allowed(
        self, run: Run, bad: Mapping[int, Codes], verdict: Verdict
    ) -> None:
        for i, found in verdict.allowed.items():
            where = f"in a result of {run.call.name}"
            if found.source is not None:
                where = f"at {words.place(found.source)}"
            for kind in kinds_of(bad[i]):
                self._session.allowed(kind, where, count_of(bad[i], kind))

    def _diagnosed(self, ran: Ran, bad: Mapping[int, Codes], inputs: Key) -> Verdict:
        kinds = {i: kinds_of(c) for i, c in bad.items()}
        case, failures = self._case(ran), ran.plan.failures
        if self._options.record and failures.know(bad, inputs):
            return diagnosis.of_known(case, kinds)
        verdict = diagnosis.of_outputs(case, kinds)
        if verdict.failure is not None:
            failures.learn(bad, inputs)
        return verdict

    def _of_operations(self, ran: Ran) -> Verdict:
        bad = tuple(np.flatnonzero(np.asarray(ran.run.ops)).tolist())
        if not bad or bad in ran.plan.benign:
            return NO_FAILURE
        verdict = diagnosis.inside(self._case(ran))
        if verdict.doubt:
            self._session.unchecked(doubt(verdict.doubt))
        elif verdict.failure is None and not self._allowed(ran):
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
            allowed=self._allowed(ran),
            allows=self._session.allows,
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
        function = ran.run.call.function
        if not function.user:
            self._note_placed_eagerly(function.name, _place(ran))
            return
        paths = ran.run.result_names(Names())
        for i in suspects:
            self._session.placed(function.name, paths[i])

    def _note_placed_eagerly(self, name: str, place: UserPlace) -> None:
        """The user's expression; what a library has inside its call is nobody's."""
        library = place.library
        if place.line is None or (library is not None and not library.returns):
            return
        source = source_lines.source_frame(place.line)
        text = source_lines.expression_text(source)
        short = text if len(text) <= MAX_LENGTH else wording.call_in_words(text)
        self._session.placed(words.place(source), short or f"eager {name}")

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


def _place_of(ran: Ran, library: LibraryCall, suspects: Sequence[int]) -> Hashable:
    """What a library's operation shares with itself in a later call of the library."""
    kinds = tuple(kinds_in(ran.run.results[i]) for i in suspects)
    return id(ran.plan), library.line, tuple(suspects), kinds


def _without_values(origin: Origin) -> Origin:
    """An origin as of a later call from its line, which was not looked into."""
    return Origin(
        origin.verdict,
        origin.kind,
        primitive=origin.primitive,
        expression=origin.expression,
        source=origin.source,
        library_source=origin.library_source,
        direction=origin.direction,
        notes=(
            "the values are not shown: an earlier call from this line was diagnosed",
        ),
    )
