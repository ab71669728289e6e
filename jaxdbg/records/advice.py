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
    GROWING_SHAPE,
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
    if not event.user and reason.cause != "eager loop":
        # Each eager op rightly has a program for each shape and dtype.
        return replace(reason, avoidable=None, advice="")
    if reason.cause == PARTIAL and _argument(event, reason) in many:
        reason = replace(reason, cause="shape", note="", avoidable=None, advice="")
    return judged(reason)


def judged(reason: Reason) -> Reason:
    """The reason, with what is known of its cause."""
    cause = _cause(reason)
    return replace(
        reason,
        avoidable=cause.avoidable if reason.avoidable is None else reason.avoidable,
        advice=reason.advice or _filled(cause.fix, reason),
    )


def _cause(reason: Reason) -> RetraceCause:
    if reason.cause == "shape" and _grew_by_one(reason):
        return GROWING_SHAPE
    if reason.cause == "NNX attribute" and reason.avoidable:
        return CHANGING_NUMBER
    return cause_named(reason.cause)


def _grew_by_one(reason: Reason) -> bool:
    before, after = reason.before_type, reason.after_type
    return before is not None and after is not None and after.grew_by_one(before)


def _filled(fix: str, reason: Reason) -> str:
    dtype = reason.before_type.numpy_dtype if reason.before_type else ""
    return fix.format(name=reason.where or "x", dtype=dtype or "float32")
