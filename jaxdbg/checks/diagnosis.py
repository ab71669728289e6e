"""From a call whose results are bad to the failure that is raised, or to none.

The origin of a bad value decides. Born by arithmetic: a failure. A literal or a
constant, or came in through an argument: a failure if it spread, none if it stayed in
its elements. Origin not found: a failure if all inputs are good, except for a -Inf,
which may be a mask.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxdbg.checks import failure_messages, known_failures
from jaxdbg.checks.afterwards.bad_outputs import Bad, bad_of
from jaxdbg.checks.calls.allowed import allowed_at
from jaxdbg.checks.calls.call import Call, Run, UserPlace
from jaxdbg.checks.calls.earlier_calls import EarlierCalls, Made
from jaxdbg.checks.failure_messages import BadCall, CheckPlace
from jaxdbg.errors import Failure, NotOffered
from jaxdbg.jax_internals.arrays import REF, spans_processes
from jaxdbg.jax_internals.chex.asserted import one_of
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.jaxprs.effects import NotReplayable
from jaxdbg.jax_internals.jaxprs.refs import without_refs
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.options import Options
from jaxdbg.origins import batch_rows, devices
from jaxdbg.origins.bad_elements import codes_of, first_element, kinds_in
from jaxdbg.origins.causes.log_of_nothing import is_log_of_nothing
from jaxdbg.origins.found import Birth, Found
from jaxdbg.origins.frames.described import described
from jaxdbg.origins.frames.inside import Inside, NotInside, inside as frames_inside
from jaxdbg.origins.location import source_lines, wording
from jaxdbg.origins.location.where import Context, Where, locate
from jaxdbg.origins.search.assertions import failed_check
from jaxdbg.origins.search.search import (
    by_time,
    depends,
    first_birth,
    search,
    search_here,
)
from jaxdbg.origins.search.time_limit import OutOfTime, TimeLimit
from jaxdbg.origins.story import describe
from jaxdbg.records import Origin, SourceFrame, Turn
from jaxdbg.records.finding_kinds import FINDING_KINDS
from jaxdbg.records.trees import tree_name
from jaxdbg.trees import finiteness
from jaxdbg.trees.call_names import input_names
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.holder import holder
from jaxdbg.trees.leaves import is_of_optimizer
from jaxdbg.trees.names import Names
from jaxdbg.trees.paths import element_path
from jaxdbg.views.words import KINDS

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr

MAX_BACK = 3
"""Through how many earlier calls a value that came in is followed."""

FRAMES_SECONDS = 5.0
"""How long the frames inside a call may take, once its origin is known."""

_NO_FRAMES = "the frames inside the call are not known"

IN_SEVERAL = "it ran in several processes, and the shards of the others are not here"
"""Why a call is not evaluated again."""

Kinds = Mapping[int, Sequence[str]]
"""By index of a bad result, which of "nan", "inf", "-inf" it holds."""


@dataclass(frozen=True, slots=True)
class Case:
    """A call with something bad in it, and what a diagnosis needs to know.

    Attributes:
        run: the call, which ran.
        place: where the user made it.
        names: what the user calls things.
        earlier: the calls of the region before it.
        failed: those of them that failed, or that followed from one that failed.
        is_known_to_follow: whether a call of its function that only follows from an
            earlier failure need not be reported any more.
        again: runs the call once more with other arguments; returns its outputs.
        options: of the region.
        broke: notes that a part of jaxdbg broke, with what it was doing.
        allowed: the kinds of values that are meant in all of the call.
        allows: notes a frame of the user's in which something is allowed.
    """

    run: Run
    place: UserPlace
    names: Names
    earlier: EarlierCalls
    failed: Collection[Call]
    is_known_to_follow: bool
    again: Callable[[Sequence[Any]], list[Any]]
    options: Options
    broke: Callable[[str, BaseException], None]
    allowed: frozenset[str] = frozenset()
    allows: Callable[[Frame], None] = lambda _: None

    @property
    def result_names(self) -> list[str]:
        """What the user calls each result."""
        return self.run.result_names(self.names, self.place.site)


@dataclass(frozen=True, slots=True)
class Meant:
    """Where values were born that the user allows.

    Attributes:
        kind: which they are.
        source: the first line that the user allows them at; None for no line.
    """

    kind: str
    source: SourceFrame | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a diagnosis says.

    Attributes:
        failure: None if the call is no failure, or one that need not be reported.
        bad: its bad results.
        follows: whether the call only passed on a value of an earlier failure.
        doubt: why it is not known whether the call is a failure; empty if it is.
        allowed: where values were born that the user allows, by index of the result.
        inside: the user's frames inside the call where the value was born.
    """

    failure: Failure | None = None
    bad: Bad | None = None
    follows: bool = False
    doubt: str = ""
    allowed: Mapping[int, Meant] = field(default_factory=dict)
    inside: Inside | None = None


