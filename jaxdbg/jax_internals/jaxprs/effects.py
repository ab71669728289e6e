"""What a jaxpr does to the world, and the same jaxpr without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jax

from jaxdbg.jax_internals import names
from jaxdbg.jax_internals.jaxprs.forms import body, is_jaxpr, with_body

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, ClosedJaxpr, JaxprEqn

_Jaxpr = TypeVar("_Jaxpr", bound="AnyJaxpr")


class NotReplayable(Exception):
    """Evaluating a jaxpr again would do again what the program did to the world."""


def replayable(jaxpr: ClosedJaxpr) -> ClosedJaxpr:
    """A closed jaxpr to evaluate again: without what only prints, or calls back.

    Raises:
        NotReplayable: it writes to a Ref of its caller, or takes part in I/O.
    """
    if any(names.is_write(e) for e in jaxpr.effects):
        raise NotReplayable("it writes to a Ref, which cannot be done twice")
    return _without_callbacks(jaxpr)


def without_callbacks(eqn: JaxprEqn) -> JaxprEqn:
    """An equation without what prints, or calls back, inside of it."""
    if not eqn.effects:
        return eqn
    params = {name: _in_param(value) for name, value in eqn.params.items()}
    bodies = [v for v in jax.tree.leaves(params, is_leaf=is_jaxpr) if is_jaxpr(v)]
    if not bodies:
        return eqn
    new = eqn.replace(params=params, effects=_left(eqn.effects, bodies))
    return cast("JaxprEqn", new)


def _without_callbacks(jaxpr: _Jaxpr) -> _Jaxpr:
    if not jaxpr.effects:
        return jaxpr
    old: Any = body(jaxpr)
    kept = [e for e in old.eqns if e.outvars or any(map(names.is_write, e.effects))]
    if any(e.primitive.name == "io_callback" for e in kept):
        raise NotReplayable("it gets values by io_callback")
    eqns = [without_callbacks(e) for e in kept]
    new = old.replace(eqns=eqns, effects=_left(old.effects, eqns))
    return cast("_Jaxpr", with_body(jaxpr, new))


def _in_param(value: Any) -> Any:
    if isinstance(value, tuple) and any(map(is_jaxpr, value)):  # branches
        parts = map(_in_param, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return _without_callbacks(value) if is_jaxpr(value) else value


def _left(effects: Any, inside: Sequence[Any]) -> Any:
    """Of the effects of a jaxpr or equation, those that something inside has."""
    left = frozenset().union(*(i.effects for i in inside))
    return type(effects)(e for e in effects if e in left or names.is_of_input(e))


_CALLBACKS = frozenset({"pure_callback", "io_callback"})


def gets_values_back(eqn: JaxprEqn) -> bool:
    """Whether a result, or one inside, is what Python on the host returns."""
    if eqn.primitive.name in _CALLBACKS:
        return bool(eqn.outvars)
    inside = jax.tree.leaves(list(eqn.params.values()), is_leaf=is_jaxpr)
    jaxprs = [body(v) for v in inside if is_jaxpr(v)]
    return any(gets_values_back(e) for j in jaxprs for e in j.eqns)
