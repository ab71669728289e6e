"""Why an operand is 0: a walk up the equations, as far as one reason is left.

The square root of a mean of squares is 0 where all of these are; a product of two
unknown factors is 0 for the one or the other, and the walk ends there.
"""

from __future__ import annotations

import numpy as np

from jaxdbg.origins import producers
from jaxdbg.origins.location.functions import functions
from jaxdbg.origins.producers import Producer, Variable

MAX_STEPS = 24
"""How far a walk goes at most."""

_KEEPS_0 = frozenset({"abs", "cbrt", "sqrt", "square"})
"""Of one operand, and 0 where that is."""

_UNDERFLOWS = frozenset({"exp", "exp2", "logistic"})
"""Never 0 but by underflow, or of -Inf."""

_PRODUCTS = frozenset({"cumprod", "reduce_prod"})

_POSITIVE = _UNDERFLOWS | frozenset({"abs", "sqrt", "square"})

_SPREADS = frozenset(
    {"nanstd", "nanvar", "std", "var", "_std", "_var", "_normalize", "standardize"}
)
"""Functions that compute a variance, and those that divide by one."""


def zero_steps(operand: Variable) -> list[Producer]:
    """The equations that made an operand 0, nearest first."""
    steps: list[Producer] = []
    following: Variable | None = operand
    while following is not None and len(steps) < MAX_STEPS:
        step = producers.producer(following)
        if step is None:
            break
        steps.append(step)
        following = _reason(step)
    return steps


def underflowed(steps: list[Producer]) -> Producer | None:
    """The exponential, or the product of many, that a 0 comes from."""
    return next((s for s in steps if s.name in _UNDERFLOWS | _PRODUCTS), None)


def is_product(step: Producer) -> bool:
    """Whether this multiplies many numbers."""
    return step.name in _PRODUCTS


def is_spread(steps: list[Producer]) -> bool:
    """Whether a 0 is a variance, or a standard deviation."""
    for step in steps:
        if not _SPREADS.isdisjoint(functions(step.eqns)):
            return True
        if step.name == "sub" and _subtracts_a_mean(step):
            return True
    return False


def _subtracts_a_mean(step: Producer) -> bool:
    """Whether this is `x - x.mean()`, or `(x * x).mean() - x.mean() ** 2`."""
    above = {s.name for s in producers.above(step.operands[1], 3)}
    return "reduce_sum" in above and not above.isdisjoint({"div", "mul"})


def _reason(step: Producer) -> Variable | None:
    """The operand that must be 0 where the result is; None where another may be."""
    name, operands = step.name, step.operands
    if name in _KEEPS_0 or (name == "integer_pow" and step.eqn.params["y"] > 0):
        return operands[0]
    if name == "reduce_sum":
        return operands[0] if _is_positive(operands[0]) else None
    if name == "div":
        return operands[0]
    if name == "mul":
        return operands[0] if producers.is_same(*operands) else _scaled(operands)
    if name in ("add", "max"):
        return _raised(operands)
    return _selected(operands) if name == "select_n" else None


def _is_positive(operand: Variable) -> bool:
    step = producers.producer(operand)
    if step is None:
        return False
    if step.name == "integer_pow":
        return int(step.eqn.params["y"]) % 2 == 0
    squares = step.name == "mul" and producers.is_same(*step.operands)
    return squares or step.name in _POSITIVE


def _literal(operand: Variable) -> float | None:
    literal = producers.source(operand).literal
    return None if literal is None or np.ndim(literal) else float(literal)


def _scaled(operands: tuple[Variable, ...]) -> Variable | None:
    """The other factor of a product with a number."""
    for factor, other in (operands, operands[::-1]):
        if _literal(factor) is not None and _literal(factor) != 0:
            return other
    return None


def _raised(operands: tuple[Variable, ...]) -> Variable | None:
    """The other term of a sum with 0, or of the maximum with it."""
    for term, other in (operands, operands[::-1]):
        if _literal(term) == 0:
            return other
    return None


def _selected(operands: tuple[Variable, ...]) -> Variable | None:
    """The one case of a `where` that may be 0."""
    cases = [o for o in operands[1:] if _literal(o) is None or _literal(o) == 0]
    return cases[0] if len(cases) == 1 else None