NO_FAILURE = Verdict()

NOT_REPRODUCED = "a second evaluation did not reproduce it"


def of_outputs(case: Case, kinds: Kinds) -> Verdict:
    """The verdict on a call with bad results."""
    return _Diagnosis(case).of_outputs(kinds)


def of_known(case: Case, kinds: Kinds) -> Verdict:
    """The verdict on a call that fails as others that have been looked into."""
    worst = min((k for held in kinds.values() for k in held), key=list(KINDS).index)
    return _failure(case, describe.not_reproduced(worst, known_failures.WHY), kinds)


def of_lost(case: Case, outputs: Sequence[int]) -> Verdict:
    """The verdict on a call in several processes whose bad results are donated since.

    Arguments:
        case: the call.
        outputs: indices of its results that held a NaN or +Inf.
    """
    return _Diagnosis(case).of_lost(outputs)


def of_check(case: Case, exception: Any) -> Verdict:
    """The verdict on a call in which a check of the user's failed.

    Arguments:
        case: the call.
        exception: checkify's own exception for it.
    """
    one, shard = one_of(exception)
    place, origin = CheckPlace(), None
    if type(one).__name__ == FINDING_KINDS["check"].error:
        place, origin = _Diagnosis(case).of_failed_check(str(one.fmt_string), shard)
    call = case.run.call
    return Verdict(failure_messages.failed_check(exception, call, origin, place=place))


def inside(case: Case) -> Verdict:
    """The verdict on a call in which the result of some operation is bad."""
    try:
        diagnosis = _Diagnosis(case)
        origin = diagnosis.of_first_birth()
    except (OutOfTime, NotReplayable, NotOffered) as reason:
        return Verdict(doubt=str(reason))
    if origin is None:
        return NO_FAILURE
    failure = failure_messages.inside(case.run.call, origin)
    return Verdict(failure, inside=diagnosis.inside)


def without_jaxpr(case: Case, kinds: Kinds) -> Verdict:
    """The verdict on a call with bad results that cannot be looked into."""
    kind = next(iter(kinds.values()))[0]
    why = "an AOT-compiled function cannot be looked into"
    shard = _Diagnosis(case).shard(list(kinds))
    return _failure(case, describe.not_reproduced(kind, why, shard), kinds)


@dataclass(frozen=True, slots=True)
class _Failing:
    """An origin that makes a call a failure, and the output it was found by."""

    found: Found
    output: int


def _failure(
    case: Case,
    origin: Origin,
    kinds: Kinds,
    follows: bool = False,
    reached: Collection[int] = (),
) -> Verdict:
    """The failure of a call.

    Arguments:
        case: the call.
        origin: the first origin.
        kinds: of its bad results.
        follows: whether it only passed on an earlier failure.
        reached: the results that the origin has reached; no other is named first.
    """
    run, written = case.run, len(case.run.outs)
    try:
        paths, results = case.result_names, run.results
        order = _as_named(run, paths, kinds, reached)
        of_origin = [n for n, i in enumerate(order) if i in reached]
        bad = bad_of([(paths[i], results[i]) for i in order], of_origin)
        in_ref = max(kinds) >= written
        call = BadCall(run.call, origin, bad, in_ref, case.options)
        return Verdict(failure_messages.non_finite(call), bad, follows)
    except Exception as error:
        # What failed is to say where it is, not that it is.
        case.broke(f"naming what {run.call.function.name} gave", error)
        return Verdict(failure_messages.unnamed(run.call, origin), follows=follows)


def _as_named(
    run: Run, paths: Sequence[str], outputs: Collection[int], reached: Collection[int]
) -> list[int]:
    """Results in the order in which a failure names them.

    Those that the origin has reached are first. A model says more than a loss, so
    variables of one number are the last, and before them the state of an optimizer.
    Results in one variable are in the order in which they are made.
    """
    roots = {i: tree_name(paths[i]) for i in outputs}
    variables = list(dict.fromkeys(roots.values()))

    def rank(i: int) -> tuple[bool, bool, bool, int]:
        is_number = paths[i] == roots[i] and math.prod(run.results[i].shape) == 1
        of_optimizer, of_variable = is_of_optimizer(paths[i]), variables.index(roots[i])
        return i not in reached, is_number, of_optimizer, of_variable

    return sorted(_in_order(run, outputs), key=rank)


