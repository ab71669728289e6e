"""Which equation made an operand: a walk up a jaxpr, in and out of the calls it holds.

Where a value was only moved (reshaped, broadcast, cast), what counts is the equation
before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jaxdbg.jax_internals.jaxprs import BODIES, scan_layout
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.origins.found import Site

MOVES = frozenset(
    {
        "broadcast_in_dim",
        "convert_element_type",
        "copy",
        "copy_p",
        "expand_dims",
        "neg",
        "optimization_barrier",
        "reduce_precision",
        "reshape",
        "rev",
        "slice",
        "squeeze",
        "stop_gradient",
        "transpose",
    }
)
"""Primitives of one operand whose result holds its values, but for a sign."""

MAX_STEPS = 64
"""How far a walk goes at most."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A variable or a literal, and the bodies it stands in.

    Attributes:
        atom: JAX's own.
        bodies: the open jaxprs around it, from outside in; the outermost is not here
            unless it was given.
        calls: the equation that holds each body; None for the outermost.
    """

    atom: Any
    bodies: tuple[Any, ...]
    calls: tuple[Any, ...]

    @property
    def literal(self) -> Any:
        """The value of a literal; None for a variable."""
        return self.atom.val if is_literal(self.atom) else None


@dataclass(frozen=True, slots=True)
class Made:
    """An equation on the way to an operand, and its own operands."""

    eqn: Any
    operands: tuple[Atom, ...]

    @property
    def name(self) -> str:
        """JAX's name of the primitive."""
        return str(self.eqn.primitive.name)


def operands(jaxpr: Any, site: Site) -> tuple[Atom, ...]:
    """The operands of the equation at a site.

    Arguments:
        jaxpr: the closed jaxpr of the call, in which the outermost equation stands.
        site: where the equation stands.
    """
    bodies, calls = [_open(jaxpr)], [None]
    insides = (*site.outer, site.eqn)[1:]
    for call, inside in zip(site.outer, insides, strict=True):
        body = next((b for b in _bodies(call) if _holds(b, inside)), None)
        if body is None:  # of an equation that was rewritten to be evaluated
            bodies, calls = [], []
            continue
        bodies.append(body)
        calls.append(call)
    return _atoms(site.eqn, tuple(bodies), tuple(calls))


def made(atom: Atom) -> Made | None:
    """The equation that made a value; None for an argument, a constant, a literal."""
    for _ in range(MAX_STEPS):
        if is_literal(atom.atom) or not atom.bodies:
            return None
        eqn = _definition(atom.bodies[-1], atom.atom)
        if eqn is None:
            outside = _passed_in(atom)
            if outside is None:
                return None
            atom = outside
        elif eqn.primitive.name in BODIES:
            atom = _returned(atom, eqn)
        else:
            return Made(eqn, _atoms(eqn, atom.bodies, atom.calls))
    return None


def makers(atom: Atom) -> Iterator[Made]:
    """The equations a value was moved through, and last the one that made it."""
    for _ in range(MAX_STEPS):
        step = made(atom)
        if step is None:
            return
        yield step
        if step.name not in MOVES:
            return
        atom = step.operands[0]


def maker(atom: Atom) -> Made | None:
    """The equation that made a value, seen through all that only moved it."""
    *_, last = (None, *makers(atom))
    return last if last is not None and last.name not in MOVES else None


def source(atom: Atom) -> Atom:
    """The value itself, before it was moved: a literal, an argument or a result."""
    for step in makers(atom):
        if step.name in MOVES:
            atom = step.operands[0]
    return atom


def _open(jaxpr: Any) -> Any:
    return getattr(jaxpr, "jaxpr", jaxpr)


def _bodies(eqn: Any) -> list[Any]:
    found = []
    for value in eqn.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(part, "eqns") or hasattr(part, "jaxpr"):
                found.append(_open(part))
    return found


def _holds(body: Any, eqn: Any) -> bool:
    return any(e is eqn for e in getattr(body, "eqns", ()))


def _definition(body: Any, var: Any) -> Any:
    return next((e for e in body.eqns if any(v is var for v in e.outvars)), None)


def _atoms(
    eqn: Any, bodies: tuple[Any, ...], calls: tuple[Any, ...]
) -> tuple[Atom, ...]:
    return tuple(Atom(v, bodies, calls) for v in eqn.invars)


def _passed_in(atom: Atom) -> Atom | None:
    """What the caller passed for an argument of a body."""
    body, call = atom.bodies[-1], atom.calls[-1]
    index = next((i for i, v in enumerate(body.invars) if v is atom.atom), None)
    if call is None or index is None:
        return None
    if call.primitive.name == "cond":
        index += 1
    elif call.primitive.name == "scan":
        consts, carry = scan_layout(call.params)
        if consts <= index < consts + carry:  # of the iteration before
            return None
    elif call.primitive.name not in BODIES:
        return None
    return Atom(call.invars[index], atom.bodies[:-1], atom.calls[:-1])


def _returned(atom: Atom, call: Any) -> Atom:
    body = _open(call.params[BODIES[call.primitive.name]])
    index = next(i for i, v in enumerate(call.outvars) if v is atom.atom)
    return Atom(body.outvars[index], (*atom.bodies, body), (*atom.calls, call))
