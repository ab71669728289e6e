"""Which equation produced an operand: a walk up a jaxpr, in and out of calls.

Where a value was only moved (reshaped, broadcast, cast), the producer is the equation
before that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Call,
    Loop,
    Sharded,
    Solve,
    body_around,
    structure,
)
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.jax_internals.primitives import MOVES_ONE

if TYPE_CHECKING:
    from jaxdbg.jax_internals import types
    from jaxdbg.jax_internals.types import ClosedJaxpr, Jaxpr, JaxprEqn, Var

MAX_STEPS = 64
"""How far a walk goes at most."""

MAX_WIDTH = 8
"""How many operands are looked at on each level of a walk up."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable or a literal, and the bodies it is in.

    Attributes:
        atom: JAX's own.
        bodies: the open jaxprs around it, from outside in; from the innermost on that
            was rewritten to be evaluated.
        calls: the equation that holds each body; None for the outermost.
    """

    atom: types.Atom
    bodies: tuple[Jaxpr, ...]
    calls: tuple[JaxprEqn | None, ...]

    @property
    def literal(self) -> Any:
        """The value of a literal; None for a variable."""
        return self.atom.val if is_literal(self.atom) else None


@dataclass(frozen=True, slots=True)
class Producer:
    """An equation on the way to an operand, and its own operands."""

    eqn: JaxprEqn
    operands: tuple[Variable, ...]

    @property
    def eqns(self) -> tuple[JaxprEqn, ...]:
        """The equation, and those it is inside of, from inside out."""
        around = self.operands[0].calls if self.operands else ()
        return (self.eqn, *(c for c in reversed(around) if c is not None))

    @property
    def name(self) -> str:
        """JAX's name of the primitive."""
        return str(self.eqn.primitive.name)


def operands(jaxpr: ClosedJaxpr, site: Site) -> tuple[Variable, ...]:
    """The operands of the equation at a site.

    Arguments:
        jaxpr: the closed jaxpr of the call, which the outermost equation is in.
        site: of the equation.
    """
    around: list[Jaxpr] = [body(jaxpr)]
    calls: list[JaxprEqn | None] = [None]
    insides = (*site.outer, site.eqn)[1:]
    for call, inside in zip(site.outer, insides, strict=True):
        holder = body_around(call, inside)
        if holder is None:  # of an equation that was rewritten to be evaluated
            around, calls = [], []
            continue
        around.append(body(holder.jaxpr))
        calls.append(call)
    return _operands(site.eqn, tuple(around), tuple(calls))


def step_before(operand: Variable) -> Producer | None:
    """The equation whose result this is; None for an argument, constant or literal."""
    for _ in range(MAX_STEPS):
        if is_literal(operand.atom) or not operand.bodies:
            return None
        eqn = _definition(operand.bodies[-1], operand.atom)
        if eqn is None:
            outside = _passed_in(operand)
            if outside is None:
                return None
            operand = outside
            continue
        inner = structure(eqn)
        if inner is None or not _is_call(inner):
            return Producer(eqn, _operands(eqn, operand.bodies, operand.calls))
        operand = _returned(operand, eqn, inner)
    return None


def _steps_before(operand: Variable) -> Iterator[Producer]:
    """The equations a value was moved through, and last the one that produced it."""
    for _ in range(MAX_STEPS):
        step = step_before(operand)
        if step is None:
            return
        yield step
        if step.name not in MOVES_ONE:
            return
        operand = step.operands[0]


def producer(operand: Variable) -> Producer | None:
    """The equation that produced a value, seen through all that only moved it."""
    *_, last = (None, *_steps_before(operand))
    return last if last is not None and last.name not in MOVES_ONE else None


def source(operand: Variable) -> Variable:
    """The value itself, before it was moved: a literal, an argument or a result."""
    for step in _steps_before(operand):
        if step.name in MOVES_ONE:
            operand = step.operands[0]
    return _passed_literal(operand)


def _passed_literal(operand: Variable) -> Variable:
    """The number that a call passes for an argument of its body; else the operand."""
    outside: Variable | None = operand
    while outside is not None and not is_literal(outside.atom) and outside.bodies:
        if _definition(outside.bodies[-1], outside.atom) is not None:
            return operand
        outside = _passed_in(outside)
    return operand if outside is None or outside.literal is None else outside


def above(operand: Variable, depth: int) -> list[Producer]:
    """The equations above an operand, nearest first, a few of them."""
    found: list[Producer] = []
    level = [operand]
    for _ in range(depth):
        steps = [s for o in level if (s := producer(o)) is not None]
        found += steps
        level = [o for s in steps for o in s.operands][:MAX_WIDTH]
        if len(found) > 4 * MAX_WIDTH:
            break
    return found


def all_above(operands: Sequence[Variable], most: int) -> Iterator[Producer]:
    """The equations above some operands, nearest first, each once."""
    level, seen = list(operands), set[int]()
    while level and len(seen) < most:
        steps = {id(s.eqn): s for o in level if (s := producer(o)) is not None}
        new = [s for key, s in steps.items() if key not in seen]
        yield from new
        seen |= steps.keys()
        level = [o for s in new for o in s.operands]


def number(operand: Variable) -> float | None:
    """The value of a literal that is one number, moved or not; else None."""
    literal = source(operand).literal
    return None if literal is None or np.ndim(literal) else float(np.real(literal))


def is_same(a: Variable, b: Variable) -> bool:
    """Whether two operands are the same value, moved or not."""
    return source(a).atom is source(b).atom


def _is_call(inner: Any) -> TypeGuard[Call]:
    return isinstance(inner, Call) and not isinstance(inner, Solve | Sharded)


def _definition(jaxpr: Jaxpr, var: types.Atom) -> JaxprEqn | None:
    return next((e for e in jaxpr.eqns if any(v is var for v in e.outvars)), None)


def _operands(
    eqn: JaxprEqn, around: tuple[Jaxpr, ...], calls: tuple[JaxprEqn | None, ...]
) -> tuple[Variable, ...]:
    return tuple(Variable(v, around, calls) for v in eqn.invars)


def _passed_in(operand: Variable) -> Variable | None:
    """What the caller passed for an argument of a body."""
    inside, call = operand.bodies[-1], operand.calls[-1]
    index = _index(inside.invars, operand.atom)
    inner = None if call is None else structure(call)
    if call is None or index is None or inner is None:
        return None
    if isinstance(inner, Loop) and _is_carried(inner, inside, index):
        return None  # of the iteration before
    (entered, *_) = (b for b in inner.bodies if body(b.jaxpr) is inside)
    passed = call.invars[entered.operands[index]]
    return Variable(passed, operand.bodies[:-1], operand.calls[:-1])


def _is_carried(loop: Loop, inside: Jaxpr, index: int) -> bool:
    n_consts = loop.n_consts
    if body(loop.step.jaxpr) is not inside:
        n_consts = len(inside.invars) - loop.n_carry
    return n_consts <= index < n_consts + loop.n_carry


def _returned(operand: Variable, call: JaxprEqn, inner: Call) -> Variable:
    inside = body(inner.body.jaxpr)
    index = _index(call.outvars, operand.atom)
    assert index is not None
    around, calls = (*operand.bodies, inside), (*operand.calls, call)
    return Variable(inside.outvars[index], around, calls)


def _index(variables: Sequence[Var], atom: types.Atom) -> int | None:
    return next((i for i, v in enumerate(variables) if v is atom), None)
