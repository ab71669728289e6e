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
    """A closed jaxpr with the Refs that it makes itself as plain values.

    It is left as it is where it makes none, and where it takes Refs of its caller:
    these are written to, which is a result.
    """
    if _takes_refs(jaxpr) or not _makes_refs(jaxpr):
        return jaxpr
    discharge = _DISCHARGE if _OLDER.absent else _OLDER
    without: ClosedJaxpr = discharge.get()(jaxpr)
    return without


def _takes_refs(jaxpr: AnyJaxpr) -> bool:
    inside = body(jaxpr)
    return any(map(_is_ref, (*inside.invars, *inside.constvars)))


def _makes_refs(jaxpr: AnyJaxpr) -> bool:
    return any(
        any(map(_is_ref, eqn.outvars)) or any(_makes_refs(b.jaxpr) for b in bodies(eqn))
        for eqn in jaxpr.eqns
    )


def _is_ref(variable: Any) -> bool:
    return hasattr(variable.aval, "inner_aval")
