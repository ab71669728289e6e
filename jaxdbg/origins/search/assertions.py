"""Which values a failing assertion was about: the operands of its test for finiteness.

An assertion inside jitted code is a `check` equation. What it checks was made of the
values by a few equations that compare, reduce and combine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxdbg.jax_internals.arrays import can_be_non_finite
from jaxdbg.jax_internals.jaxprs.forms import with_outputs
from jaxdbg.jax_internals.names import is_literal

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Atom, ClosedJaxpr, JaxprEqn, Var

MAX_STEPS = 200
"""How many equations are looked at, back from each assertion."""


def asserted_values(jaxpr: ClosedJaxpr) -> ClosedJaxpr | None:
    """A closed jaxpr that gives the values its assertions test for finiteness.

    None where there are none, or none outside of loops and jitted functions inside.
    """
    eqns = jaxpr.eqns
    makers = {id(v): e for e in eqns for v in e.outvars}
    tests = [e for e in eqns if e.primitive.name == "check"]
    wanted: dict[int, Var] = {}
    for test in tests:
        wanted |= _tested(test, makers)
    return with_outputs(jaxpr, list(wanted.values())) if wanted else None


def _tested(test: JaxprEqn, makers: dict[int, JaxprEqn]) -> dict[int, Var]:
    found: dict[int, Var] = {}
    seen: set[int] = set()
    left = [v for v in test.invars[:1] if not is_literal(v)]
    while left and len(seen) < MAX_STEPS:
        var = left.pop()
        eqn = makers.get(id(var))
        if eqn is None or id(var) in seen:
            continue
        seen.add(id(var))
        operands = [v for v in eqn.invars if not is_literal(v)]
        if eqn.primitive.name == "is_finite" and not _is_verdict(operands[0], makers):
            found[id(operands[0])] = operands[0]
        else:
            left += operands
    return {k: v for k, v in found.items() if can_be_non_finite(v.aval)}


def _is_verdict(var: Atom, makers: dict[int, JaxprEqn]) -> bool:
    """Whether this is chex's own vector: NaN or 0 for each leaf it looked at."""
    eqn = makers.get(id(var))
    return eqn is not None and eqn.primitive.name == "concatenate"
