"""What every evaluation of a jaxpr needs to know about its equations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals import names as _compat

BODIES = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "composite": "jaxpr",
    "custom_vmap_call": "call",
    "eval_jaxpr": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
}
"""Primitives that call one jaxpr with all their operands, and where it is kept."""


REF: Any = getattr(jax, "Ref", ())
"""The class of mutable arrays."""


class NotReplayable(Exception):
    """Evaluating a jaxpr again would do again what the program did to the world."""


def replayable(jaxpr: Any) -> Any:
    """A closed jaxpr to evaluate again: without what prints, or calls back, only.

    Raises:
        NotReplayable: it writes to a Ref of its caller, or takes part in I/O.
    """
    if any(_compat.is_write(e) for e in jaxpr.effects):
        raise NotReplayable("it writes to a Ref, which cannot be done twice")
    return _without_callbacks(jaxpr)


def with_outputs(jaxpr: Any, variables: Sequence[Any]) -> Any:
    """A closed jaxpr that gives some of its variables in place of its outputs."""
    if getattr(jaxpr, "jaxpr", jaxpr) is not jaxpr:  # closed, before JAX 0.12
        return jaxpr.replace(jaxpr=with_outputs(jaxpr.jaxpr, variables))
    info = jaxpr.debug_info._replace(result_paths=None)
    return jaxpr.replace(outvars=list(variables), debug_info=info)


def _without_callbacks(jaxpr: Any) -> Any:
    if not jaxpr.effects:
        return jaxpr
    if getattr(jaxpr, "jaxpr", jaxpr) is not jaxpr:  # closed, before JAX 0.12
        return jaxpr.replace(jaxpr=_without_callbacks(jaxpr.jaxpr))
    kept = [e for e in jaxpr.eqns if e.outvars or any(map(_compat.is_write, e.effects))]
    if any(e.primitive.name == "io_callback" for e in kept):
        raise NotReplayable("it gets values by io_callback")
    eqns = [_equation_without_callbacks(e) if e.effects else e for e in kept]
    return jaxpr.replace(eqns=eqns, effects=_left(jaxpr.effects, eqns))


def _equation_without_callbacks(eqn: Any) -> Any:
    new = {name: _in_param(value) for name, value in eqn.params.items()}
    bodies = [v for v in jax.tree.leaves(new, is_leaf=_is_jaxpr) if _is_jaxpr(v)]
    if not bodies:
        return eqn
    return eqn.replace(params=new, effects=_left(eqn.effects, bodies))


def _in_param(value: Any) -> Any:
    if isinstance(value, tuple) and any(map(_is_jaxpr, value)):  # branches
        return tuple(map(_in_param, value))
    return _without_callbacks(value) if _is_jaxpr(value) else value


def without_callbacks(eqn: Any) -> Any:
    """An equation without what prints, or calls back, inside of it."""
    return _equation_without_callbacks(eqn) if eqn.effects else eqn


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")


def _left(effects: Any, inside: list[Any]) -> Any:
    """Of the effects of a jaxpr or equation, those that something inside has."""
    left = frozenset().union(*(i.effects for i in inside))
    return type(effects)(e for e in effects if e in left or _compat.is_of_input(e))


def bind_equation(eqn: Any, arrays: list[Any], in_context: bool = True) -> list[Any]:
    """The outputs of an equation for these operands, in the context it was made in."""
    subfuns: Any = ()
    params = eqn.params
    if hasattr(eqn.primitive, "get_bind_params"):
        bound = eqn.primitive.get_bind_params(params)
        subfuns, params = bound if isinstance(bound, tuple) else ((), bound)
    with eqn.ctx.manager if in_context else contextlib.nullcontext():
        outs = eqn.primitive.bind(*subfuns, *arrays, **params)
    return list(outs) if eqn.primitive.multiple_results else [outs]


def evaluate(
    jaxpr: Any, args: Sequence[Any], equation: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """The outputs of a closed jaxpr, where `equation` says what an equation gives.

    Arguments:
        jaxpr: a closed jaxpr, or an open one without constants.
        args: its flat arguments.
        equation: from an equation and its operands to its outputs.
    """
    body = getattr(jaxpr, "jaxpr", jaxpr)
    env: dict[Any, Any] = {}
    env.update(zip(body.constvars, getattr(jaxpr, "consts", ()), strict=True))
    env.update(zip(body.invars, args, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if _compat.is_literal(atom) else env[atom]

    for eqn in body.eqns:
        outs = equation(eqn, [read(v) for v in eqn.invars])
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in body.outvars]


def keep_running(running: Any, new: Any, old: Any) -> Any:
    """The new value of a while loop's carry, the old where an element is done.

    A while loop under vmap has a predicate for each batch element, and runs until all
    are done; JAX's own lowering keeps the values of those that are.

    Arguments:
        running: bool, a scalar, or with the leading dimensions of the carry.
        new, old: the carry after and before the iteration.
    """
    if jnp.ndim(running) == 0:
        return new
    shape = jnp.shape(new)
    running = jnp.expand_dims(running, range(jnp.ndim(running), len(shape)))
    return jax.lax.select(jnp.broadcast_to(running, shape), new, old)


def scan_layout(params: dict[str, Any]) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are its carry."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()  # since JAX 0.12
    return len(consts), len(carry)


def can_be_bad(value: Any) -> bool:
    """Whether an array, or an abstract value, is of a dtype with NaN or Inf."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.inexact))
