"""The sentences about why a compilation takes long at all: how much was traced."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records.costs import Cost
from jaxdbg.records.equations import Equations, UnrolledLoop
from jaxdbg.views.words import count, short_place

MIN_EQUATIONS = 1000
"""How many equations a function has whose lines are listed."""

MIN_TIMES = 1.5
"""How many times fewer they are to become, for a scan to be worth a word."""

MAX_LINES = 3
"""How many lines are listed."""


def why_slow(cost: Cost) -> list[str]:
    """Of the last trace of a function: which lines are large, and what to do."""
    events = (e for build in reversed(cost.builds) for e in build.events)
    found = next((e.equations for e in events if e.equations is not None), None)
    if found is None or not cost.user:
        return []
    loops = [line for loop in _merged(found.loops) for line in _loop(found, loop)]
    name = cost.function
    return [f"{name}: {line}" if line[0] != " " else line for line in loops] + [
        f"{name} traces {line}" for line in _lines(found)
    ]


def _merged(loops: Sequence[UnrolledLoop]) -> list[UnrolledLoop]:
    """One for each line: a loop in a function that is called twice runs twice."""
    known: dict[tuple[str, int, int], UnrolledLoop] = {}
    for loop in loops:
        key = loop.source.file, loop.source.line, loop.rounds
        before = known[key].count if key in known else 0
        known[key] = UnrolledLoop(loop.source, loop.rounds, loop.count + before)
    return list(known.values())


def _loop(found: Equations, loop: UnrolledLoop) -> list[str]:
    times = found.times_fewer(loop)
    if times < MIN_TIMES:
        return []
    share = f"{loop.count:,} of {count(found.count, 'equation')}"
    return [
        f"the Python loop at {short_place(loop.source)} is unrolled {loop.rounds} "
        f"times, {share}; all rounds do the same to arrays of the same types, and each "
        "takes what the one before it has made",
        "  → jax.lax.scan, or the scan of your library of modules, traces one round: "
        f"about {times:.1f} times fewer equations".replace(".0 times", " times"),
    ]


def _lines(found: Equations) -> list[str]:
    if found.count < MIN_EQUATIONS:
        return []
    listed = (
        f"{x.count:,} at {short_place(x.source)}" for x in found.lines[:MAX_LINES]
    )
    return [f"{count(found.count, 'equation')}: {', '.join(listed)}"]
