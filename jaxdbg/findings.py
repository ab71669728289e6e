"""What is said about a failure: where it is, how bad it is, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxdbg import finite, naming, places
from jaxdbg.errors import CheckError, Failure, NonFiniteError, TraceBudgetError
from jaxdbg.hooks.chex_mode import exception_type
from jaxdbg.hooks.compiles import Function
from jaxdbg.options import Options
from jaxdbg.origins.evaluation import Origin, Place
from jaxdbg.records import Finding

if TYPE_CHECKING:
    from jaxdbg.checker import Checked
    from jaxdbg.naming import Names
    from jaxdbg.session import Session

MAX_ALSO_BAD = 3
"""How many further bad leaves a message names."""

MAX_CHANGES = 4
"""How many changed arguments a message names."""

_KIND = {"nan": "NaN", "posinf": "Inf", "neginf": "-Inf"}


@dataclass(frozen=True, slots=True)
class Call:
    """Which call a finding is about.

    Attributes:
        function: whose call it is.
        number: which of its calls, from 1.
        scope: in what it was counted, "this cell" or "this region".
    """

    function: Function
    number: int
    scope: str

    def __str__(self) -> str:
        name, user = self.function.name, self.function.user
        what = name if user else f"eager op {name}"
        return f"{what} (call {self.number} in {self.scope})"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A failure whose place of birth could not be found, and why."""

    why: str


def non_finite(
    call: Call,
    born: Origin | Unknown,
    *,
    suspects: Sequence[int],
    args: Sequence[Any],
    outs: Sequence[Any],
    refs: Sequence[int] = (),
    debug_info: Any,
    names: Names,
    options: Options,
) -> NonFiniteError:
    """A NaN or an Inf left a jitted call.

    Arguments:
        call: which call it left.
        born: where the worst of it was born.
        suspects: indices of the bad outputs; after these, the Refs are counted on.
        args, outs: flat arguments and outputs of the call.
        refs: indices of the arguments that are Refs, which may be what is bad.
        debug_info: of its jaxpr, or None.
        names: of the arrays the user can name.
        options: of the region, which decide what has happened since.
    """
    paths = _paths(call, args, outs, refs, debug_info, names)
    results = [*outs, *(args[i] for i in refs)]
    worst = {i: finite.describe(results[i]) for i in suspects}
    first = min(suspects, key=lambda i: worst[i].nan == 0)  # a NaN before an Inf
    bad = worst[first]
    path, kind = paths[first], "nan" if bad.nan else "inf"
    others = [paths[i] for i in suspects if i != first]
    lines = [
        f"{'NaN' if bad.nan else 'Inf'} in {path}, from {call}",
        f"  {_count(path, bad)}",
        *_also(others),
        *_birth(born),
        f"  next: {_next(call.function, options, written=max(suspects) >= len(outs))}",
    ]
    finding = Finding(
        kind=kind,
        function=call.function.name,
        call=call.number,
        path=path,
        paths=tuple(paths[i] for i in suspects),
        index=bad.first,
        message="\n".join(lines),
        shape=bad.shape,
        dtype=bad.dtype,
        nan=bad.nan,
        inf=bad.posinf + bad.neginf,
        size=bad.size,
        location=_location(born),
    )
    return NonFiniteError(finding.message, finding)


def unnamed(call: Call, born: Origin | Unknown) -> NonFiniteError:
    """A NaN or an Inf left a jitted call, and it could not be said in which leaf."""
    lines = [
        f"a value that is not finite, from {call}",
        *_birth(born),
        "  next: jaxdbg broke while it looked for the name of the value; the report",
        "    says where. The results of the call were not used.",
    ]
    finding = Finding(
        kind="nan",
        function=call.function.name,
        call=call.number,
        message="\n".join(lines),
        location=_location(born),
    )
    return NonFiniteError(finding.message, finding)


