"""Which values a failing assertion was about: the operands of its test for finiteness.

An assertion inside jitted code is a `check` equation. What it checks was made of the
values by a few equations that compare, reduce and combine.
"""

from __future__ import annotations

from typing import Any

from jaxdbg.jax_internals.jaxprs import can_be_bad, with_outputs
from jaxdbg.jax_internals.names import is_literal

MAX_STEPS = 200
"""How many equations are looked at, back from each assertion."""


def asserted_values(jaxpr: Any) -> Any:
    """A closed jaxpr that gives the values its assertions test for finiteness.

    None where there are none, or none outside of loops and jitted functions inside.
    """
    body = getattr(jaxpr, "jaxpr", jaxpr)
    makers = {id(v): e for e in body.eqns for v in e.outvars}
    tests = [e for e in body.eqns if e.primitive.name == "check"]
    wanted: dict[int, Any] = {}
    for test in tests:
        wanted |= _tested(test, makers)
    return with_outputs(jaxpr, list(wanted.values())) if wanted else None


def _tested(test: Any, makers: dict[int, Any]) -> dict[int, Any]:
    found: dict[int, Any] = {}
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
    return {k: v for k, v in found.items() if can_be_bad(v.aval)}


def _is_verdict(var: Any, makers: dict[int, Any]) -> bool:
    """Whether this is chex's own vector: NaN or 0 for each leaf it looked at."""
    eqn = makers.get(id(var))
    return eqn is not None and eqn.primitive.name == "concatenate"
