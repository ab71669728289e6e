"""What the names in a jitted function held in one evaluation of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxdbg.records.operand import Operand
from jaxdbg.records.shown import Shown
from jaxdbg.records.source import SourceFrame


@dataclass(frozen=True, slots=True)
class PeekedValue:
    """A name that was bound, and what is in its array.

    Attributes:
        name: with the steps to the array, where the name holds a container.
        source: the line that binds it; of a parameter where the function begins, with
            its first decorator.
        array: what is in it; over all iterations, where it is in a loop.
        module: path of the module whose method the function is, or empty.
        loops: the loops around it, from outside in: the kind, and how many iterations.
        steps: in each iteration, in the order of the rows, what is in it; empty outside
            of loops, and where there are too many.
        batch_axes: the axes that vmap has put in, as they are in one iteration.
        call: which call of the function it is of those that bind the name in this line,
            from 0.
    """

    name: str
    source: SourceFrame
    array: Operand
    module: str = ""
    loops: tuple[tuple[str, int], ...] = ()
    steps: tuple[Operand, ...] = ()
    batch_axes: tuple[int, ...] = ()
    call: int = 0


@dataclass(frozen=True, slots=True)
class Peeked(Shown):
    """The named values of a call, in the order of execution.

    They are those of an evaluation, operation by operation: the compiled program may
    round otherwise.

    Attributes:
        function: name of the function.
        values: of each name, in the order in which they were bound.
        left_out: names whose values are not known.
        notes: what else is to be said.
    """

    VIEW: ClassVar[str] = "peek"

    function: str
    values: tuple[PeekedValue, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
