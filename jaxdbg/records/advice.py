"""What to do about a compilation, in sight of all the others.

No advice for a compilation that had to be: a function's first, its train and its eval
version, one after its cell was run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxdbg.records.compile_event import CompileEvent, Reason
from jaxdbg.records.retrace_causes import (
    CHANGING_NUMBER,
    FIXES,
    GROWING_SHAPE,
    GROWS,
    RetraceCause,
    cause_named,
)

PARTIAL = "partial batch"

MAX_SIZES = 3
"""In how many sizes an argument comes that has a last partial batch, or two."""


def advised(events: Sequence[CompileEvent]) -> tuple[CompileEvent, ...]:
    """The events, each reason with a verdict and advice.

    All calls together decide what one can only guess: where an argument comes in many
    sizes, the smaller ones are not the last batch.
    """
    sizes: dict[tuple[str, ...], set[str]] = {}
    for event in events:
        if event.reason is not None and event.reason.cause in ("shape", PARTIAL):
            seen = sizes.setdefault(_argument(event, event.reason), set())
            seen |= {event.reason.before, event.reason.after}
    many = {argument for argument, seen in sizes.items() if len(seen) > MAX_SIZES}
    return tuple(
        event
        if event.reason is None
        else replace(event, reason=_in_sight_of_all(event, event.reason, many))
        for event in events
    )


def _argument(event: CompileEvent, reason: Reason) -> tuple[str, ...]:
    return event.function, event.defined, reason.where


def _in_sight_of_all(
    event: CompileEvent, reason: Reason, many: set[tuple[str, ...]]
) -> Reason:
    is_many = _argument(event, reason) in many
    if not event.user and reason.cause != "eager loop":
        # Each eager op rightly has a program for each shape and dtype.
        return replace(reason, avoidable=None, advice="")
    if reason.cause == PARTIAL and is_many:
        reason = replace(reason, cause="shape", note="", avoidable=None, advice="")
    if reason.cause == "shape" and not (is_many or _grows(reason)):
        return replace(reason, advice="")  # a few sizes are a program each, rightly
    return judged(reason)


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
