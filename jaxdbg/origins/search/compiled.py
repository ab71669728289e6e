"""The intermediate results of a call as XLA computes them when it compiles the whole.

XLA rewrites a program: it takes `log(exp(z))` for `z`, and selects where a mask is
multiplied. Then the operations one by one give another result than the call did. So the
call is compiled once more with all its intermediate results as outputs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.errors import NotOffered
from jaxdbg.jax_internals.jaxprs.effects import without_callbacks
from jaxdbg.jax_internals.jaxprs.evaluate import (
    Frame,
    Order,
    Visitor,
    bind_equation,
)
from jaxdbg.jax_internals.jaxprs.forms import shape_of
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Call,
    HigherOrder,
    Sharded,
    Solve,
)
from jaxdbg.origins.search.evaluate import Recorder, Run, Value

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr

MAX_EQUATIONS = 1_000
"""Of a longer call this is not done: the compilation takes seconds."""

MAX_BYTES = 2**28
"""How much memory intermediate results may take."""

Values = Mapping[Order, Sequence[Any]]
"""By the order of an equation its results."""


def intermediate_results(
    jaxpr: ClosedJaxpr, args: Sequence[Any], outputs: Collection[int]
) -> Values:
    """What the compiled call computes on the way to some of its outputs.

    Loops and branches are not looked into; they are single operations.

    Raises:
        NotOffered: the call is too large.
    """
    wanted = [i in outputs for i in range(len(jaxpr.out_avals))]
    orders: list[Order] = []

    def whole(*args: Any) -> list[Sequence[Any]]:
        collected = _Collected()
        collected.run(Frame(jaxpr), args, wanted)
        orders[:] = collected.values
        return list(collected.values.values())

    results = jax.jit(whole)(*args)
    return dict(zip(orders, results, strict=True))


def _is_entered(inner: HigherOrder) -> bool:
    return isinstance(inner, Call) and not isinstance(inner, Solve | Sharded)


class _Collected(Visitor[Any]):
    """Traces a call, and keeps the results of each operation."""

    def __init__(self) -> None:
        self.values: dict[Order, Sequence[Any]] = {}
        self._nbytes = 0

    def enters(self, frame: Any, n: int, inner: HigherOrder) -> bool:
        return _is_entered(inner)

    def bind(self, frame: Any, n: int, ins: list[Any]) -> list[Any]:
        eqn = without_callbacks(frame.eqns[n])
        outs = bind_equation(eqn, ins)
        for var in eqn.outvars:
            aval: Any = var.aval
            self._nbytes += math.prod(shape_of(var)) * aval.dtype.itemsize
        if len(self.values) >= MAX_EQUATIONS or self._nbytes > MAX_BYTES:
            raise NotOffered("the call is too large to keep its intermediate results")
        self.values[*frame.order, n] = outs
        return outs


class RecorderOfCompiled(Recorder):
    """Records what was non-finite among results that are known already."""

    looks_into_kernels = False

    def __init__(self, values: Values, **options: Any):
        super().__init__(**options)
        self._values = values

    def enters(self, frame: Run, n: int, inner: HigherOrder) -> bool:
        return _is_entered(inner)

    def results(self, frame: Run, n: int, ins: list[Value]) -> list[Value]:
        return list(map(self.lift, self._values[*frame.order, n]))
