"""A frame of the user's inside a jitted call, with what its variables held."""

from __future__ import annotations

from dataclasses import dataclass

from jaxdbg.records.operand import Operand
from jaxdbg.records.source import SourceFrame


@dataclass(frozen=True, slots=True)
class LocalValue:
    """A variable of a frame.

    Attributes:
        name: of the variable.
        type: name of the class of its value.
        text: of a number, a string and the like, the value; else empty.
        array: what it holds, if it is an array; None for anything else.
        batch_axes: the axes of the array that vmap has put into it: the function itself
            sees one element of each.
    """

    name: str
    type: str = ""
    text: str = ""
    array: Operand | None = None
    batch_axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A frame of the user's inside a jitted call, at the moment a value was born.

    Of the backward pass it is the frame whose line is differentiated, with the values
    of the forward pass.

    Attributes:
        source: the line and expression that ran.
        values: its variables, in the order in which they were set.
        left_out: variables whose values are not known.
    """

    source: SourceFrame
    values: tuple[LocalValue, ...] = ()
    left_out: tuple[str, ...] = ()