def _in_order(run: Run, outputs: Collection[int]) -> list[int]:
    """Results in the order in which they are made; those of Refs are the last."""
    if run.jaxpr is None:
        return list(outputs)
    written = [i for i in outputs if i < len(run.outs)]
    return [*by_time(run.jaxpr, written), *(i for i in outputs if i >= len(run.outs))]


class _Diagnosis:
    """Of one call: searches, and turns what is found into an `Origin`."""

    def __init__(self, case: Case):
        self._case = case
        self._run = case.run
        self._time_limit = _time_limit(case.run.call)
        self.inside: Inside | None = None

    def of_outputs(self, kinds: Kinds) -> Verdict:
        """See `of_outputs` above."""
        found, why = self._searched(kinds)
        failing = self._failing(found)
        if failing:
            first = self._first(failing)
            follows = self._only_follows(first.found)
            if follows and self._case.is_known_to_follow:
                return Verdict(follows=True)
            origin = self._origin(first.found, first.output)
            device = origin.device or self.shard(list(kinds))
            others = self._others(first, failing)
            origin = replace(origin, device=device, others=others)
            kinds = self._made_here(kinds, found)
            reached = self._reached(first.found, found, failing, kinds)
            verdict = _failure(self._case, origin, kinds, follows, reached)
            return replace(verdict, inside=self.inside)
        return self._in_doubt(kinds, found, why)

    def _made_here(self, kinds: Kinds, found: Mapping[int, Found]) -> Kinds:
        """Without the Refs that hold what they held before the call."""
        written = len(self._run.outs)
        new = {
            i: held
            for i, held in kinds.items()
            if i < written
            or i not in found
            or found[i].verdict != "came in"
            or found[i].spread
        }
        return new or kinds

    def _in_doubt(self, kinds: Kinds, found: Mapping[int, Found], why: str) -> Verdict:
        """The verdict where no origin makes the call a failure."""
        doubtful = [i for i in kinds if _is_in_doubt(found.get(i), kinds[i])]
        if not doubtful:
            return Verdict(allowed=self._allowed(found))
        first = doubtful[0]
        notes = found[first].notes if first in found else ()
        why = why or "; ".join(notes)
        if not self._was_good():
            return Verdict(doubt=why or NOT_REPRODUCED)
        origin = describe.not_reproduced(kinds[first][0], why, self.shard(doubtful))
        return _failure(self._case, origin, kinds)

    def _allowed(self, found: Mapping[int, Found]) -> dict[int, Meant]:
        return {
            i: Meant(f.kind, self._source(f.allowed[0]))
            for i, f in found.items()
            if f.verdict == "allowed"
        }

    def _is_allowed(self, site: Site, kind: str) -> bool:
        """Whether the user allows this kind of value to be born at an equation."""
        if kind in self._case.allowed:
            return True
        frames = self._frames(site)
        if kind not in allowed_at((f.file, f.line, f.end_line) for f in frames):
            return False
        self._case.allows(frames[0])
        return True

    def _source(self, site: Site) -> SourceFrame | None:
        return source_lines.users(self._frames(site))

    def _frames(self, site: Site) -> list[Frame]:
        """The user's frames in which an equation was made, from inside out."""
        line = (
            self._case.place.line
        )  # a jaxpr of an eager one knows its first line only
        if line is not None:
            return [line]
        frames = source_lines.frames_outward([site.eqn, *reversed(site.outer)])
        return [f for f in frames if is_user_file(f.file)]

    def of_lost(self, outputs: Sequence[int]) -> Verdict:
        """See `of_lost` above."""
        if not self._was_good():
            return Verdict(doubt=IN_SEVERAL)
        run = self._run
        path = self._case.result_names[outputs[0]]
        origin = describe.not_reproduced("nan", IN_SEVERAL)
        return Verdict(failure_messages.lost(run.call, path, origin))

    def shard(self, outputs: Sequence[int]) -> str:
        """The first bad element that is on one device, and the device, in words.

        A result that each device has whole, a loss, is no help to find the culprit.
        """
        if not self._run.spans_processes:
            return ""
        for i in outputs:
            result = self._run.results[i]
            codes = codes_of(result)
            element = first_element(codes != 0) if codes is not None else ()
            if device := holder(result, element):
                path = self._case.result_names[i]
                return f"{device}: {element_path(path, element)}"
        return ""

    def of_first_birth(self) -> Origin | None:
        """The origin of the first value in the call that is not finite."""
        if self._run.spans_processes:
            return None
        found = first_birth(
            self._jaxpr, self._run.values, self._time_limit, self._is_allowed
        )
        return self._origin(found, None) if found is not None else None

    def of_failed_check(
        self, text: str, shard: int | None
    ) -> tuple[CheckPlace, Origin | None]:
        """Where a check failed, and the origin of the value it found to be bad.

        Arguments:
            text: of the check.
            shard: on which of the devices of a mesh it failed.
        """
        place = CheckPlace()
        if self._run.spans_processes or any(map(is_gone, self._run.args)):
            return place, None
        try:
            place = CheckPlace(
                device=devices.of_shard(self._jaxpr, self._run.args, shard)
            )
            args = self._run.values
            failed = failed_check(self._jaxpr, args, text, self._time_limit)
            if failed is None:
                return place, None
            where = self._located(failed.site)
            place = replace(place, loop=failed.site.loop, module=where.module)
            return place, self._of_checked(failed.found)
        except (OutOfTime, NotReplayable, KeyboardInterrupt):
            return place, None
        except Exception as error:
            self._case.broke("looking for where a value was born", error)
            return place, None

    def _of_checked(self, found: Found | None) -> Origin | None:
        if found is None or found.verdict not in ("born", "came in"):
            return None
        spread = found.verdict == "born" or found.spread
        return replace(self._origin(found, None), spread=spread)

    # -- the verdict -----------------------------------------------------------------

    def _searched(self, kinds: Kinds) -> tuple[dict[int, Found], str]:
        """What the search has found, and why it has not found more."""
        run = self._run
        is_written = any(i >= len(run.outs) for i in kinds)
        if is_written and (run.spans_processes or not run.before):
            return {}, "it was written to a Ref"
        if any(map(is_gone, run.args)):
            return {}, "what the call was given is gone"
        found: dict[int, Found] = {}
        try:
            if run.spans_processes:
                return self._searched_here(kinds), IN_SEVERAL
            # It ends with the first output that holds what was born, be it a mask.
            while left := [i for i in kinds if i not in found]:
                if self._failing(found):
                    break
                seen = {i: _held(run.results[i]) for i in left}
                found |= search(
                    self._jaxpr,
                    run.values,
                    left,
                    self._time_limit,
                    seen,
                    self._is_allowed,
                )
                self._note_broken(found)
            return found, ""
        except (OutOfTime, NotReplayable, NotOffered) as reason:
            return found, str(reason)
        except KeyboardInterrupt:
            return found, "the search was interrupted"
        except Exception as error:
            self._case.broke("looking for where a value was born", error)
            return found, f"{type(error).__name__}: {error}"

    def _note_broken(self, found: Mapping[int, Found]) -> None:
        for one in found.values():
            if one.broke is not None:
                doing = "looking at intermediate results of the compiled program"
                self._case.broke(doing, one.broke)

    def _searched_here(self, kinds: Kinds) -> dict[int, Found]:
        """What the shards of this process say of a call in several."""
        run, left = self._run, list(kinds)
        seen = {i: run.outs[i] for i in left}
        return search_here(
            self._jaxpr, run.args, left, self._time_limit, seen, self._is_allowed
        )

    def _reached(
        self,
        first: Found,
        found: Mapping[int, Found],
        failing: Sequence[_Failing],
        outputs: Iterable[int],
    ) -> list[int]:
        """The outputs whose bad elements come from an origin, as far as is known.

        With a birth goes that of its derivative. Not each output is searched: that they
        depend on the origin has to do for the others.
        """
        written = set(self._expressions(first))
        of_it = [
            f.found
            for f in failing
            if f.found.same(first) or not written.isdisjoint(self._expressions(f.found))
        ]
        dependent = depends(self._jaxpr, first)

        def is_of_it(origin: Found) -> bool:
            return any(map(origin.same, of_it))

        return [
            i
            for i in outputs
            if (
                any(map(is_of_it, (found[i], *found[i].also)))
                if i in found
                else i in dependent
            )
        ]

    def _failing(self, found: Mapping[int, Found]) -> list[_Failing]:
        """The origins that make the call a failure, each once; those born first."""
        inside = self._case.place.inside
        each = [_Failing(f, i) for i, o in found.items() for f in (o, *o.also)]
        born = [
            f
            for f in each
            if f.found.verdict == "born" and not is_log_of_nothing(f.found, inside)
        ]
        spread = [f for f in each if f.found.spread and f.found.is_failure]
        distinct: list[_Failing] = []
        for one in [*born, *spread]:
            if not any(one.found.same(f.found) for f in distinct):
                distinct.append(one)
        return distinct

    def _first(self, failing: Sequence[_Failing]) -> _Failing:
        """The earliest of some origins; those of the backward pass come after all."""
        if len(failing) == 1:
            return failing[0]
        try:
            return min(failing, key=self._when)
        except Exception as error:
            self._case.broke("looking for the earliest of several births", error)
            return failing[0]

    def _when(self, one: _Failing) -> tuple[Any, ...]:
        found = one.found
        if found.birth is None:
            return (True,)
        is_backward = self._located(found.birth.site).direction == "backward"
        return False, found.candidate, is_backward, found.order

    def _others(self, first: _Failing, failing: Sequence[_Failing]) -> tuple[Turn, ...]:
        """Further births in their order; with a birth goes that of its derivative."""
        known = set(self._expressions(first.found))
        others = []
        try:
            for found in sorted((f.found for f in failing), key=lambda f: f.order):
                written = self._expressions(found)
                # One without a line of the user's has no expression to know it by.
                is_other = not found.same(first.found) and known.isdisjoint(written)
                if found.birth is not None and is_other:
                    others.append(self._other(found.birth))
                known.update(written)
        except Exception as error:
            # The failure stands without them.
            self._case.broke("looking for further births", error)
        return tuple(others)

    def _expressions(self, found: Found) -> list[SourceFrame]:
        """The user's expression of a birth, and the one that it differentiates."""
        if found.birth is None:
            return []
        where = self._located(found.birth.site)
        return list(filter(None, (where.source, where.forward_source)))

    def _other(self, birth: Birth) -> Turn:
        where = self._located(birth.site)
        text = f"{KINDS[birth.kind]} in `{where.expression}`"
        return describe.turn_of(birth, where, text)

    def _was_good(self) -> bool:
        """Whether all that went into the call was good, as far as it is still there."""
        run = self._run
        values = [
            *(a for a in run.values if not (is_gone(a) or isinstance(a, REF))),
            *getattr(run.jaxpr, "consts", ()),
        ]
        return not (run.lost or any(kinds_in(v) for v in values))

    def _only_follows(self, found: Found) -> bool:
        """Whether the bad value is one that an earlier failure has passed on."""
        made = self._made(found.argument) if found.verdict == "came in" else None
        return made is not None and made.call in self._case.failed

    # -- the origin ------------------------------------------------------------------

    def _origin(self, found: Found, output: int | None) -> Origin:
        try:
            origin = describe.describe(found, self._case_of_origin(), output)
        except Exception as error:
            # What failed is to say why, not that the value is bad.
            self._case.broke("telling where a value was born", error)
            return Origin(found.verdict, found.kind, notes=found.notes)
        return self._with_frames(origin, found.birth)

    def _with_frames(self, origin: Origin, birth: Birth | None) -> Origin:
        """The origin with the user's frames, which are also kept as they are."""
        if birth is None or self._case.place.call is None:
            return origin
        if self._run.spans_processes:
            return replace(origin, frames_note=f"{_NO_FRAMES}: {IN_SEVERAL}")
        try:
            limit = TimeLimit(FRAMES_SECONDS)
            self.inside = frames_inside(birth, self._context, limit)
            return described(origin, self.inside)
        except NotInside as reason:
            return replace(origin, frames_note=f"{_NO_FRAMES}: {reason}")
        except KeyboardInterrupt:
            return replace(origin, frames_note=f"{_NO_FRAMES}: interrupted")
        except Exception as error:
            self._case.broke("looking into the frames of the function", error)
            return origin

    def _case_of_origin(self) -> describe.OriginCase:
        case, run = self._case, self._run
        fails, why_not = self._fails()
        return describe.OriginCase(
            jaxpr=self._jaxpr,
            args=run.values,
            inputs=self._inputs,
            passed=run.passed_as(case.names, case.place.site),
            outs=[*map(_held, run.results)],
            locate=self._located,
            broke=case.broke,
            fails=fails,
            why_not=why_not,
            growth=self._growth(),
            made=lambda i: self._made_origin(self._made(i), MAX_BACK),
            is_parameter=self._is_parameter,
        )

    @cached_property
    def _context(self) -> Context:
        case, run = self._case, self._run
        return Context(
            run.jaxpr,
            run.values,
            case.place.call,
            case.names,
            run.call.function.name,
            case.broke,
        )

    def _located(self, site: Site) -> Where:
        """Where an equation is written; for an eager one, where the user called it."""
        where = locate(site, self._context)
        line = self._case.place.line
        if where.source is not None or line is None:
            return where
        source = source_lines.source_frame(line)
        name = str(site.eqn.primitive.name)
        called = source_lines.public_names([self._run.call.function.name])
        text = source_lines.expression_text(source)
        expression, direct = wording.in_source(name, text, called)
        library = where.library_source
        return replace(
            where,
            source=source,
            expression=expression or where.expression,
            library_source=None if direct and _is_of_jax(library) else library,
            notes=(),  # that its module is not known is no news
        )

    def _made(self, argument: int) -> Made | None:
        return self._case.earlier.made(self._run.given[argument])

    def _made_origin(
        self, made: Made | None, back: int
    ) -> tuple[str, Origin | None] | None:
        """The call that made an argument, and the origin of the value in that call."""
        if made is None:
            return None
        if made.jaxpr is None or made.args is None or back <= 0:
            return str(made), None
        if any(map(spans_processes, made.args)):
            return str(made), None
        args, info = made.args, made.jaxpr.jaxpr.debug_info
        jaxpr = without_refs(made.jaxpr)
        function, names = made.call.function.name, self._case.names
        try:
            found = search(jaxpr, args, [made.output], self._time_limit)
            self._note_broken(found)
        except (OutOfTime, NotReplayable):
            return str(made), None
        context = Context(made.jaxpr, args, None, names, function)
        earlier = self._case.earlier
        case = describe.OriginCase(
            jaxpr=jaxpr,
            args=args,
            inputs=input_names(function, args, info, names),
            outs=(),
            locate=lambda site: locate(site, context),
            broke=self._case.broke,
            made=lambda i: self._made_origin(earlier.made(args[i]), back - 1),
        )
        there = found.get(made.output)
        return str(made), describe.describe(there, case) if there is not None else None

    def _fails(self) -> tuple[Callable[[Sequence[Any]], bool] | None, str]:
        """How to run the step again; None, with the reason, where that must not be."""
        run = self._run
        if not run.call.function.user:
            return None, ""
        if run.spans_processes:
            return None, "not looked for: the step runs in several processes"
        if run.jaxpr.effects:
            return None, "not looked for: the step prints, calls back, or writes a Ref"
        if any(is_gone(a) for a in run.args):
            return None, "not looked for: an argument of the step is gone"

        def fails(args: Sequence[Any]) -> bool:
            outs = self._case.again(args)
            return bool(finiteness.suspects([outs[i] for i in run.layout.floats]))

        return fails, ""

    def _growth(self) -> tuple[float, ...]:
        series = self._case.earlier.growth(self._run.call.function)
        values = next(iter(series.values()), ())
        known = tuple(v for v in values if v == v)
        return known if len(known) > 1 else ()

    def _is_parameter(self, argument: int) -> bool:
        run = self._run
        return argument in batch_rows.parameters(run.args, self._inputs, run.outs)

    @cached_property
    def _jaxpr(self) -> ClosedJaxpr:
        """What is evaluated again."""
        return without_refs(self._run.jaxpr)

    @cached_property
    def _inputs(self) -> list[str]:
        return self._run.input_names(self._case.names)


def _held(result: Any) -> Any:
    """A result, or what the Ref holds that it was written to."""
    return result[...] if isinstance(result, REF) else result


def _is_in_doubt(found: Found | None, kinds: Sequence[str]) -> bool:
    """Whether a result may be bad for a reason that was not found."""
    known = found is not None and found.verdict != "not reproduced"
    return not known and set(kinds) != {"-inf"}


def _is_of_jax(library: SourceFrame | None) -> bool:
    return library is not None and source_lines.is_of_jax(library)


def _time_limit(call: Call) -> TimeLimit:
    def slow() -> None:
        # Not part of the report: whoever waits should know for what, now.
        sys.stderr.write(
            f"jaxdbg: a value that is not finite in {call}; looking for where it was "
            "born (a minute at most, interrupt to go without).\n"
        )

    return TimeLimit(slow=slow)
