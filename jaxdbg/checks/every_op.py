"""A jaxpr that also says, for each of its operations, whether a result was not finite.

One flag per operation: whether the sum of its result times zero is NaN, which it is
exactly where an element was NaN or infinite, and which cannot overflow. What a loop
runs many times shares one flag. Operations are checked by the dtype of their results;
those that move values without computing are left out, since what they move was checked
before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.arrays import can_be_non_finite
from jaxdbg.jax_internals.jaxprs.evaluate import Frame, Visitor, Wanted, evaluate
from jaxdbg.jax_internals.jaxprs.forms import in_avals
from jaxdbg.jax_internals.jaxprs.higher_order import Call, Cond, HigherOrder, Loop
from jaxdbg.jax_internals.jaxprs.rebuild import rebuilt_cond, rebuilt_loop
from jaxdbg.jax_internals.names import jaxpr_as_fun
from jaxdbg.jax_internals.primitives import MOVES

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, ClosedJaxpr


@dataclass(frozen=True, slots=True)
class Instrumented:
    """A jaxpr with one more output, after the others.

    Attributes:
        jaxpr: the closed jaxpr; its last output is bool[sites], true where the result
            of an operation was not finite.
        sites: how many operations are checked.
    """

    jaxpr: ClosedJaxpr
    sites: int

    def __call__(self, *args: Any) -> tuple[list[Any], Any]:
        """The outputs of the jaxpr, and the one that was added."""
        *outs, flags = jaxpr_as_fun(self.jaxpr)(*args)
        return outs, flags


def instrument(jaxpr: AnyJaxpr) -> Instrumented:
    """Adds the output to a closed jaxpr."""

    def run(*args: Any) -> list[Any]:
        checking = _Checking()
        outs = evaluate(jaxpr, args, checking)
        return [*outs, _joined(checking.flags)]

    new = jax.make_jaxpr(run)(*in_avals(jaxpr))
    return Instrumented(new, int(new.out_avals[-1].shape[0]))


class _Checking(Visitor[Any]):
    """Evaluates a jaxpr under a trace, and checks its operations.

    Attributes:
        flags: arrays of bool and one dimension, true for what is not finite.
    """

    def __init__(self) -> None:
        self.flags: list[Any] = []

    def enters(self, frame: Frame, n: int, inner: HigherOrder) -> bool:
        plain = not isinstance(inner, Call) or inner.is_plain
        return plain and super().enters(frame, n, inner)

    def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
        outs = super().bind(frame, n, ins)
        if frame.eqns[n].primitive.name not in MOVES:
            self.flags += [_flag(out) for out in outs if can_be_non_finite(out)]
        return outs

    def cond(
        self, frame: Frame, n: int, inner: Cond, ins: list[Any], wanted: Wanted
    ) -> list[Any]:
        made = [instrument(b.jaxpr) for b in inner.bodies]
        sizes = [m.sites for m in made]

        def branch(n: int) -> Any:
            before, after = sum(sizes[:n]), sum(sizes[n + 1 :])

            def run(*args: Any) -> list[Any]:
                outs, flags = made[n](*args)
                return [*outs, jnp.pad(flags, (before, after))]

            return run

        *outs, flags = rebuilt_cond(ins, [branch(n) for n in range(len(made))])
        self.flags.append(flags)
        return outs

    def loop(self, frame: Frame, n: int, inner: Loop, ins: list[Any]) -> list[Any]:
        made = instrument(inner.step.jaxpr)
        start = jnp.zeros((made.sites,), bool)
        outs, flags = rebuilt_loop(inner, ins, lambda values: made(*values), start)
        self.flags.append(flags)
        return outs


def _flag(value: Any) -> Any:
    if jnp.issubdtype(value.dtype, jnp.complexfloating):
        value = jnp.real(value) * 0 + jnp.imag(value) * 0
    zeros = value.astype(jnp.float32) * 0 if value.dtype.itemsize < 4 else value * 0
    return jnp.isnan(jnp.sum(zeros)).reshape(1)


def _joined(flags: list[Any]) -> Any:
    return jnp.concatenate(flags) if flags else jnp.zeros((0,), bool)
