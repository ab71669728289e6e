"""Two lines about a function that a cell compiles often: why, and what to do."""

from __future__ import annotations

from jaxdbg.records.costs import Cost, repeats
from jaxdbg.views.retrace_wording import what_to_do
from jaxdbg.views.words import seconds


def text(cost: Cost) -> str:
    """The lines; the second says how to switch them off."""
    main = repeats(cost)[:1]
    why = [str(repeat).removeprefix(cost.function).strip() for repeat in main]
    what = [
        f"jaxdbg: this cell has compiled {cost.function} {cost.compiles} times "
        f"({seconds(cost.total)})",
        *why,
    ]
    advice = [f"→ {line}" for repeat in main for line in what_to_do(repeat)]
    rest = "%compiles says more; %config Compiles.warn_after = 0 silences this"
    return ": ".join(what) + "\n  " + " · ".join([*advice, rest])
