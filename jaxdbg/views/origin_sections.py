"""An origin in parts, each with a title: what its text and its HTML have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from jaxdbg.records import CallFrame, LocalValue, Operand, Origin, SourceFrame
from jaxdbg.views import reached, words
from jaxdbg.views.origin_wording import (
    array,
    batches,
    birth,
    finite_range,
    fix,
    inside,
    magnitudes,
    operand_name,
    operand_value,
    passed,
    turn,
    where,
)

_TYPED = re.compile(r"""[A-Za-z_][\w.\[\]'"]*""")
"""The path of an array that can be typed; not that of a result, `f(...)[0]`."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an origin.

    Attributes:
        title: one word.
        lines: what it says.
        frames: code to show below, each with what is said of it.
        role: what a view may show in its own way: the "birth" with its line, the
            "fix", the leaves "reached", the growth in the "calls" before; else empty.
    """

    title: str
    lines: tuple[str, ...] = ()
    frames: tuple[tuple[str, SourceFrame], ...] = ()
    role: str = ""


def sections(origin: Origin) -> list[Section]:
    """All parts that have something to say, in order: first what to do."""
    cause = "likely cause" if origin.likely else "cause"
    every = [
        Section(_verdict(origin), (birth(origin),), _frames(origin), "birth"),
        Section(cause, (origin.cause,) if origin.cause else (), role="fix"),
        Section(fix(origin), (origin.advice,) if origin.advice else (), role="fix"),
        Section("find", _to_find(origin), role="fix"),
        Section("where", tuple(where(origin))),
        Section("operands", tuple(map(_operand, origin.operands))),
        Section("passed", tuple(map(passed, origin.passed))),
        *_inside(origin),
        Section("batch", _rows(origin)),
        Section("range", (origin.wider,) if origin.wider else ()),
        Section(
            "then",
            tuple(map(turn, origin.steps)),
            tuple(("", t.source) for t in origin.steps if t.source is not None),
        ),
        Section("made by", (origin.made_by,) if origin.made_by else ()),
        *_there(origin.made_at),
        Section("last calls", _last_calls(origin), role="calls"),
        Section("more births", tuple(map(turn, origin.others))),
        Section("reached", tuple(reached.lines(origin.reached)), role="reached"),
        Section("note", origin.notes),
    ]
    return [s for s in every if s.lines or s.frames]


def _inside(origin: Origin) -> list[Section]:
    """The frames inside the call, and the variables of the innermost."""
    stack = tuple(map(_frame, origin.frames)) if len(origin.frames) > 1 else ()
    notes = (origin.frames_note,) if origin.frames_note else ()
    values = _values(origin, origin.frames[-1]) if origin.frames else ()
    return [Section("values here", values), Section("frames", (*stack, *notes))]


def _values(origin: Origin, frame: CallFrame) -> tuple[str, ...]:
    said = {o.name for o in origin.operands}
    lines = [_local(v) for v in frame.values if v.name not in said]
    if frame.left_out:
        lines.append(f"not known: {', '.join(frame.left_out)}")
    if lines and frame.source == origin.forward_source:
        lines.insert(0, "these are of the forward pass")
    return tuple(lines)


def _frame(frame: CallFrame) -> str:
    return f"{frame.source.function} at {words.place(frame.source)}"


def _local(value: LocalValue) -> str:
    if value.array is None:
        return f"{value.name} is {value.text or _indefinite(value.type)}"
    batched = [f"vmap over axis {axis}" for axis in value.batch_axes]
    o = value.array
    head = f"{value.name} is {operand_value(o)}" if o.value else value.name
    return f"{head} ({', '.join([*_about(o), *batched])})"


def _indefinite(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "AEIOUaeiou" else f"a {noun}"


def _to_find(origin: Origin) -> tuple[str, ...]:
    """How to list the bad elements of data that came in, where a line can name it."""
    leaf = origin.argument_leaf
    is_made = origin.made_by or origin.made_at or origin.passed
    if origin.verdict != "came in" or is_made or not _TYPED.fullmatch(leaf):
        return ()
    return (f"`np.argwhere(~np.isfinite({leaf}))` lists the bad elements of `{leaf}`",)


def _there(made: Origin | None) -> list[Section]:
    """The origin in the earlier call that made what came in."""
    if made is None:
        return []
    return [
        replace(s, title=f"there: {s.title}")
        for s in sections(made)
        if s.role not in ("reached", "calls")
    ]


def _last_calls(origin: Origin) -> tuple[str, ...]:
    values = [abs(v) for v in origin.growth]
    if not values or max(values) < 10 * max(min(values), 1e-30):
        return ()
    return (magnitudes(origin.growth),)


def _verdict(origin: Origin) -> str:
    return "not known" if origin.verdict == "not reproduced" else origin.verdict


def _frames(origin: Origin) -> tuple[tuple[str, SourceFrame], ...]:
    frames = [("", origin.source)]
    if origin.library_source is not None:
        frames.append((inside(origin.library_source), origin.library_source))
    if origin.forward_source is not None and origin.forward_source != origin.source:
        said = f"it differentiates {words.place(origin.forward_source)}"
        frames.append((said, origin.forward_source))
    return tuple((said, frame) for said, frame in frames if frame is not None)


def _operand(o: Operand) -> str:
    return f"{_operand_head(o)} ({', '.join(_about(o))})"


def _about(o: Operand) -> list[str]:
    about = [array(o), *([finite_range(o)] if o.size > 1 else [])]
    counts = ((o.zeros, "zero"), (o.negatives, "negative"), (o.subnormals, "subnormal"))
    about += [words.count(n, noun) for n, noun in counts if n]
    about += list(filter(None, [words.nonfinite(o.nan, o.posinf, o.neginf)]))
    return about


def _operand_head(o: Operand) -> str:
    if not o.value:
        return operand_name(o)
    at = f" at {words.index(o.element)}" if o.element else ""
    return f"{operand_name(o)} is {operand_value(o)}{at}"


def _rows(origin: Origin) -> tuple[str, ...]:
    if not origin.rows_note:
        return ()
    names = batches(origin)
    return (f"{names}: {origin.rows_note}" if names else origin.rows_note,)
