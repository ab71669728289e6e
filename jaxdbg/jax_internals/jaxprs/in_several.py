"""Which calls run in several processes of a job at once.

With `jax.distributed` an array may have shards in several processes. A program over
such an array runs in all of them or in none, so jaxdbg runs none of its own: another
process may have no region, and would wait for a program that it never hears of.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.jax_internals.arrays import spans_processes
from jaxdbg.jax_internals.jaxprs.forms import body, is_jaxpr
from jaxdbg.jax_internals.processes import are_several

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn


def runs_in_several(args: Sequence[Any], params: Mapping[str, Any]) -> bool:
    """Whether a jitted call runs in several processes at once.

    Arguments:
        args: its flat arguments.
        params: what JAX knows of the call.
    """
    return are_several() and (
        any(map(spans_processes, args)) or _is_written_for_several(params)
    )


_WRITTEN: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
"""By closed jaxpr, whether its constants or what it says of meshes span processes."""


def _is_written_for_several(params: Mapping[str, Any]) -> bool:
    jaxpr = params["jaxpr"]
    if jaxpr not in _WRITTEN:
        inside = any(map(_spans, _said_of_places(jaxpr)))
        _WRITTEN[jaxpr] = inside or any(map(spans_processes, jaxpr.consts))
    return _WRITTEN[jaxpr] or any(map(_spans, _places_in(params)))


def is_written_for_several(eqn: JaxprEqn) -> bool:
    """Whether an equation, or one in its bodies, says where in several processes."""
    return any(map(_spans, _said_in(eqn)))


def _said_of_places(jaxpr: Any) -> Iterator[Any]:
    for eqn in body(jaxpr).eqns:
        yield from _said_in(eqn)


def _said_in(eqn: JaxprEqn) -> Iterator[Any]:
    yield from _places_in(eqn.params)
    for value in jax.tree.leaves(eqn.params, is_leaf=is_jaxpr):
        if is_jaxpr(value):
            yield from _said_of_places(value)


def _places_in(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, jax.sharding.Mesh | jax.sharding.Sharding):
                yield one


def _spans(place: Any) -> bool:
    if isinstance(place, jax.sharding.Mesh):
        return not place.empty and bool(place.is_multi_process)
    if isinstance(getattr(place, "mesh", None), jax.sharding.AbstractMesh):
        return False
    return not place.is_fully_addressable
