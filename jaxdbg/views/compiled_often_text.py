"""One line about a function that a cell has compiled often, with the main reason."""

from __future__ import annotations

from jaxdbg.records.costs import Cost, repeats
from jaxdbg.views.words import seconds


def text(cost: Cost) -> str:
    """The line; it says how to switch such lines off."""
    main = [str(repeat).removeprefix(cost.function) for repeat in repeats(cost)[:1]]
    return (
        f"jaxdbg: this cell has compiled {cost.function} {cost.compiles} times "
        f"({seconds(cost.total)})"
        + "".join(f": {line.strip()}" for line in main)
        + " · %compiles says more; %config Compiles.warn_after = 0 silences this"
    )
