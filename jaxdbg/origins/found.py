"""What a search through a jaxpr finds: births, and the way of what they made.

These are live objects of JAX; `describe` makes a `jaxdbg.records.Origin` of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxdbg.jax_internals.jaxprs.evaluate import Order
from jaxdbg.jax_internals.jaxprs.site import Site

Element = tuple[int, ...] | None
"""Index of one element of an array; None if no single one is bad."""


@dataclass(frozen=True, slots=True)
class Birth:
    """An operation whose result is non-finite in a way that its operands are not.

    Attributes:
        kind: "nan", "inf" or "-inf": what its result became.
        site: the equation.
        operands: their values, one for each of the equation's inputs.
        result: the output that is non-finite.
        element: the first bad element of the result.
        operand_elements: for each operand, the element from which it was made.
        unknown: for each operand, the elements that are not known, because they are in
            other processes; None where all are known, and empty where there are none.
    """

    kind: str
    site: Site
    operands: tuple[Any, ...]
    result: Any
    element: Element = None
    operand_elements: tuple[Element, ...] = ()
    unknown: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Where the non-finite values of one output come from.

    If arithmetic made the Inf that became this NaN, the origin is the birth of the Inf,
    and `turns` lists the NaN. If the Inf was a constant, the origin is the NaN.

    Attributes:
        verdict: "born", "placed", "came in", "allowed" or "not reproduced".
        kind: "nan", "inf" or "-inf" at the origin.
        birth: the operation; None unless born.
        placed_at: the equation that takes the literal or constant; None unless placed,
            and where a result is itself one.
        allowed: the equations at which what the user allows was born.
        argument: index of the flat argument it came in through; -1 unless it came in.
        element: of that argument, the element that matters here.
        spread: whether what came in or was placed was mixed with other elements on its
            way (by a matmul, a reduction, a scatter); only then it is a failure.
        turns: operations at which it became another kind, in order, after the origin.
        product: the first product of the backward pass that a NaN went through, on its
            way from something else; of a NaN that came in, where there is none, a
            product of the forward pass with a 0.
        output_element: the element of the output it was followed from.
        notes: what is not certain, and why.
        order: when the operation at the origin was evaluated; empty unless born.
        candidate: whether the evaluation gave other kinds of bad values than the call:
            then it may have been born elsewhere.
        also: other origins of the same output, none made from another, by their order.
        broke: why the compiled program could not be looked at; None where it was, where
            it need not be, and where that is not offered.
    """

    verdict: str
    kind: str
    birth: Birth | None = None
    argument: int = -1
    element: Element = None
    spread: bool = False
    turns: tuple[Birth, ...] = ()
    product: Birth | None = None
    output_element: Element = None
    notes: tuple[str, ...] = ()
    order: Order = ()
    candidate: bool = False
    also: tuple[Found, ...] = ()
    placed_at: Site | None = None
    allowed: tuple[Site, ...] = ()
    broke: Exception | None = None

    @property
    def is_failure(self) -> bool:
        """Whether it is not just a mask: born, or came in or was placed, and spread."""
        return self.verdict == "born" or (
            self.verdict in ("came in", "placed") and self.spread
        )

    def same(self, other: Found) -> bool:
        """Whether both have one origin, be it in two iterations of a loop."""
        if self.birth is None or other.birth is None:
            return self._end == other._end
        return self.birth.site.path == other.birth.site.path

    @property
    def _end(self) -> tuple[Any, ...]:
        """What tells an origin that is no birth from others."""
        path = self.placed_at.path if self.placed_at is not None else None
        return self.verdict, self.argument, path
