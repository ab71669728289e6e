"""How a cause is recognised: one rule for each, in the order in which they are tried.

A cause is recognised by the operation, by the values of its operands at the bad
element, by what produced these, by the function that it is part of, and by what came of
it. It is likely, not certain, where these leave room for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from jaxdbg.origins.rewrites import Rewrite, helps
from jaxdbg.origins.scene import Scene


@dataclass(frozen=True, slots=True)
class Cause:
    """A classic cause.

    Attributes:
        name: short: "log of 0".
        advice: what to do about it.
        likely: whether it is likely, and not certain.
        checked: whether the rewrite that is advised was evaluated, and helps.
    """

    name: str
    advice: str
    likely: bool = False
    checked: bool = False


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
        rewrite: what the advice names, to be tried, or what gives that for a scene;
            None for other advice.
    """

    name: str
    advice: str
    primitives: tuple[str, ...]
    fits: Callable[[Scene], bool | Fit]
    rewrite: Rewrite | Callable[[Scene], Rewrite | None] | None = None

    def cause(self, scene: Scene) -> Cause | None:
        """The cause, where it fits."""
        if self.primitives and scene.primitive not in self.primitives:
            return None
        fit = self.fits(scene)
        if not fit:
            return None
        name, advice = (t.format(scene=scene) for t in (self.name, self.advice))
        rewrite = self.rewrite(scene) if callable(self.rewrite) else self.rewrite
        eps = None if rewrite is None else _tried(rewrite, scene)
        if rewrite is not None and eps is not None:
            small = f"with an eps of {eps:g} " if rewrite.has_eps else "with it "
            advice += f". Checked: {small}value and gradient are finite"
        return Cause(name, advice, fit is Fit.LIKELY, eps is not None)


def _tried(rewrite: Rewrite, scene: Scene) -> float | None:
    operands = tuple(map(scene.value, range(len(scene.birth.operands))))
    return helps(rewrite, operands, scene.dtype)


RULES: list[Rule] = []
"""All rules, in the order in which they are tried."""

Fits = Callable[[Scene], bool | Fit]


def cause(
    name: str,
    *,
    advice: str,
    primitives: Sequence[str] = (),
    after: Sequence[str] = (),
    rewrite: Rewrite | Callable[[Scene], Rewrite | None] | None = None,
) -> Callable[[Fits], Fits]:
    """Registers the rule of a cause.

    Arguments:
        name, advice, primitives, rewrite: as of `Rule`.
        after: names of causes that are tried before this one, and must be.
    """
    if missing := set(after) - {rule.name for rule in RULES}:
        raise ValueError(f"{name} is to be tried after {missing}")

    def register(fits: Fits) -> Fits:
        RULES.append(Rule(name, advice, tuple(primitives), fits, rewrite))
        return fits

    return register
