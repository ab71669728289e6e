"""The sentences about a retrace: what has changed, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxdbg.records import Reason
from jaxdbg.records.advice import MAX_SIZES
from jaxdbg.records.costs import Cost, Repeat, repeats
from jaxdbg.records.lengths import lengths
from jaxdbg.records.retrace_causes import cause_named
from jaxdbg.views.words import more

MAX_REASONS = 4
"""How many reasons are listed for one function."""


def reasons(cost: Cost) -> list[str]:
    """Why a function ran again, one line for each kind of reason, and what to do."""
    repeated = _worth_a_line(cost)
    lines = [line for r in repeated[:MAX_REASONS] for line in _with_advice(r)]
    left_out = len(repeated) - MAX_REASONS
    if left_out > 0:
        lines.append(f"  and {more(left_out, 'reason')} for {cost.function}")
    return lines


def _worth_a_line(cost: Cost) -> list[Repeat]:
    """What ran again; of eager ops, which rightly differ, what was avoidable."""
    reasons = [(r, r.builds[-1].reason) for r in repeats(cost)]
    return [r for r, why in reasons if why and (cost.user or why.avoidable)]


def _with_advice(repeat: Repeat) -> list[str]:
    return [str(repeat), *(f"  → {advice}" for advice in what_to_do(repeat))]


def what_to_do(repeat: Repeat) -> list[str]:
    """The advice in a line; none where nothing is to be done."""
    reason = repeat.builds[-1].reason
    advice = reason.advice if reason and reason.avoidable is not False else ""
    return [advice] if advice else []


def in_short(repeat: Repeat) -> str:
    """Why something ran again, in some words: `x f32[8] → f32[5]`."""
    reason = repeat.builds[-1].reason
    return in_lengths(repeat) or (changed(reason) if reason else "")


def changed(reason: Reason, values: str = "") -> str:
    """What has changed: `x f32[8] → f32[5]`, or `model.train: True → False`.

    Arguments:
        reason: why something ran again.
        values: what to say of before and after, where more is known.
    """
    if not reason.before and not reason.after:
        where = f" ({reason.where})" if reason.where else ""
        cause = cause_named(reason.cause)
        return (cause.described or cause.name) + where
    colon = ":" if reason.where and reason.before_type is None else ""
    text = values or f"{reason.before} → {reason.after}"
    return f"{reason.where}{colon} {text}".strip()


def in_lengths(repeat: Repeat) -> str:
    """`19 lengths of obs, 3 to 128`; empty where it is no argument of many lengths."""
    reasons = [b.reason for b in repeat.builds if b.reason]
    found = lengths(reasons)
    is_one = all(r.cause == "shape" and not r.avoidable for r in reasons)
    if not is_one or len(found) <= MAX_SIZES:
        return ""
    return f"{len(found)} lengths of {reasons[-1].where}, {found[0]} to {found[-1]}"


def chain(reasons: Sequence[Reason]) -> str:
    """`f32[1] → f32[2] → … → f32[8]`, where each begins as the one before has ended."""
    if any(a.after != b.before for a, b in pairwise(reasons)):
        return ""
    return f"{reasons[0].before} → {reasons[0].after} → … → {reasons[-1].after}"
