"""From a call whose results are bad to the failure that is raised, or to none.

What decides is where the badness comes from. Born by arithmetic: a failure. Placed by
a literal or a constant: none. Came in through an argument: a failure where it spread,
none where it stayed in its elements. Not to be found out: a failure where all inputs
are good; but a -Inf that cannot be told from a mask is taken for one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jaxdbg.checks import failure_messages as findings
from jaxdbg.checks.earlier_calls import Made
from jaxdbg.compiles.listener import Function
from jaxdbg.errors import Failure
from jaxdbg.jax_internals.arrays import REF
from jaxdbg.jax_internals.calls import UserCall, running_call
from jaxdbg.jax_internals.jaxprs.effects import NotReplayable
from jaxdbg.jax_internals.source_info import Frame, is_of_jax
from jaxdbg.jax_internals.standing import functions_below, user_frame
from jaxdbg.origins import batch_rows as rows, causes, tell as story
from jaxdbg.origins.bad_elements import kinds_in
from jaxdbg.origins.found import Found, Site
from jaxdbg.origins.location import source_lines as lines, wording as words
from jaxdbg.origins.location.where import Context, Where, locate
from jaxdbg.origins.search.assertions import asserted_values
from jaxdbg.origins.search.search import first_birth, search
from jaxdbg.origins.search.time_limit import OutOfTime, Patience
from jaxdbg.records import Origin, SourceFrame
from jaxdbg.trees import call_names, finiteness as finite
from jaxdbg.trees.copies import is_gone

if TYPE_CHECKING:
    from jaxdbg.checks.checker import Checked
    from jaxdbg.checks.session import Session
    from jaxdbg.trees.names import Names

MAX_BACK = 3
"""Through how many earlier calls a value that came in is followed."""


@dataclass(frozen=True, slots=True)
class Stands:
    """Where the user's program stood when a call was made.

    Attributes:
        call: the user's function and its arguments, where jit was running a call.
        line: the user's line, for an eager operation, which knows only its first one.
        inside: names of the library's functions it was called in.
    """

    call: UserCall | None = None
    line: Frame | None = None
    inside: tuple[str, ...] = ()

    @classmethod
    def now(cls, function: Function) -> Stands:
        """Where it stands now, in a call of this function."""
        frame = sys._getframe(1)
        if function.user:
            return cls(call=running_call(frame))
        # `jit(net.apply)` of a library is called as if it were the user's.
        call = None if is_of_jax(function.source) else running_call(frame)
        return cls(call, user_frame(frame), functions_below(frame))


@dataclass(slots=True)
class Aftermath:
    """What earlier failures of a region mean for later calls.

    Attributes:
        calls: that gave bad values, and were told of or follow from one that was.
        told: functions of which one call was told that follows from another's failure.
    """

    calls: set[tuple[Function, int]] = field(default_factory=set)
    told: set[Function] = field(default_factory=set)


@dataclass(slots=True)
class Diagnosis:
    """Of one call.

    Attributes:
        checked: the call, which ran.
        names: what the user calls things.
        session: of the region.
        aftermath: of its earlier failures.
        again: runs the call once more with other arguments, and gives its outputs.
        follows: whether the call only went on with what an earlier finding tells.
        silent: whether that has been told for its function, and need not be again.
    """

    checked: Checked
    names: Names
    session: Session
    aftermath: Aftermath
    again: Callable[[Sequence[Any]], list[Any]]
    follows: bool = field(default=False, init=False)
    silent: bool = field(default=False, init=False)
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self._patience = _patience(self.checked.call)

    # -- what is asked ---------------------------------------------------------------

    def of_outputs(self, kinds: Mapping[int, Sequence[str]]) -> Failure | None:
        """The failure of a call with these bad results; None where it is none.

        Arguments:
            kinds: by index of the result, which of "nan", "inf", "-inf" it holds.
        """
        found, why = self._searched(kinds)
        output = self._failing(found)
        if output is not None:
            self.follows = self._only_follows(found[output])
            self.silent = self.follows and self._was_told()
            if self.silent:
                return None
            failure = self._told(self._story(found[output], output), kinds)
            failure.follows = self.follows
            return failure
        doubtful = [i for i in kinds if _is_in_doubt(found.get(i), kinds[i])]
        if not doubtful or not self._was_good():
            return None
        notes = found[doubtful[0]].notes if doubtful[0] in found else ()
        origin = story.not_reproduced(kinds[doubtful[0]][0], why or "; ".join(notes))
        return self._told(origin, kinds)

    def inside(self) -> Failure | None:
        """The failure of a call in which some operation gave a bad value."""
        found = first_birth(self.checked.jaxpr, self.checked.args, self._patience)
        if found is None:
            return None
        origin = self._story(found, None)
        return findings.inside(self.checked.call, origin)

    def of_check(self, exception: Any) -> Failure:
        """The failure of a call in which a check of the user's failed.

        Arguments:
            exception: checkify's own exception for it.
        """
        self.aftermath.calls.add(_key(self.checked.call))
        origin = None
        if type(exception).__name__ == "FailedCheckError":
            origin = self._of_checked_value("finite" in str(exception))
        return findings.failed_check(exception, self.checked.call, origin)

    # -- the verdict -----------------------------------------------------------------

    def _searched(
        self, kinds: Mapping[int, Sequence[str]]
    ) -> tuple[dict[int, Found], str]:
        """What the search has found, and why it has not found more."""
        checked = self.checked
        if any(i >= len(checked.outs) for i in kinds):
            return {}, "it was written to a Ref"
        if any(map(is_gone, checked.args)):
            return {}, "what the call was given is gone"
        found: dict[int, Found] = {}
        try:
            # It ends with the first output that holds what was born, be it a mask.
            while left := [i for i in kinds if i not in found]:
                if self._failing(found) is not None:
                    break
                seen = {i: checked.outs[i] for i in left}
                found |= search(checked.jaxpr, checked.args, left, self._patience, seen)
            return found, ""
        except (OutOfTime, NotReplayable) as reason:
            return found, str(reason)
        except KeyboardInterrupt:
            return found, "the search was interrupted"
        except Exception as error:
            self.session.broke("looking for where a value was born", error)
            return found, f"{type(error).__name__}: {error}"

    def _failing(self, found: Mapping[int, Found]) -> int | None:
        """The output that makes the call a failure, the one that was born first."""
        born = [
            i
            for i, f in found.items()
            if f.verdict == "born"
            and not causes.is_log_of_nothing(f, self.checked.stands.inside)
        ]
        spread = [i for i, f in found.items() if f.verdict == "came in" and f.spread]
        return next(iter([*born, *spread]), None)

    def _was_good(self) -> bool:
        """Whether all that went into the call was good, as far as it is still there."""
        checked = self.checked
        values = [
            *(a for a in checked.args if not (is_gone(a) or isinstance(a, REF))),
            *getattr(checked.jaxpr, "consts", ()),
        ]
        return not (checked.lost or any(kinds_in(v) for v in values))

    def _only_follows(self, found: Found) -> bool:
        """Whether this only goes on with what an earlier finding has told."""
        call, after = self.checked.call, self.aftermath
        made = self._made(found.argument) if found.verdict == "came in" else None
        follows = made is not None and _key(made.call) in after.calls
        after.calls.add(_key(call))
        return follows

    def _was_told(self) -> bool:
        """Whether a call of this function that only follows was told before.

        Of each function of the user's one such call is told, and then no more: after a
        NaN in the model each step of a loop that runs on would be one.
        """
        call, after = self.checked.call, self.aftermath
        if not call.function.user:
            return True
        if call.function in after.told:
            self.session.notice(
                f"later calls of {call.function.name} went on with what an earlier "
                "finding tells of; these are not findings of their own."
            )
            return True
        after.told.add(call.function)
        return False

    def _of_checked_value(self, finite: bool) -> Origin | None:
        """The story of the value that an assertion found to be bad, if that is why.

        Arguments:
            finite: whether it says that something is not finite: then the first birth
                is told, where what was asserted cannot be reached.
        """
        checked = self.checked
        try:
            values = asserted_values(checked.jaxpr)
            if values is None and not finite:
                return None
            if values is None:
                found = first_birth(checked.jaxpr, checked.args, self._patience)
                return self._story(found, None) if found is not None else None
            outputs = range(len(values.out_avals))
            each = search(values, checked.args, outputs, self._patience)
            told = [f for f in each.values() if f.verdict == "born" or f.spread]
            first = min(told, key=lambda f: f.verdict != "born", default=None)
            return self._story(first, None) if first is not None else None
        except (OutOfTime, NotReplayable, KeyboardInterrupt):
            return None
        except Exception as error:
            self.session.broke("looking for where a value was born", error)
            return None

    # -- the story -------------------------------------------------------------------

    def _told(self, origin: Origin, kinds: Mapping[int, Sequence[str]]) -> Failure:
        checked, options = self.checked, self.session.options
        self.aftermath.calls.add(_key(checked.call))
        try:
            return findings.non_finite(
                checked.call,
                origin,
                suspects=list(kinds),
                results=checked.results,
                paths=self._paths(),
                written=len(checked.outs),
                options=options,
                room=self.session.room,
            )
        except Exception as error:
            # What failed is to say where it is, not that it is.
            doing = f"naming what {checked.call.function.name} gave"
            self.session.broke(doing, error)
            return findings.unnamed(checked.call, origin)

    def _story(self, found: Found, output: int | None) -> Origin:
        try:
            return self._whole_story(found, output)
        except Exception as error:
            # What failed is to say why, not that the value is bad.
            self.session.broke("telling where a value was born", error)
            return Origin(found.verdict, found.kind, notes=found.notes)

    def _whole_story(self, found: Found, output: int | None) -> Origin:
        checked = self.checked
        context = Context(
            checked.jaxpr,
            checked.args,
            checked.stands.call,
            self.names,
            checked.call.function.name,
            self.session.broke,
        )
        fails, why_not = self._fails()
        case = story.Case(
            jaxpr=checked.jaxpr,
            args=checked.args,
            inputs=self._inputs(),
            outs=checked.outs,
            locate=lambda site: self._located(site, context),
            broke=self.session.broke,
            fails=fails,
            why_not=why_not,
            growth=self._growth(),
            made=lambda i: self._made_story(self._made(i), MAX_BACK),
            is_parameter=self._is_parameter,
        )
        return story.tell(found, case, output)

    def _located(self, site: Site, context: Context) -> Where:
        """Where an equation stands; of an eager one, where the user called it."""
        where = locate(site, context)
        line = self.checked.stands.line
        if where.source is not None or line is None:
            return where
        source = lines.source_frame(line)
        name = str(site.eqn.primitive.name)
        told, direct = words.in_source(name, lines.marked(source))
        library = where.library_source
        return replace(
            where,
            source=source,
            expression=told or where.expression,
            library_source=None if direct and _is_of_jax(library) else library,
            notes=(),  # that its module is not known is no news
        )

    def _made(self, argument: int) -> Made | None:
        given = self.checked.given or self.checked.args
        return self.session.memory.made(given[argument])

    def _made_story(
        self, made: Made | None, back: int
    ) -> tuple[str, Origin | None] | None:
        """The call that made an argument, and the story of that call."""
        if made is None:
            return None
        if made.jaxpr is None or made.args is None or back <= 0:
            return str(made), None
        args, info = made.args, made.jaxpr.jaxpr.debug_info
        function = made.call.function.name
        try:
            found = search(made.jaxpr, args, [made.output], self._patience)
        except (OutOfTime, NotReplayable):
            return str(made), None
        context = Context(made.jaxpr, args, None, self.names, function)
        case = story.Case(
            jaxpr=made.jaxpr,
            args=args,
            inputs=call_names.input_names(function, args, info, self.names),
            outs=(),
            locate=lambda site: locate(site, context),
            broke=self.session.broke,
            made=lambda i: self._made_story(
                self.session.memory.made(args[i]), back - 1
            ),
        )
        told = found.get(made.output)
        return str(made), story.tell(told, case) if told is not None else None

    def _fails(self) -> tuple[Callable[[Sequence[Any]], bool] | None, str]:
        """How to run the step again; None, with the reason, where that must not be."""
        checked = self.checked
        if not checked.call.function.user:
            return None, ""
        if checked.jaxpr.effects:
            return None, "not looked for: the step prints, calls back, or writes a Ref"
        if any(is_gone(a) for a in checked.args):
            return None, "not looked for: an argument of the step is gone"
        floats = checked.plan.floats

        def fails(args: Sequence[Any]) -> bool:
            outs = self.again(args)
            return bool(finite.suspects([outs[i] for i in floats]))

        return fails, ""

    def _growth(self) -> tuple[float, ...]:
        series = self.session.memory.growth(self.checked.call.function)
        values = next(iter(series.values()), ())
        known = tuple(v for v in values if v == v)
        return known if len(known) > 1 else ()

    def _is_parameter(self, argument: int) -> bool:
        checked = self.checked
        return argument in rows.parameters(checked.args, self._inputs(), checked.outs)

    def _inputs(self) -> list[str]:
        checked, info = self.checked, self.checked.jaxpr.jaxpr.debug_info
        given = checked.given or checked.args
        function = checked.call.function.name
        return call_names.input_names(function, given, info, self.names)

    def _paths(self) -> list[str]:
        checked = self.checked
        return findings.result_paths(
            checked.call,
            checked.given or checked.args,
            checked.outs,
            checked.plan.refs,
            checked.jaxpr.jaxpr.debug_info,
            self.names,
        )


def _is_in_doubt(found: Found | None, kinds: Sequence[str]) -> bool:
    """Whether a result may be bad for a reason that was not found."""
    known = found is not None and found.verdict != "not reproduced"
    return not known and set(kinds) != {"-inf"}


def _is_of_jax(library: SourceFrame | None) -> bool:
    return library is not None and lines.is_of_jax(library)


def _key(call: findings.Call) -> tuple[Function, int]:
    return call.function, call.number


def _patience(call: findings.Call) -> Patience:
    def slow() -> None:
        # Not part of the report: whoever waits should know for what, now.
        sys.stderr.write(
            f"jaxdbg: a value that is not finite in {call}; looking for where it was "
            "born (a minute at most, interrupt to go without).\n"
        )

    return Patience(slow=slow)
