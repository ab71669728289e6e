"""What is in the values of a call, in numbers: no array is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jaxdbg.origins import numbers, operands
from jaxdbg.origins.frames.inside import axes_of_batch
from jaxdbg.origins.frames.peeked_arrays import in_rows
from jaxdbg.origins.frames.peeked_values import Met
from jaxdbg.records import Operand

MOST_STEPS = 1_000
"""Iterations whose numbers are kept one by one."""


@dataclass(slots=True)
class Measured:
    """The numbers of a marker in the iterations of the loops around it."""

    _met: list[tuple[Met, Operand]] = field(default_factory=list)

    def note(self, met: Met) -> None:
        self._met.append((replace(met, value=None), measured(met.value)))

    @property
    def loops(self) -> tuple[tuple[str, int], ...]:
        """See `PeekedValue`."""
        return in_rows([met for met, _ in self._met])[1]

    @property
    def batch_axes(self) -> tuple[int, ...]:
        """See `PeekedValue`."""
        return axes_of_batch(self._met[0][0].dims)

    @property
    def steps(self) -> tuple[Operand, ...]:
        """The numbers in each iteration; none outside of loops."""
        if not self._met[0][0].loop or len(self._met) > MOST_STEPS:
            return ()
        by_rows = sorted(self._met, key=lambda m: [row for _, row, _ in m[0].loop])
        return tuple(operand for _, operand in by_rows)

    @property
    def all(self) -> Operand:
        """The numbers over all iterations."""
        return _together([operand for _, operand in self._met])


def measured(value: Any) -> Operand:
    """What is in an array; of one that holds no numbers its type."""
    array = numbers.host(value)
    if array is None:
        return Operand(shape=tuple(value.shape), dtype=str(value.dtype))
    return operands.stats(array, None, dtype=str(value.dtype))


_COUNTS = ("size", "zeros", "negatives", "subnormals", "nan", "posinf", "neginf")


def _together(parts: Sequence[Operand]) -> Operand:
    lows = [p.low for p in parts if p.low is not None]
    highs = [p.high for p in parts if p.high is not None]
    counts = {name: sum(getattr(p, name) for p in parts) for name in _COUNTS}
    low, high = min(lows, default=None), max(highs, default=None)
    return replace(parts[0], low=low, high=high, **counts)
