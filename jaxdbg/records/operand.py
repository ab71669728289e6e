"""What went into an operation, or what an array holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand of the operation in which a bad value was born.

    Attributes:
        name: as the user would type it, the name in the source line, or empty.
        role: what it is to the operation: "denominator", "argument of log", or empty.
        shape, dtype: of the whole operand.
        low, high: smallest and largest finite value; None where there is none.
        size: how many elements; of these `zeros` are 0, `negatives` below 0,
            `subnormals` too small for full precision, `nan` NaN, `posinf` and `neginf`
            infinite.
        element: index of the element from which the first bad value was made; None
            where it was made from more than one.
        value: the value there, as text.
    """

    name: str = ""
    role: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    low: float | None = None
    high: float | None = None
    size: int = 0
    zeros: int = 0
    negatives: int = 0
    subnormals: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    element: tuple[int, ...] | None = None
    value: str = ""
