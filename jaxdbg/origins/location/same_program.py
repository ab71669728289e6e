"""Two traces of the same function: is it the same program, and which equation is which?

A trace is believed only where it is the other one, equation by equation, in each body
on the way to the equation that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.jaxprs.effects import NotReplayable, replayable
from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.jax_internals.jaxprs.site import Site

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, ClosedJaxpr, JaxprEqn


def equation_at(
    site: Site, old: ClosedJaxpr, new: ClosedJaxpr
) -> tuple[JaxprEqn, tuple[JaxprEqn, ...]] | None:
    """The equation at the site's path, and those around it; None if it is another.

    Arguments:
        site: an equation of `old`.
        old, new: closed jaxprs that were traced from the same function.
    """
    try:
        # As a rule both call back alike, and then the path is that of both.
        return _at(site, old, new) or _at(site, replayable(old), replayable(new))
    except NotReplayable:
        return None


def _at(
    site: Site, old: AnyJaxpr, new: AnyJaxpr
) -> tuple[JaxprEqn, tuple[JaxprEqn, ...]] | None:
    pair = old, new
    found: list[JaxprEqn] = []
    for n, which in site.path:
        if not same_program(*pair) or n >= len(pair[1].eqns):
            return None
        found.append(pair[1].eqns[n])
        inside = [bodies(jaxpr.eqns[n]) for jaxpr in pair]
        if all(which < len(b) for b in inside):
            pair = inside[0][which].jaxpr, inside[1][which].jaxpr
    if not found or found[-1].primitive.name != site.eqn.primitive.name:
        return None
    return found[-1], tuple(found[:-1])


def same_program(old: AnyJaxpr, new: AnyJaxpr) -> bool:
    """Whether two jaxprs have the same primitives and shapes, bodies not counted."""
    return len(old.eqns) == len(new.eqns) and all(
        a.primitive is b.primitive and _shapes(a) == _shapes(b)
        for a, b in zip(old.eqns, new.eqns, strict=True)
    )


def _shapes(eqn: JaxprEqn) -> list[Any]:
    return [
        (getattr(v.aval, "shape", None), getattr(v.aval, "dtype", None))
        for v in (*eqn.invars, *eqn.outvars)
    ]
