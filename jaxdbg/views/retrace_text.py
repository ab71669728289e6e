"""What ran again for one kind of reason, in one line."""

from __future__ import annotations

from jaxdbg.records import Reason
from jaxdbg.records.costs import Build, Repeat
from jaxdbg.views.retrace_wording import chain, changed, in_lengths
from jaxdbg.views.words import listed, ordinal, seconds, short_place

MAX_OTHERS = 3
"""How many further differences are listed for one reason."""


def text(repeat: Repeat) -> str:
    """What ran again, what has changed, what it cost, where, and likely why.

    `train_step traced again (2nd time): batch["x"] f32[32,8,8] → f32[17,8,8] ·
    0.41 s · cell 12, line 7 · possibly the last partial batch`
    """
    last = repeat.builds[-1]
    times = len(repeat.builds)
    reason = last.reason or Reason("")
    parts = [
        f"{_what(last, times)}: {_change(repeat)}",
        seconds(repeat.seconds) + (" in all" if times > 1 else ""),
        short_place(last.source),
        reason.note if _have_all(repeat, reason.note) else "",
        _outcome(last),
    ]
    return " · ".join(part for part in parts if part)


def _have_all(repeat: Repeat, note: str) -> bool:
    return all(b.reason is not None and b.reason.note == note for b in repeat.builds)


def _what(last: Build, times: int) -> str:
    if not last.trace:
        often = f" {times} times" if times > 1 else ""
        return f"{last.function} compiled again{often} without a new trace"
    if times > 1:
        return f"{last.function} traced {times} more times"
    if last.trace == 1:  # of this code object: the cell that defines it was run again
        return f"{last.function} traced again"
    return f"{last.function} traced again ({ordinal(last.trace)} time)"


def _change(repeat: Repeat) -> str:
    reasons = [b.reason for b in repeat.builds if b.reason]
    last = reasons[-1]
    if many := in_lengths(repeat):
        return many
    values = chain(reasons) if len(reasons) > 2 else ""
    change = changed(last, values)
    if not values and len({(r.before, r.after) for r in reasons}) > 1:
        change += " the last time"
    if last.others and len(reasons) == 1:
        change += f", {listed(last.others, MAX_OTHERS)}"
    return change


def _outcome(build: Build) -> str:
    if build.failed:
        return "ended with an error"
    return "read from the persistent cache" if build.cache == "hit" else ""