def inside(call: Call, born: Origin) -> NonFiniteError:
    """An operation inside a jitted call gave a NaN or an Inf (`--every-op`)."""
    kind = "nan" if born.kind == "nan" else "inf"
    lines = [
        f"{_KIND[born.kind]} inside {call}",
        *_birth(born),
        "  next: the value may never reach a result; without --every-op only what\n"
        "    leaves a jitted call counts.",
    ]
    finding = Finding(
        kind=kind,
        function=call.function.name,
        call=call.number,
        message="\n".join(lines),
        location=_location(born),
    )
    return NonFiniteError(finding.message, finding)


_CHEX = re.compile(
    r"\[Chex\] chexify assertion '(?P<name>\w+)' failed: (?P<text>.*?)"
    r"\s*\[failed at: (?P<file>.*):(?P<line>\d+)\]",
    re.DOTALL,
)


def failed_check(exception: Any, call: Call | None) -> CheckError:
    """A chex assertion or a `checkify.check` failed in jitted code.

    Arguments:
        exception: checkify's own exception for it.
        call: in which it failed; None for code that is not jitted.
    """
    text = str(exception).removesuffix(" (`check` failed)").strip()
    kind = {"OOBError": "index", "DivisionByZeroError": "div"}.get(
        type(exception).__name__, "check"
    )
    wanted: type[Exception] = AssertionError
    title, location = text, _raised_at(exception)
    chex = _CHEX.search(text)
    if chex:
        file, line = chex["file"], int(chex["line"])
        # Where chex's text ends in a full stop, its wrapper adds another.
        title = f"chex.{chex['name']}: {re.sub('[.][.]$', '.', chex['text'].strip())}"
        location, wanted = places.describe(file, line), exception_type(file, line)
    lines = [title, f"  in {call or 'code that is not jitted'}"]
    lines += [f"  at {location}"] if location else []
    finding = Finding(
        kind=kind,
        function=call.function.name if call else "",
        call=call.number if call else 0,
        message="\n".join(lines),
        location=location,
    )
    return _check_error(wanted)(finding.message, finding)


def _check_error(wanted: type[Exception]) -> type[CheckError]:
    """A CheckError that is also of the type the user gave to the assertion."""
    if issubclass(CheckError, wanted):
        return CheckError
    try:
        both = type(wanted.__name__, (CheckError, wanted), {"__doc__": wanted.__doc__})
    except TypeError:  # a class that cannot be inherited from
        return CheckError
    return both


def over_budget(
    kind: str,
    call: Call,
    times: int,
    budget: int,
    changes: Sequence[str],
    cause: str = "",
) -> TraceBudgetError:
    """A function is traced or compiled more often than the region allows.

    Arguments:
        kind: "traces" or "compiles".
        call: the call that asks for it.
        times: how often it would be, with this time.
        budget: how often it may be.
        changes: what differs from the earlier trace that is most like this one.
        cause: what the first of these is called, as in `Reason`.
    """
    name, done = call.function.name, {"traces": "traced", "compiles": "compiled"}[kind]
    lines = [
        f"{name} is being {done} for the {_ordinal(times)} time in {call.scope}; "
        f"--max-{kind} allows {budget}.",
        *_changed(changes),
        *_advice(kind, cause),
    ]
    finding = Finding(
        kind=kind,
        function=name,
        call=call.number,
        message="\n".join(lines),
        location=_written(call.function),
    )
    return TraceBudgetError(finding.message, finding)


def _changed(changes: Sequence[str]) -> list[str]:
    if not changes:
        return []
    more = len(changes) - MAX_CHANGES
    lines = ["  since the earlier trace that is most like it:"]
    lines += [f"    {c}" for c in changes[:MAX_CHANGES]]
    return lines + ([f"    and {more} more"] if more > 0 else [])


def _advice(kind: str, cause: str) -> list[str]:
    if cause in ("new function", "nested"):
        return [
            "  next: JAX's caches go by the function object. Make the function, and",
            "    its jit, once: outside the loop.",
        ]
    return [
        "  next: each new combination of shapes, dtypes and static arguments is a",
        "    program of its own. A smaller last batch is the usual cause: drop it or",
        "    pad it.",
    ]


