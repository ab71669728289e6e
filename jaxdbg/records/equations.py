"""How large a program is before XLA has it, and which lines make it so."""

from __future__ import annotations

from dataclasses import dataclass

from jaxdbg.records.source import SourceFrame


@dataclass(frozen=True, slots=True)
class LineEquations:
    """The equations that a line of the user's makes.

    Attributes:
        source: the line.
        count: how many, with those of what the line calls.
    """

    source: SourceFrame
    count: int


@dataclass(frozen=True, slots=True)
class UnrolledLoop:
    """A loop of Python whose rounds are traced one by one, and that could be a scan.

    Each round has the same operations on arrays of the same types, and takes what the
    round before it has made.

    Attributes:
        source: the line where the loop begins.
        rounds: how many were traced.
        count: equations of all rounds, those of the backward pass too.
    """

    source: SourceFrame
    rounds: int
    count: int


@dataclass(frozen=True, slots=True)
class Equations:
    """The equations of a traced function.

    Attributes:
        count: how many; those of an inner jitted function count once.
        lines: the lines that make most of them, first what makes most.
        loops: the unrolled loops that could be a scan.
    """

    count: int
    lines: tuple[LineEquations, ...] = ()
    loops: tuple[UnrolledLoop, ...] = ()

    def times_fewer(self, loop: UnrolledLoop) -> float:
        """How many times fewer there are with a scan in place of a loop; about."""
        rest = self.count - loop.count + loop.count / loop.rounds
        return self.count / max(rest, 1)
