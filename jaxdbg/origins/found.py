"""What a search through a jaxpr gives: equations, and the values at them.

These are live objects of JAX, for those who tell the story; what the story says is
`jaxdbg.records.Origin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

Element = tuple[int, ...] | None
"""Index of one element of an array; None where no single one is to blame."""


@dataclass(frozen=True, slots=True)
class Site:
    """One equation, and the way to it.

    Attributes:
        eqn: the equation.
        outer: the equations it is inside of (jit, scan, cond, custom_vjp_call), from
            outside in.
        path: the way from the jaxpr of the call, from outside in: for each body the
            index of the equation in it, and which body of that equation is entered
            (the branch of a cond; 0 the condition and 1 the body of a while; else 0).
            The same function traced again has its equation at the same path.
        loop: (kind, iteration from 0, length or None) of each loop around it.
        branches: (index taken, how many there are) of each cond around it.
    """

    eqn: JaxprEqn
    outer: tuple[JaxprEqn, ...] = ()
    path: tuple[tuple[int, int], ...] = ()
    loop: tuple[tuple[str, int, int | None], ...] = ()
    branches: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Birth:
    """An operation whose result is bad in a way that its operands are not.

    Attributes:
        kind: "nan", "inf" or "-inf": what its result became.
        site: where it stands.
        operands: what went in, one for each of the equation's inputs.
        result: the output that is bad.
        element: the first bad element of the result that matters here.
        operand_elements: for each operand, the element from which it was made.
    """

    kind: str
    site: Site
    operands: tuple[Any, ...]
    result: Any
    element: Element = None
    operand_elements: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Where the badness of one output comes from.

    The origin is the earliest there is: of a NaN made from an Inf, the birth of the
    Inf; the NaN is then a turn. Where the Inf was placed (a mask), it is the NaN.

    Attributes:
        verdict: "born", "placed", "came in" or "not reproduced".
        kind: "nan", "inf" or "-inf" at the origin.
        birth: the operation; None unless born.
        argument: index of the flat argument it came in through; -1 unless it came in.
        element: of that argument, the element that matters here.
        spread: whether what came in was mixed with other elements on its way (by a
            matmul, a reduction, a scatter); only then it is a failure.
        turns: operations at which it changed what it is, in order, after the origin.
        output_element: the element of the output it was followed from.
        notes: what is not certain, and why.
    """

    verdict: str
    kind: str
    birth: Birth | None = None
    argument: int = -1
    element: Element = None
    spread: bool = False
    turns: tuple[Birth, ...] = ()
    output_element: Element = None
    notes: tuple[str, ...] = ()
