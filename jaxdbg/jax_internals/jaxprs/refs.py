"""A jaxpr whose Refs are plain values: reads and writes in the order they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.jax_internals.requirements import private

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, ClosedJaxpr

_OLDER = private("jax._src.state.discharge.discharge_state2", "refs", until="0.10")
_DISCHARGE = private("jax._src.state.discharge.discharge_state", "refs")


def without_refs(jaxpr: ClosedJaxpr) -> ClosedJaxpr:
    """A closed jaxpr with Refs as plain values.

    What those of its caller hold is an argument, and after its other results a result.
    It is left as it is where it has no Ref, or one that it closes over.
    """
    inside = body(jaxpr)
    if any(map(_is_ref, inside.constvars)):
        return jaxpr
    if not (any(map(_is_ref, inside.invars)) or _makes_refs(jaxpr)):
        return jaxpr
    discharge = _DISCHARGE if _OLDER.absent else _OLDER
    without: ClosedJaxpr = discharge.get()(jaxpr)
    return without


def _makes_refs(jaxpr: AnyJaxpr) -> bool:
    return any(
        any(map(_is_ref, eqn.outvars)) or any(_makes_refs(b.jaxpr) for b in bodies(eqn))
        for eqn in jaxpr.eqns
    )


def _is_ref(variable: Any) -> bool:
    return hasattr(variable.aval, "inner_aval")
