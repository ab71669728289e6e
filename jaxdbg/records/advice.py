"""What to do about a compilation, in sight of all the others.

No advice for a compilation that had to be: a function's first, its train and its eval
version, one after its cell was run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from jaxdbg.records.compile_event import CompileEvent, Reason
from jaxdbg.records.lengths import buckets, lengths
from jaxdbg.records.retrace_causes import (
    CHANGING_NUMBER,
    FIXES,
    GROWING_SHAPE,
    GROWS,
    PAD_TO,
    RetraceCause,
    cause_named,
)

PARTIAL = "partial batch"

MAX_SIZES = 3
"""In how many sizes an argument comes that has a last partial batch, or two."""


def advised(events: Sequence[CompileEvent]) -> tuple[CompileEvent, ...]:
    """The events, each reason with a verdict and advice.

    All calls together decide what one can only guess: where an argument comes in many
    sizes, the smaller ones are not the last batch. An argument has one verdict.
    """
    shapes: dict[tuple[str, ...], list[Reason]] = {}
    for event in events:
        if event.user and event.reason is not None and _is_of_shape(event.reason):
            shapes.setdefault(_argument(event, event.reason), []).append(event.reason)
    verdicts = {argument: _verdict(reasons) for argument, reasons in shapes.items()}
    return tuple(
        event
        if event.reason is None
        else replace(event, reason=_in_sight_of_all(event, event.reason, verdicts))
        for event in events
    )


def _argument(event: CompileEvent, reason: Reason) -> tuple[str, ...]:
    return event.function, event.defined, reason.where


def _is_of_shape(reason: Reason) -> bool:
    return reason.cause in ("shape", PARTIAL)


def _in_sight_of_all(
    event: CompileEvent, reason: Reason, verdicts: Mapping[tuple[str, ...], _Verdict]
) -> Reason:
    if not event.user and reason.cause != "eager loop":
        # Each eager op rightly has a program for each shape and dtype.
        return replace(reason, avoidable=None, advice="")
    if event.user and _is_of_shape(reason):
        return verdicts[_argument(event, reason)].of(reason)
    return judged(reason)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What holds of all the shapes in which an argument came.

    Attributes:
        cause: the cause of all of them.
        keeps_note: whether what a reason notes of its own is true in sight of all.
        advice: as in `Reason`.
    """

    cause: RetraceCause
    keeps_note: bool
    advice: str

    def of(self, reason: Reason) -> Reason:
        """The reason with this verdict."""
        return replace(
            reason,
            cause=self.cause.name,
            note=reason.note if self.keeps_note else "",
            avoidable=self.cause.avoidable,
            advice=_filled(self.advice, reason),
        )


def _verdict(reasons: Sequence[Reason]) -> _Verdict:
    sizes = {text for r in reasons for text in (r.before, r.after)}
    if any(map(_grows, reasons)) and _only_grow(reasons):
        return _Verdict(GROWING_SHAPE, True, GROWING_SHAPE.fix)
    shape, partial = cause_named("shape"), cause_named(PARTIAL)
    if len(sizes) > MAX_SIZES:
        return _Verdict(shape, False, _padded(reasons) or shape.fix)
    if all(r.cause == PARTIAL for r in reasons):
        return _Verdict(partial, True, partial.fix)
    return _Verdict(shape, False, "")  # a few sizes are a program each, rightly


def _only_grow(reasons: Sequence[Reason]) -> bool:
    """Whether no call was smaller than one before it."""
    shapes = [r.after_type.shape for r in reasons if r.after_type is not None]
    return all(
        list(map(str, a)) == list(map(str, b)) or _is_larger(b, a)
        for a, b in pairwise(shapes)
    )


def _is_larger(one: Sequence[int | str], other: Sequence[int | str]) -> bool:
    return len(one) == len(other) and all(
        isinstance(n, int) and isinstance(m, int) and n >= m
        for n, m in zip(one, other, strict=True)
        if n != m
    )


def _padded(reasons: Sequence[Reason]) -> str:
    """Which few lengths all others could be padded to; empty for few, or many axes."""
    found = buckets(lengths(reasons))
    if found is None:
        return ""
    return PAD_TO.format(
        count=len(found.lengths),
        lengths=", ".join(map(str, found.lengths)),
        padding=f"{found.padding:.0%}".replace("%", " %"),
    )


def judged(reason: Reason) -> Reason:
    """The reason, with what is known of its cause."""
    cause = _cause(reason)
    return replace(
        reason,
        avoidable=cause.avoidable if reason.avoidable is None else reason.avoidable,
        advice=reason.advice or _filled(_fix(cause, reason), reason),
    )


def _fix(cause: RetraceCause, reason: Reason) -> str:
    dtypes = [t.dtype for t in (reason.before_type, reason.after_type) if t]
    if any(d.startswith("key<") for d in dtypes):
        return FIXES["keys of random"]
    if "bool" in dtypes:
        return FIXES["bool"]
    return cause.fix


def _cause(reason: Reason) -> RetraceCause:
    if reason.cause == "shape" and _grows(reason):
        return GROWING_SHAPE
    if reason.cause == "NNX attribute" and reason.avoidable:
        return CHANGING_NUMBER
    return cause_named(reason.cause)


def _grows(reason: Reason) -> bool:
    return reason.note.startswith(GROWS)


def _filled(fix: str, reason: Reason) -> str:
    return fix.format(name=reason.where or "x", dtype=_one_dtype(reason))


def _one_dtype(reason: Reason) -> str:
    """The dtype that can hold what it was and what it is."""
    types = reason.before_type, reason.after_type
    dtypes = [t.numpy_dtype for t in types if t is not None and t.numpy_dtype]
    texts = {reason.before, reason.after}
    if not dtypes:
        return "int32" if texts <= {"Python int", "Python bool"} else "float32"
    if "Python float" in texts and "int" in dtypes[0]:
        return "float32"
    old, new = dtypes[0], dtypes[-1]
    return new if "int" in old and "int" not in new else old