def _ordinal(n: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 // 10 != 1 else 0)
    return f"{n}{suffix or 'th'}"


def _written(function: Function) -> str:
    file, _, line = function.source.rpartition(":")
    return places.describe(file, int(line)) if line.isdigit() else ""


def result_path(checked: Checked, output: int) -> str:
    """The name of one output of a call, as `train_step(...)[0]`."""
    info, no_names = checked.jaxpr.jaxpr.debug_info, naming.Names()
    refs = checked.plan.refs
    return _paths(checked.call, checked.args, checked.outs, refs, info, no_names)[
        output
    ]


def _paths(
    call: Call,
    args: Sequence[Any],
    outs: Sequence[Any],
    refs: Sequence[int],
    debug_info: Any,
    names: Names,
) -> list[str]:
    """The names of the outputs of a call, and of the Refs it was given."""
    function = call.function.name
    paths = naming.output_names(function, args, outs, debug_info, names)
    inputs = naming.input_names(function, args, debug_info, names) if refs else []
    return [*paths, *(inputs[i] for i in refs)]


def raise_together(failures: Sequence[Failure], session: Session) -> None:
    """Adds the failures to the session; raises the first, with notes of the rest."""
    if not failures:
        return
    first, *rest = failures
    for failure in rest:
        first.add_note(f"and {failure.finding.message}")
    session.failed(first, *rest)


def _next(function: Function, options: Options, written: bool = False) -> str:
    if options.async_:
        return (
            "--async noticed this after the call: what that updated is overwritten.\n"
            "    Run the cell again without --async to stop before."
        )
    if options.record:
        return "--record let the program run on with these values."
    if not function.user:
        return "%debug stands in your frame, where the operands are."
    if written:
        return "the Ref holds these values now. %debug stands in your frame."
    return (
        "the results were not used, so what the call would have updated still holds\n"
        "    its last good values. %debug stands in your frame."
    )


def _count(path: str, bad: finite.Badness) -> str:
    parts = [(bad.nan, "NaN"), (bad.posinf, "Inf"), (bad.neginf, "-Inf")]
    told = ", ".join(f"{n} {word}" for n, word in parts if n)
    total = bad.nan + bad.posinf + bad.neginf
    what = f"{bad.dtype}[{','.join(map(str, bad.shape))}]"
    if total == bad.size:
        return f"all of it is bad: {told} in {what}"
    which = "the only" if total == 1 else "the first"
    element = naming.element(path, bad.first)
    return f"{element} is {which} bad element of {bad.size}: {told} in {what}"


def _also(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    shown = ", ".join(others[:MAX_ALSO_BAD])
    more = len(others) - MAX_ALSO_BAD
    return [f"  also bad: {shown}" + (f" and {more} more" if more > 0 else "")]


def _birth(born: Origin | Unknown) -> list[str]:
    if isinstance(born, Unknown):
        return [f"  where it was born is not known: {born.why}"]
    place = born.place
    assert place is not None, "only what was born is a failure"
    lines = [f"  {_KIND[born.kind]} was born {_told(place)}"]
    lines += _code(place)
    cause = born.cause
    if cause is not None and cause.place is not None:
        lines += [f"  from the {_KIND[cause.kind]} that was born {_told(cause.place)}"]
        lines += _code(cause.place)
    return lines


def _told(place: Place) -> str:
    where = f" at {places.describe(place.file, place.line)}" if place.file else ""
    steps = [
        f"step {i + 1} of {n}" if n >= 0 else f"iteration {i + 1}"
        for i, n in place.loop
    ]
    return f"in `{place.primitive}`{where}{''.join(', ' + s for s in steps)}"


def _code(place: Place) -> list[str]:
    line = places.source_line(place.file, place.line) if place.file else ""
    return [f"      {line}"] if line else []


def _location(born: Origin | Unknown) -> str:
    if isinstance(born, Unknown) or born.place is None or not born.place.file:
        return ""
    return places.describe(born.place.file, born.place.line)


def _raised_at(exception: Any) -> str:
    from jaxdbg.hooks.compiles import is_user_file
    from jaxdbg.origins.evaluation import user_frame

    frame = user_frame(getattr(exception, "traceback_info", None), is_user_file)
    return places.describe(*frame) if frame else ""
