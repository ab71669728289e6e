"""Compilations as text: what was traced, lowered and compiled, and why again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from jaxdbg.records import CompileEvent, Reason, SourceFrame
from jaxdbg.records.costs import (
    PHASES,
    Build,
    Cost,
    Repeat,
    costs,
    lost,
    open_to_doubt,
    repeats,
)

MAX_FUNCTIONS = 20
"""How many functions the table has."""

MAX_REASONS = 4
"""How many reasons are told for one function."""

MAX_OTHERS = 3
"""How many further differences are told for one reason."""

_CAUSES = {
    "new function": "a new function object of the same code",
    "cell run again": "its cell was run again",
    "cleared cache": "JAX had forgotten it",
    "failed before": "an earlier attempt raised",
    "nested": "another function that calls it was traced",
    "unknown": "the reason is not known",
}
"""How a cause is said where nothing can be said of before and after."""

_ARRAY = re.compile(r"\w+\[[\d,]*\]")

COLUMNS = ("function", "traces", "compiles", *PHASES, "total", "first at")


def render(
    events: Sequence[CompileEvent],
    what: str = "",
    *,
    eager: bool = False,
    budget: int | None = None,
) -> str:
    """The table, the dearest function first, and below it why things ran again.

    Arguments:
        events: the phases, in the order they began.
        what: what they are those of: "in cell 12".
        eager: list eager ops and library functions one by one.
        budget: how often each function was to be traced.
    """
    if not events:
        return f"nothing was traced or compiled{_spaced(what)}"
    shown = lines_of(events, eager)
    told = [line for cost in shown for line in reasons(cost, budget)]
    parts = [headline(events, what), *_aligned(rows(shown))]
    left = [c for c in costs(events) if c.user or eager][MAX_FUNCTIONS:]
    if left:
        n, spent = len(left), sum(c.total for c in left)
        parts.append(f"and {n} more function{'s' * (n > 1)}, {seconds(spent)}")
    folded = any(not c.user for c in costs(events)) and not eager
    if folded:
        told.append("%compiles --eager lists the eager ops and library functions.")
    return "\n".join(parts + ([""] if told else []) + told)


def headline(events: Sequence[CompileEvent], what: str = "") -> str:
    """The one line to read: what was spent, and what of it in vain."""
    spent = sum(e.self_time for e in events)
    times, wasted = lost(events)
    saved = sum(e.saved for e in events)
    line = f"{seconds(spent)} tracing, lowering and compiling{_spaced(what)}"
    functions, again_seconds = open_to_doubt(events)
    if functions:
        one = functions[0] if len(functions) == 1 else f"{len(functions)} functions"
        line += f" · {seconds(again_seconds)} of it spent on {one} again"
    if times:
        plural = "s" * (times != 1)
        line += f" · {seconds(wasted)} lost to {times} avoidable compilation{plural}"
    elif not functions:
        line += " · none of it known to be avoidable"
    if saved:
        line += f" · {seconds(saved)} saved by the persistent cache"
    return line


def lines_of(events: Sequence[CompileEvent], eager: bool) -> list[Cost]:
    """What has a row of its own, the dearest first; eager ops share one."""
    found = costs(events)
    theirs = [c for c in found if not c.user]
    mine = [c for c in found if c.user or eager][:MAX_FUNCTIONS]
    if theirs and not eager:
        mine.append(together(theirs))
    return sorted(mine, key=lambda c: c.total, reverse=True)


def together(several: Sequence[Cost]) -> Cost:
    """Eager ops and library functions as one."""
    n = len(several)
    name = several[0].function if n == 1 else f"{n} eager ops and library functions"
    every = [b for c in several for b in c.builds]
    return Cost(
        name,
        "",
        False,
        tuple(sorted(every, key=lambda b: b.start)),
        sum(c.traces for c in several),
        sum(c.compiles for c in several),
        {p: sum(c.seconds[p] for c in several) for p in PHASES},
    )


def rows(shown: Sequence[Cost]) -> list[tuple[str, ...]]:
    """The cells of the table, its head first."""
    return [COLUMNS, *(_row(c) for c in shown)]


def _row(cost: Cost) -> tuple[str, ...]:
    phases = [seconds(cost.seconds[p]) for p in PHASES]
    first = place(cost.builds[0].source) if cost.user else ""
    counts = str(cost.traces), str(cost.compiles)
    return (cost.function, *counts, *phases, seconds(cost.total), first)


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        name, *numbers, first = row
        cells = [n.rjust(w) for n, w in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells, first]).rstrip())
    return lines


def reasons(cost: Cost, budget: int | None = None) -> list[str]:
    """Why a function ran again, one line for each kind of reason, and what to do."""
    found = worth_telling(cost)
    told = [line for r in found[:MAX_REASONS] for line in _told(r, budget)]
    more = len(found) - MAX_REASONS
    if more > 0:
        told.append(f"  and {more} more reason{'s' * (more > 1)} for {cost.function}")
    return told


def worth_telling(cost: Cost) -> list[Repeat]:
    """What ran again; of eager ops, which rightly differ, what was avoidable."""
    reasons = [(r, r.builds[-1].reason) for r in repeats(cost)]
    return [r for r, why in reasons if why and (cost.user or why.avoidable)]


def _told(repeat: Repeat, budget: int | None) -> list[str]:
    reason = repeat.builds[-1].reason
    advice = reason.advice if reason and reason.avoidable is not False else ""
    return [again(repeat, budget)] + ([f"  → {advice}"] if advice else [])


def again(repeat: Repeat, budget: int | None = None) -> str:
    """One line: what ran again, what has changed, what it cost, where, and likely why.

    `train_step traced again (2 of budget 1): batch["x"] f32[32,8,8] → f32[17,8,8] ·
    0.41 s · cell 12 line 7 · likely the last partial batch`
    """
    last = repeat.builds[-1]
    times = len(repeat.builds)
    spent = seconds(repeat.seconds) + (" in all" if times > 1 else "")
    reason = last.reason or Reason("")
    parts = [
        f"{_what(last, times, budget)}: {_change(repeat)}",
        spent,
        place(last.source),
        reason.note if _have_all(repeat, reason.note) else "",
        _outcome(last),
    ]
    return " · ".join(p for p in parts if p)


def _have_all(repeat: Repeat, note: str) -> bool:
    return all(b.reason is not None and b.reason.note == note for b in repeat.builds)


def _what(last: Build, times: int, budget: int | None) -> str:
    if not last.trace:
        often = f" {times} times" if times > 1 else ""
        return f"{last.function} compiled again{often} without a new trace"
    if budget is not None:
        return f"{last.function} traced again ({last.trace} of budget {budget})"
    if times > 1:
        return f"{last.function} traced {times} more times"
    if last.trace == 1:  # of this code object: the cell that defines it was run again
        return f"{last.function} traced again"
    return f"{last.function} traced again ({ordinal(last.trace)} time)"


def _change(repeat: Repeat) -> str:
    told = [b.reason for b in repeat.builds if b.reason]
    last = told[-1]
    chain = _chain(told) if len(told) > 2 else ""
    text = changed(last, chain)
    if not chain and len({(r.before, r.after) for r in told}) > 1:
        text += " the last time"
    if last.others and len(told) == 1:
        text += "".join(f", {o}" for o in last.others[:MAX_OTHERS])
        more = len(last.others) - MAX_OTHERS
        text += f" and {more} more" if more > 0 else ""
    return text


def changed(reason: Reason, chain: str = "") -> str:
    """What has changed: `x f32[8] → f32[5]`, or `model.train: True → False`.

    Arguments:
        reason: why something ran again.
        chain: what to say of before and after, where more is known.
    """
    if not reason.before and not reason.after:
        where = f" ({reason.where})" if reason.where else ""
        return _CAUSES.get(reason.cause, reason.cause) + where
    colon = ":" if reason.where and not _ARRAY.match(reason.before) else ""
    text = chain or f"{reason.before} → {reason.after}"
    return f"{reason.where}{colon} {text}".strip()


def _chain(told: Sequence[Reason]) -> str:
    """`f32[1] → f32[2] → … → f32[8]`, where each begins as the one before has ended."""
    if any(a.after != b.before for a, b in pairwise(told)):
        return ""
    return f"{told[0].before} → {told[0].after} → … → {told[-1].after}"


def _outcome(build: Build) -> str:
    if build.failed:
        return "ended with an error"
    return "read from the persistent cache" if build.cache == "hit" else ""


def warning(cost: Cost) -> str:
    """One line for a function that a cell has compiled often, with the main reason.

    It says how to be told no more.
    """
    told = [again(r) for r in repeats(cost)[:1]]
    return (
        f"jaxdbg: this cell has compiled {cost.function} {cost.compiles} times "
        f"({seconds(cost.total)})"
        + "".join(f": {line.removeprefix(cost.function).strip()}" for line in told)
        + " · %compiles says more; %config Compiles.warn_after = 0 silences this"
    )


def place(source: SourceFrame | None) -> str:
    """`cell 12 line 7`, or `train.py:7`; empty where it is not known."""
    if source is None:
        return ""
    if source.cell is not None:
        return f"cell {source.cell} line {source.line}"
    return f"{source.file.replace(chr(92), '/').rpartition('/')[2]}:{source.line}"


def seconds(value: float) -> str:
    """`0.41 s`, `41 ms`, `128 s`; a dash for nothing at all."""
    if value <= 0:
        return "–"
    if value < 0.0995:
        return f"{max(value * 1000, 1):.0f} ms"
    return f"{value:.2f} s" if value < 99.5 else f"{value:.0f} s"


def ordinal(n: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 // 10 != 1 else 0)
    return f"{n}{suffix or 'th'}"


def _spaced(what: str) -> str:
    return f" {what}" if what else ""
