"""Equations that do no more than name a value, to find it again in another jaxpr.

A variable of the user's is a tracer while its function is traced. What transformations
make of its jaxpr (grad, vmap, scan, remat) has other variables. An equation that is
bound to the tracer goes through each of these as any other does: in the jaxpr that is
evaluated in the end its operand is the value. It has no results, and the effect of a
`jax.debug.print`, so nothing leaves it out.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import jax

from jaxdbg.jax_internals.jaxprs.forms import body, is_jaxpr, with_body
from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.jax_internals.requirements import derived, private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxdbg.jax_internals.types import JaxprEqn

_PRIMITIVE = private("jax._src.core.Primitive", "frames")
_CURRENT_TRACE = private("jax._src.core.set_current_trace", "frames")
_TRACE_OF = private("jax._src.core.Tracer._trace", "frames")
_EFFECT = private("jax._src.debugging.debug_effect", "frames")
_JVPS = private("jax._src.interpreters.ad.primitive_jvps", "frames")
_BATCHERS = private("jax._src.interpreters.batching.primitive_batchers", "frames")
_TRANSPOSES = private("jax._src.interpreters.ad.primitive_transposes", "frames")
_PARTIAL = private(
    "jax._src.interpreters.partial_eval.partial_eval_jaxpr_custom_rules",
    "frames",
)

_NAME = "jaxdbg_value"


@dataclass(frozen=True, slots=True)
class Marker:
    """What an equation says of its operand.

    Attributes:
        key: of the value.
        dims: the axes that vmap has put into it, the innermost vmap first.
    """

    key: int
    dims: tuple[int | None, ...] = ()


def mark(tracer: Any, key: int) -> None:
    """Names the value of a tracer, in the trace that it is of."""
    with _CURRENT_TRACE.get()(_TRACE_OF.of(tracer)):
        _primitive().bind(tracer, marker=Marker(key))


def marker_of(eqn: JaxprEqn) -> Marker | None:
    """What a marker says; None for any other equation."""
    return eqn.params["marker"] if eqn.primitive.name == _NAME else None


def has_markers(eqn: JaxprEqn) -> bool:
    """Whether an equation is a marker, or has some in its bodies."""
    if eqn.primitive.name == _NAME:
        return True
    if not eqn.effects:
        return False
    return any(has_markers(e) for b in bodies(eqn) for e in b.jaxpr.eqns)


def without_markers(eqn: JaxprEqn) -> JaxprEqn:
    """An equation as it is without the markers in its jaxprs, to be bound as one."""
    params = {name: _unmarked(value) for name, value in eqn.params.items()}
    if all(params[name] is value for name, value in eqn.params.items()):
        return eqn
    new: Any = eqn.replace(params=params, effects=_effects_left(eqn.effects, params))
    return cast("JaxprEqn", new)


def _unmarked(value: Any) -> Any:
    if is_jaxpr(value):
        return _jaxpr_unmarked(value)
    if not isinstance(value, tuple):
        return value
    parts = [_unmarked(part) for part in value]
    if all(new is old for new, old in zip(parts, value, strict=True)):
        return value
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def _jaxpr_unmarked(jaxpr: Any) -> Any:
    old: Any = body(jaxpr)
    eqns = [without_markers(e) for e in old.eqns if e.primitive.name != _NAME]
    if len(eqns) == len(old.eqns) and all(map(operator.is_, eqns, old.eqns)):
        return jaxpr
    effects = _effects_left(old.effects, {str(n): e for n, e in enumerate(eqns)})
    return with_body(jaxpr, old.replace(eqns=eqns, effects=effects))


def _effects_left(effects: Any, inside: Mapping[str, Any]) -> Any:
    """Effects without that of markers, where nothing inside has it for another."""
    parts = jax.tree.leaves(
        list(inside.values()), is_leaf=lambda v: hasattr(v, "effects")
    )
    if any(_EFFECT.get() in getattr(part, "effects", ()) for part in parts):
        return effects
    return type(effects)(e for e in effects if e is not _EFFECT.get())


def _has_effects(value: Any) -> bool:
    return hasattr(value, "effects")


@derived
def _primitive() -> Any:
    made = _PRIMITIVE.get()(_NAME)
    made.multiple_results = True
    made.def_impl(lambda *_, **__: [])
    made.def_effectful_abstract_eval(lambda *_, **__: ([], {_EFFECT.get()}))
    _JVPS.get()[made] = functools.partial(_of_primals, made)
    _BATCHERS.get()[made] = functools.partial(_of_batch, made)
    _TRANSPOSES.get()[made] = _of_tangent
    _PARTIAL.get()[made] = _known_and_again
    return made


def _of_primals(
    primitive: Any, primals: Sequence[Any], tangents: Sequence[Any], marker: Marker
) -> tuple[list[Any], list[Any]]:
    return primitive.bind(*primals, marker=marker), []


def _of_batch(
    primitive: Any, args: Sequence[Any], dims: Sequence[Any], marker: Marker
) -> tuple[list[Any], list[Any]]:
    (dim,) = dims
    axis = dim if isinstance(dim, int) else None
    batched = Marker(marker.key, (*marker.dims, axis))
    return primitive.bind(*args, marker=batched), []


def _of_tangent(_: Any, *operands: Any, marker: Marker) -> list[Any]:
    """What is linear in a tangent is never computed: its marker ends here."""
    return [None] * len(operands)


def _known_and_again(
    saveable: Any, unknown: Sequence[bool], instantiated: Sequence[bool], eqn: Any
) -> tuple[Any, Any, list[Any], list[Any], list[Any]]:
    """What remat makes of a marker: two, where the value is computed twice anyway."""
    if any(unknown):
        pairs = zip(eqn.invars, instantiated, strict=True)
        return None, eqn, [], [], [v for v, there in pairs if not there]
    return eqn, eqn if all(instantiated) else None, [], [], []


def is_value(tracer: Any) -> bool:
    """Whether a tracer stands for an array that can be marked: no Ref, no token."""
    aval = getattr(tracer, "aval", None)
    return (
        isinstance(tracer, jax.core.Tracer)
        and hasattr(aval, "dtype")
        and hasattr(aval, "shape")
        and not hasattr(aval, "inner_aval")
    )
