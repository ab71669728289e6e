"""How a cause is recognised: one rule for each, in the order in which they are tried.

A cause is recognised by the operation, by the values of its operands at the bad
element, by what produced these, by the function that it is part of, and by what came of
it. It is likely, not certain, where these leave room for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from jaxdbg.origins.scene import Scene


@dataclass(frozen=True, slots=True)
class Cause:
    """A classic cause.

    Attributes:
        name: short: "log of 0".
        advice: what to do about it.
        likely: whether it is likely, and not certain.
    """

    name: str
    advice: str
    likely: bool = False


class Fit(Enum):
    """A cause that fits, where another one may, too."""

    LIKELY = "likely"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a cause is recognised.

    Attributes:
        name, advice: of the cause; `{scene.dtype}` in them is filled in.
        primitives: the operations it is looked for at; empty for all.
        fits: whether a scene shows the cause.
    """

    name: str
    advice: str
    primitives: tuple[str, ...]
    fits: Callable[[Scene], bool | Fit]

    def cause(self, scene: Scene) -> Cause | None:
        """The cause, where it fits."""
        if self.primitives and scene.primitive not in self.primitives:
            return None
        fit = self.fits(scene)
        if not fit:
            return None
        name, advice = (t.format(scene=scene) for t in (self.name, self.advice))
        return Cause(name, advice, likely=fit is Fit.LIKELY)


RULES: list[Rule] = []
"""All rules, in the order in which they are tried."""

Fits = Callable[[Scene], bool | Fit]


def cause(
    name: str, *, advice: str, primitives: Sequence[str] = (), after: Sequence[str] = ()
) -> Callable[[Fits], Fits]:
    """Registers the rule of a cause.

    Arguments:
        name, advice, primitives: as of `Rule`.
        after: names of causes that are tried before this one, and must be.
    """
    if missing := set(after) - {rule.name for rule in RULES}:
        raise ValueError(f"{name} is to be tried after {missing}")

    def register(fits: Fits) -> Fits:
        RULES.append(Rule(name, advice, tuple(primitives), fits))
        return fits

    return register
