"""What a search through a jaxpr finds: equations, and the values at them.

These are live objects of JAX; `describe` makes a `jaxdbg.records.Origin` of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

Element = tuple[int, ...] | None
"""Index of one element of an array; None if no single one is guilty."""


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
    """An operation whose result is non-finite in a way that its operands are not.

    Attributes:
        kind: "nan", "inf" or "-inf": what its result became.
        site: the equation.
        operands: their values, one for each of the equation's inputs.
        result: the output that is non-finite.
        element: the first guilty element of the result.
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
    """Where the non-finite values of one output come from.

    If arithmetic made the Inf that became this NaN, the origin is the birth of the Inf,
    and `turns` lists the NaN. If the Inf was a constant, the origin is the NaN.

    Attributes:
        verdict: "born", "placed", "came in" or "not reproduced".
        kind: "nan", "inf" or "-inf" at the origin.
        birth: the operation; None unless born.
        argument: index of the flat argument it came in through; -1 unless it came in.
        element: of that argument, the element that matters here.
        spread: whether what came in was mixed with other elements on its way (by a
            matmul, a reduction, a scatter); only then it is a failure.
        turns: operations at which it became another kind, in order, after the origin.
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
