"""What a rule may ask about the place where a non-finite value was born."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxdbg.jax_internals import source_info
from jaxdbg.origins import numbers, producers, wider_type
from jaxdbg.origins.found import Birth
from jaxdbg.origins.producers import Producer, Variable
from jaxdbg.origins.why_zero import zero_steps

SMALLEST_SCALE = 128
"""A power of 2 from here on is the scale of a loss."""

MAX_STEPS = 400
"""How many equations above a gradient are looked at for the scale of the loss."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An operation that gave a non-finite value: a birth, or a turn after it.

    Attributes:
        birth: the operation, its operands and its result.
        operands: of the operation, as variables of the jaxpr.
        functions: that it is part of, as `functions.functions` names them.
    """

    birth: Birth
    operands: tuple[Variable, ...] = ()
    functions: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of the result: "nan", "inf" or "-inf"."""
        return self.birth.kind

    @property
    def primitive(self) -> str:
        """JAX's name of the operation."""
        return str(self.birth.site.eqn.primitive.name)

    @property
    def dtype(self) -> str:
        """Of the result."""
        return str(getattr(self.birth.result, "dtype", ""))

    @property
    def is_backward(self) -> bool:
        """Whether the operation is part of a transposed function."""
        eqns = [self.birth.site.eqn, *self.birth.site.outer]
        return any("transpose" in source_info.transforms(eqn) for eqn in eqns)

    def value(self, n: int) -> float | None:
        """What operand `n` is at the bad element; None if it is complex or unknown."""
        value = self._at(n)
        return None if value is None or np.iscomplexobj(value) else float(value)

    def _at(self, n: int) -> Any:
        birth = self.birth
        if n >= len(birth.operands):
            return None
        array = numbers.host(birth.operands[n])
        elements = birth.operand_elements
        element = elements[n] if n < len(elements) else None
        if array is None:
            return None
        return array[()] if array.ndim == 0 else numbers.at(array, element)

    def is_zero(self, n: int) -> bool:
        """Whether operand `n` is 0 at the bad element."""
        value = self._at(n)
        return value is not None and bool(value == 0)

    def is_in(self, *functions: str) -> bool:
        """Whether the operation is part of one of some functions."""
        return not set(self.functions).isdisjoint(functions)

    def is_infinite(self, n: int) -> bool:
        """Whether operand `n` is Inf or -Inf at the bad element."""
        value = self.value(n)
        return value is not None and math.isinf(value)

    def is_finite(self, n: int) -> bool:
        """Whether operand `n` is known to be finite at the bad element."""
        value = self.value(n)
        return value is not None and math.isfinite(value)

    def comes_from(self, n: int, *primitives: str) -> bool:
        """Whether one of some primitives is among the equations above operand `n`."""
        return any(step.name in primitives for step in self.above(n))

    def above(self, n: int, depth: int = 6) -> list[Producer]:
        """The equations above operand `n`, nearest first, a few of them."""
        if n >= len(self.operands):
            return []
        return producers.above(self.operands[n], depth)

    def zero_steps(self, n: int) -> list[Producer]:
        """The equations that made operand `n` 0, nearest first: see `zero_steps`."""
        return zero_steps(self.operands[n]) if n < len(self.operands) else []

    def producer(self, n: int) -> Producer | None:
        """The equation that produced operand `n`."""
        return producers.producer(self.operands[n]) if n < len(self.operands) else None

    def literal(self, n: int) -> float | None:
        """Variable `n` where it is written as a number; None where it is not."""
        if n >= len(self.operands):
            return None
        literal = self.operands[n].literal
        return None if literal is None or np.ndim(literal) else literal

    def adds_literal_zero(self, n: int) -> bool:
        """Whether operand `n` is a sum with a literal that is 0 in its type."""
        sums = [s for s in self.above(n, depth=3) if s.name in ("add", "max")]
        terms = (producers.source(o).literal for step in sums for o in step.operands)
        return any(t is not None and np.ndim(t) == 0 and t == 0 for t in terms)


@dataclass(frozen=True, slots=True)
class Scene(Moment):
    """What is known where a non-finite value was born.

    Attributes:
        called: the function or operator that the user's expression calls, or empty.
        within: the function of JAX that the user calls, which does this; or empty.
        backward: whether it is in the backward pass, or made for it.
        turns: the operations at which the value became another kind, in order.
        wider: what a wider type would do, as `wider_type.wider` says it.
        growth: largest magnitude in the last calls, oldest first.
        number: the value of a variable that is one number, and written, or an argument
            of the call; None for others.
        follows: whether the operation comes after that which a step of the backward
            pass is of; False where it is not known.
    """

    called: str = ""
    within: str = ""
    backward: bool = False
    turns: tuple[Moment, ...] = ()
    wider: str = ""
    growth: tuple[float, ...] = ()
    number: Callable[[Variable], float | None] = producers.number
    follows: Callable[[Producer], bool] = lambda _: False

    @property
    def argument(self) -> str:
        """The first operand at the bad element, as text."""
        value = self.value(0)
        return "?" if value is None else numbers.said(value)

    @property
    def scale(self) -> int:
        """The factor that is a power of 2, and one number for all elements; or 0."""
        for n in range(2):
            value, shape = self.value(n), getattr(self.birth.operands[n], "shape", None)
            if value and shape == () and math.frexp(value)[0] == 0.5:
                return int(value)
        return 0

    @property
    def loss_scale(self) -> int:
        """The power of 2 that the loss is multiplied by, above this gradient; or 0."""
        for step in producers.all_above(self.operands, MAX_STEPS):
            if step.name == "mul" and "transpose" in source_info.transforms(step.eqn):
                for value in filter(None, map(self.number, step.operands)):
                    if value >= SMALLEST_SCALE and math.frexp(value)[0] == 0.5:
                        return int(value)
        return 0

    @property
    def is_half(self) -> bool:
        """Whether the result is of 16 bits or less."""
        return wider_type.is_half(self.dtype)

    @property
    def grows(self) -> bool:
        """Whether the values have grown from call to call, a thousandfold in all."""
        known = [g for g in self.growth if math.isfinite(g)]
        return len(known) >= 3 and known[-1] > 1e3 * max(known[0], 1e-30)
