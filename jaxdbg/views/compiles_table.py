"""The table of compilations: what its text and its HTML have in common."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import Compilations, CompileEvent
from jaxdbg.records.costs import (
    PHASES,
    Cost,
    Repeat,
    costs,
    lost,
    repeats,
    undecided,
)
from jaxdbg.views.equations_wording import why_slow
from jaxdbg.views.retrace_wording import in_lengths, reasons
from jaxdbg.views.words import count, more, seconds, short_place

MAX_FUNCTIONS = 20
"""How many functions the table has."""

COLUMNS = ("function", "traces", "compiles", *PHASES, "total", "first at")


EAGER = "%compiles --eager lists the eager ops and library functions."


def lines(compilations: Compilations, eager: bool = False) -> list[str]:
    """The table, the most expensive function first, and below it why things ran again.

    Arguments:
        compilations: those of a session, a region, a cell or a function.
        eager: list eager ops and library functions one by one.
    """
    events, what = compilations.events, compilations.what
    if not events:
        return [nothing(what)]
    table = listed(events, eager)
    below = [line for cost in table for line in (*reasons(cost), *why_slow(cost))]
    if any(not cost.user for cost in table) and not eager:
        below.append(EAGER)
    above = [headline(events, what), *_aligned(rows(table))]
    above += _left_out(events, eager)
    return [*above, *([""] if below else []), *below]


def nothing(what: str) -> str:
    """`nothing was traced or compiled in cell 3`."""
    return f"nothing was traced or compiled{_spaced(what)}"


def _left_out(events: Sequence[CompileEvent], eager: bool) -> list[str]:
    rest = [c for c in costs(events) if c.user or eager][MAX_FUNCTIONS:]
    spent = seconds(sum(c.total for c in rest))
    return [f"and {more(len(rest), 'function')}, {spent}"] if rest else []


def headline(events: Sequence[CompileEvent], what: str = "") -> str:
    """The one line to read: what was spent, and what of it in vain."""
    spent = sum(e.self_time for e in events)
    avoidable, wasted = lost(events)
    line = f"{seconds(spent)} tracing, lowering and compiling{_spaced(what)}"
    functions, again = undecided(events)
    if functions:
        share = f" ({again / spent:.0%})".replace("%", " %") if spent else ""
        line += f" · {seconds(again)}{share} of it compiling "
        line += _again(functions, events)
    if avoidable:
        compilations = count(avoidable, "avoidable compilation")
        line += f" · {seconds(wasted)} lost to {compilations}"
    elif not functions:
        line += " · none of it known to be avoidable"
    return line + _cached(events)


def _cached(events: Sequence[CompileEvent]) -> str:
    """What the persistent cache had, and what it has saved."""
    hits, misses = (sum(e.cache == how for e in events) for how in ("hit", "miss"))
    if not hits + misses:
        return ""
    saved = sum(e.saved for e in events)
    what = f"{seconds(saved)} saved by the persistent cache" if saved > 0 else ""
    found = f"persistent cache: {count(hits, 'hit')}, {count(misses, 'miss')}"
    return f" · {what} ({hits:,} of {hits + misses:,} found)" if what else f" · {found}"


def _again(functions: Sequence[str], events: Sequence[CompileEvent]) -> str:
    """`learn again for 19 lengths of obs`, of what may be avoidable or not."""
    if len(functions) > 1:
        return f"{count(len(functions), 'function')} again"
    of_it = [r for c in costs(events) if c.function == functions[0] for r in repeats(c)]
    again = [r for r in of_it if _is_undecided(r)]
    many = in_lengths(again[0]).partition(",")[0] if len(again) == 1 else ""
    return f"{functions[0]} again" + (f" for {many}" if many else "")


def _is_undecided(repeat: Repeat) -> bool:
    return any(b.reason and b.reason.avoidable is None for b in repeat.builds)


def listed(events: Sequence[CompileEvent], eager: bool) -> list[Cost]:
    """What has a row, the most expensive first; eager ops share one unless `eager`."""
    every = costs(events)
    eager_ops = [c for c in every if not c.user]
    rows = [c for c in every if c.user or eager][:MAX_FUNCTIONS]
    if eager_ops and not eager:
        rows.append(_together(eager_ops))
    return sorted(rows, key=lambda c: c.total, reverse=True)


def _together(several: Sequence[Cost]) -> Cost:
    """Eager ops and library functions as one."""
    n = len(several)
    name = several[0].function if n == 1 else f"{n:,} eager ops and library functions"
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


def rows(listed: Sequence[Cost]) -> list[tuple[str, ...]]:
    """The cells of the table, its head first."""
    return [COLUMNS, *(_row(c) for c in listed)]


def _row(cost: Cost) -> tuple[str, ...]:
    phases = [_duration(cost.seconds[p]) for p in PHASES]
    first = short_place(cost.builds[0].source) if cost.user else ""
    counts = str(cost.traces), str(cost.compiles)
    return (cost.function, *counts, *phases, _duration(cost.total), first)


def _duration(value: float) -> str:
    return seconds(value) if value > 0 else "–"


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    aligned = []
    for row in table:
        name, *numbers, first = row
        cells = [n.rjust(w) for n, w in zip(numbers, widths[1:-1], strict=True)]
        aligned.append("  ".join([name.ljust(widths[0]), *cells, first]).rstrip())
    return aligned


def _spaced(what: str) -> str:
    """What the compilations are those of, as it follows other words."""
    return f" {what}" if what else ""
