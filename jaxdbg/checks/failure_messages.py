"""What is said about a failure: where it is, how bad it is, and what to do next."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from jaxdbg.checks import asserted
from jaxdbg.checks.afterwards.bad_outputs import Bad, rank
from jaxdbg.checks.assertion_texts import text_of
from jaxdbg.checks.calls.call import Call
from jaxdbg.errors import CheckError, NonFiniteError, TraceBudgetError, of_type
from jaxdbg.jax_internals.chex.asserted import (
    Asserted,
    Failed,
    asserted_in,
    one_of,
    vmap_rows,
)
from jaxdbg.jax_internals.chex.mode import exception_type
from jaxdbg.jax_internals.functions import Function, is_user_file
from jaxdbg.jax_internals.user_frames import outward
from jaxdbg.options import Options
from jaxdbg.origins.story.describe import reached
from jaxdbg.records import Compilations, Finding, LeafStats, Origin, Reason
from jaxdbg.records.advice import judged
from jaxdbg.records.costs import costs, dearest
from jaxdbg.records.finding_kinds import FINDING_KINDS, kind_of_error
from jaxdbg.trees.paths import element_path
from jaxdbg.trees.running_module import running_module
from jaxdbg.views import origin_brief_text, origin_wording, words
from jaxdbg.views.retrace_wording import changed
from jaxdbg.views.words import KINDS, place_of

MAX_ALSO_BAD = 3
"""How many further bad leaves a message names."""

RANKED = tuple(KINDS.values())
"""The words for the ranks of bad leaves."""

NOT_JITTED = "code that is not jitted"
"""Where an assertion fails that runs at once."""

CHEXIFIED = "a function wrapped in chex.chexify, after its call"
"""Where one fails that chex itself checks."""

KIND_OF_RANK = tuple(KINDS)
"""The kinds that these are the words for."""

MAX_CHANGES = 4
"""How many changed arguments a message names."""


@dataclass(frozen=True, slots=True)
class BadCall:
    """A call with bad results.

    Attributes:
        call: which call it is.
        origin: where the first bad value was born.
        bad: the bad results.
        in_ref: whether one of them was written to a Ref.
        options: of the region, which decide what has happened since.
    """

    call: Call
    origin: Origin
    bad: Bad
    in_ref: bool
    options: Options


def non_finite(of: BadCall) -> NonFiniteError:
    """A NaN or an Inf left a jitted call."""
    worst, call = of.bad.worst, of.call
    headline = f"{RANKED[rank(worst)]} in {worst.path}, from {call}"
    following = _next(call, of.options, of.in_ref)
    return _of_leaves(headline, call, of.origin, of.bad, following)


def came_out(
    call: Call,
    name: str,
    origin: Origin,
    bad: Bad | None,
    options: Options,
    late: bool,
) -> NonFiniteError:
    """A NaN or an Inf that a library has made came out of the user's call of it.

    Arguments:
        call: the eager operation that made it.
        name: the user's call, `optax.kl_divergence(...)`.
        origin: where it was born.
        bad: what has come out; None where that is gone.
        options: of the region.
        late: whether the user's call has returned.
    """
    kind = RANKED[rank(bad.worst)] if bad is not None else KINDS[origin.kind]
    headline = f"{kind} came out of {name}"
    following = _next(call, options, in_ref=False)
    if late:
        following += (
            "\n    A library may throw away what it makes, so this was noticed when "
            "its call had returned."
        )
    if bad is not None:
        return _of_leaves(headline, call, origin, bad, following)
    origin = replace(origin, headline=headline)
    story = origin_brief_text.text(origin).split("\n")
    lines = [headline, *story, f"  next: {following}"]
    return _of_no_leaf("nan" if kind == KINDS["nan"] else "inf", call, origin, lines)


def _of_leaves(
    headline: str, call: Call, origin: Origin, bad: Bad, following: str
) -> NonFiniteError:
    leaves, worst = bad.leaves, bad.worst
    origin = replace(origin, headline=headline, reached=reached(leaves))
    lines = [
        headline,
        f"  {_count(worst)}",
        *_also([leaf.path for leaf in leaves if leaf is not worst]),
        *origin_brief_text.text(origin).split("\n"),
        f"  next: {following}",
        *_how_to_allow(call, origin, KIND_OF_RANK[rank(worst)]),
    ]
    finding = Finding(
        kind="nan" if worst.nan else "inf",
        function=call.function.name,
        call=call.number,
        path=worst.path,
        paths=tuple(leaf.path for leaf in leaves),
        index=worst.first_bad or (),
        message="\n".join(lines),
        shape=worst.shape,
        dtype=worst.dtype,
        nan=worst.nan,
        inf=worst.posinf + worst.neginf,
        size=worst.size,
        location=_location(origin),
        origin=origin,
        **_comment(origin),
    )
    return NonFiniteError(finding.message, finding)


def unnamed(call: Call, origin: Origin) -> NonFiniteError:
    """A NaN or an Inf left a jitted call, and it could not be said in which leaf."""
    headline = f"a value that is not finite, from {call}"
    origin = replace(origin, headline=headline)
    lines = [
        headline,
        *origin_brief_text.text(origin).split("\n"),
        "  next: jaxdbg broke while it looked for the name of the value; the report",
        "    says where. The results of the call were not used.",
    ]
    return _of_no_leaf("nan", call, origin, lines)


def lost(call: Call, path: str, origin: Origin) -> NonFiniteError:
    """A NaN or an Inf left a jitted call, in an array that is donated since."""
    headline = f"a value that is not finite in {path}, from {call}"
    origin = replace(origin, headline=headline)
    lines = [
        headline,
        *origin_brief_text.text(origin).split("\n"),
        "  next: the array was donated to a later call before this was noticed; run "
        f"{call.scope}\n    again without {call.option('async_')}.",
    ]
    return _of_no_leaf("nan", call, origin, lines)


def inside(call: Call, origin: Origin) -> NonFiniteError:
    """The result of an operation inside a jitted call is NaN or Inf (`--every-op`)."""
    headline = f"{KINDS[origin.kind]} inside {call}"
    origin = replace(origin, headline=headline)
    lines = [
        headline,
        *origin_brief_text.text(origin).split("\n"),
        "  next: the value may never reach a result; without "
        f"{call.option('every_op')} only what\n    leaves a jitted call counts.",
        *_how_to_allow(call, origin, origin.kind),
    ]
    return _of_no_leaf("nan" if origin.kind == "nan" else "inf", call, origin, lines)


def _of_no_leaf(
    kind: str, call: Call, origin: Origin, lines: Sequence[str]
) -> NonFiniteError:
    finding = Finding(
        kind=kind,
        function=call.function.name,
        call=call.number,
        message="\n".join(lines),
        location=_location(origin),
        origin=origin,
        **_comment(origin),
    )
    return NonFiniteError(finding.message, finding)


@dataclass(frozen=True, slots=True)
class CheckPlace:
    """Where in a call a check failed; empty for what is not known.

    Attributes:
        loop: the loops around it; see `Origin.loop`.
        module: path of the module it is in.
        device: on which it failed.
    """

    loop: tuple[tuple[str, int, int | None], ...] = ()
    module: str = ""
    device: str = ""


_CHEX = re.compile(
    r"\[Chex\] chexify assertion '(?P<name>\w+)' failed: (?P<text>.*?)"
    r"\s*\[failed at: (?P<file>.*):(?P<line>\d+)\]",
    re.DOTALL,
)


def failed_check(
    exception: Any,
    call: Call | None,
    origin: Origin | None = None,
    where: str = NOT_JITTED,
    place: CheckPlace | None = None,
) -> CheckError:
    """A chex assertion or a `checkify.check` failed in jitted code.

    Arguments:
        exception: checkify's own exception for it.
        call: in which it failed; None for code that is not jitted.
        origin: the story of the value it caught, where it is about one.
        where: it failed, where the call is not known.
        place: in which it failed, of the call.
    """
    exception, _ = one_of(exception)
    text, about = text_of(exception), asserted_in(exception)
    kind = kind_of_error(type(exception).__name__).name
    wanted: type[Exception] = AssertionError
    title, written = text.short, _raised_at(exception)
    location = place_of(*written) if written is not None else ""
    chex = _CHEX.search(text.short)
    if chex:
        file, line = chex["file"], int(chex["line"])
        if written is not None and not is_user_file(file):
            file, line = written  # chex skips every path with /chex/ in it
        # Where chex's text ends in a full stop, its wrapper adds another.
        title = f"chex.{chex['name']}: {re.sub('[.][.]$', '.', chex['text'].strip())}"
        location, wanted = place_of(file, line), exception_type(file, line)
    leaf: dict[str, Any] = {}
    lines = [title, *text.differences]
    if about is not None and about[1]:
        lines, leaf = _of_leaf(*about)
        title = lines[0]
    lines += [f"  in {call or where}"]
    lines += [f"    {line}" for line in _inside(place, vmap_rows(exception))]
    lines += [f"  at {location}"] if location else []
    if origin is not None:
        origin = replace(origin, headline=f"{title} in {call}")
        lines += origin_brief_text.text(origin).split("\n")
    finding = Finding(
        kind=kind,
        function=call.function.name if call else "",
        call=call.number if call else 0,
        message="\n".join(lines),
        location=location,
        origin=origin,
        detail="" if leaf else text.full,
        **leaf,
    )
    return of_type(CheckError, wanted)(finding.message, finding)


def failed_on_host(
    about: Asserted,
    failed: Sequence[Failed],
    exception: Exception,
    frame: FrameType,
) -> CheckError:
    """A chex assertion failed for values that are there, outside of any jitted call.

    Arguments:
        about: what it is about.
        failed: the leaves for which it failed.
        exception: that chex raises.
        frame: of the user's, which calls chex.
    """
    lines, leaf = _of_leaf(about, failed)
    location = place_of(frame.f_code.co_filename, frame.f_lineno)
    module = running_module([*outward(frame)][::-1])
    place = _inside(CheckPlace(module=module), ())
    finding = Finding(
        kind="check",
        function="",
        call=0,
        message="\n".join(
            [
                *lines,
                f"  in {NOT_JITTED}",
                *(f"    {line}" for line in place),
                f"  at {location}",
            ]
        ),
        location=location,
        detail=str(exception),
        **leaf,
    )
    return of_type(CheckError, type(exception))(finding.message, finding)


def _of_leaf(
    about: Asserted, failed: Sequence[Failed]
) -> tuple[list[str], dict[str, Any]]:
    """The first lines on an assertion over trees, and what a finding says of a leaf."""
    title = f"chex.{about.name}: {asserted.in_words(about, failed)}"
    worst = asserted.named_first(failed)
    leaf, size = asserted.leaf_of(worst), asserted.counted(worst)
    leaf["paths"] = tuple(filter(None, (f.row.paths[0] for f in failed)))
    return [title, *([f"  {size}"] if size else [])], leaf


def _inside(place: CheckPlace | None, rows: Sequence[int]) -> list[str]:
    """Where in a call a check failed."""
    place = place or CheckPlace()
    return [
        *([f"in {place.module}"] if place.module else []),
        *(origin_wording.loop(*step) for step in place.loop),
        *(f"row {row} of vmap" for row in rows),
        *([f"on {place.device}"] if place.device else []),
    ]


def over_budget(
    kind: str,
    call: Call,
    times: int,
    budget: int,
    reason: Reason | None,
    limit: str = "",
) -> TraceBudgetError:
    """A function is traced or compiled more often than is allowed.

    Arguments:
        kind: "traces" or "compiles".
        call: the call that asks for it.
        times: how often it would be, with this time.
        budget: how often it may be.
        reason: what differs from the earlier call that is most like this one.
        limit: what sets the budget; the option of a region by default.
    """
    name, done = call.function.title, FINDING_KINDS[kind].verb
    where = f" in {call.scope}" if call.scope else ""
    lines = [
        f"{name} is being {done} for the {words.ordinal(times)} time{where}; "
        f"{limit or call.option(f'max_{kind}', '')} allows {budget}.",
        *(_changed(reason) + _advice(reason) if reason is not None else []),
    ]
    finding = Finding(
        kind=kind,
        function=name,
        call=call.number,
        message="\n".join(lines),
        location=_written(call.function),
    )
    return TraceBudgetError(finding.message, finding)


def over_seconds(
    call: Call, name: str, spent: float, budget: float, what: Compilations
) -> TraceBudgetError:
    """Compiling has taken longer than is allowed.

    Arguments:
        call: the call that asks for what is over the budget.
        name: the function that has the budget; empty where all share it.
        spent, budget: seconds.
        what: all that counts.
    """
    limit = call.option("max_compile_seconds", "")
    lines = [
        f"compiling {name} ".rstrip() + f" has taken {words.seconds(spent)} in "
        f"{call.scope}; {limit} allows {budget:g}.",
        *_spent_on(what),
    ]
    finding = Finding(
        kind="compile_seconds",
        function=call.function.title,
        call=call.number,
        message="\n".join(lines),
        location=_written(call.function),
    )
    return TraceBudgetError(finding.message, finding)


def _spent_on(what: Compilations) -> list[str]:
    """The function that has taken most of the time, and why it was compiled again."""
    most = next(iter(costs(what.events)), None)
    if most is None:
        return []
    again = dearest(what.events)
    done, n = ("compiled", most.compiles) if most.compiles else ("traced", most.traces)
    often = f"{done} {words.times(n)}"
    lines = [f"  most of it: {most.function}, {often}, {words.seconds(most.total)}"]
    if again is None:
        return [*lines, "  none of it was compiled again"]
    reason = again.builds[-1].reason
    return [*lines, f"  {again}", *(_advice(reason) if reason else [])]


def _changed(reason: Reason) -> list[str]:
    if reason.cause == "unknown" and not reason.where:
        return ["  what has changed since the earlier times could not be found out"]
    changes = [changed(reason), *reason.others]
    note = f", {reason.note}" if reason.note else ""
    more = len(changes) - MAX_CHANGES
    lines = [f"  since the earlier time that is most like it{note}:"]
    lines += [f"    {c}" for c in changes[:MAX_CHANGES]]
    return lines + ([f"    and {more} more"] if more > 0 else [])


def _advice(reason: Reason) -> list[str]:
    # Here it is said for what is right elsewhere, too: the budget forbids it.
    text = judged(reason).advice
    how = {"initial_indent": "  next: ", "subsequent_indent": "    "}
    return textwrap.wrap(text, 76, **how) if text else []  # type: ignore[arg-type]


def _written(function: Function) -> str:
    file, _, line = function.source.rpartition(":")
    return place_of(file, int(line)) if line.isdigit() else ""


def _next(call: Call, options: Options, in_ref: bool) -> str:
    ask, rewind, debug = (
        ("%origin", "%rewind", "%debug")
        if call.in_cell
        else ("jaxdbg.origin()", "region.rewind()", "pdb.pm()")
    )
    rest = f"{ask} shows the whole story"
    if options.async_:
        late = call.option("async_")
        return (
            f"{late} noticed this after the call: what that updated is overwritten.\n"
            f"    Run {call.scope} again without {late} to stop before, or {rewind}.\n"
            f"    {rest}."
        )
    if options.record:
        record = call.option("record")
        return f"{record} let the program run on with these values. {rest}."
    if not call.function.user:
        return f"{rest}; {debug} opens in your frame."
    if in_ref:
        return f"the Ref holds these values now. {rest}."
    return (
        "the results were not used, so what the call would have updated still holds\n"
        f"    its last good values. {rest}; {debug} opens in your frame."
    )


def _how_to_allow(call: Call, origin: Origin, kind: str) -> list[str]:
    """How to say that the value is meant: on the line where it became what it is."""
    option = call.option("allow", f'="{kind}"')
    option += f" {kind}" if call.in_cell else ""
    comment = _comment(origin)
    if not comment:
        return [f"  meant? {option} lets it be."]
    return [f"  meant? `{comment['allow']}` on {comment['allow_at']}, or {option}."]


def _comment(origin: Origin) -> dict[str, Any]:
    """The comment that allows a value, and where it goes; empty where none does."""
    last = origin.steps[-1] if origin.steps else origin
    if origin.verdict not in ("born", "placed") or last.source is None:
        return {}
    at = words.place(last.source)
    return {"allow": f"# jaxdbg: allow {last.kind}", "allow_at": at}


def _count(bad: LeafStats) -> str:
    counts = words.nonfinite(bad.nan, bad.posinf, bad.neginf)
    total = bad.bad
    what = words.array(bad.dtype, bad.shape)
    if total == bad.size:
        return f"all of it is bad: {counts} in {what}"
    which = "the only" if total == 1 else "the first"
    first = element_path(bad.path, bad.first_bad or ())
    return f"{first} is {which} bad element of {bad.size}: {counts} in {what}"


def _also(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    return [f"  also bad: {words.listed(others, MAX_ALSO_BAD)}"]


def _location(origin: Origin) -> str:
    return words.place(origin.source) if origin.source is not None else ""


def _raised_at(exception: Any) -> tuple[str, int] | None:
    """The user's file and line in which a check was written, or None."""
    traceback = getattr(exception, "traceback_info", None)
    for frame in traceback.frames if traceback is not None else ():
        if is_user_file(frame.file_name):
            return frame.file_name, frame.line_num
    return None
