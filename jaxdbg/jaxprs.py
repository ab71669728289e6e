"""What every evaluation of a jaxpr needs to know about its equations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

BODIES = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "eval_jaxpr": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
}
"""Primitives that call one jaxpr with all their operands, and where it is kept."""


def bind_equation(eqn: Any, arrays: list[Any]) -> list[Any]:
    """The outputs of an equation for these operands, in the context it was made in."""
    subfuns: Any = ()
    params = eqn.params
    if hasattr(eqn.primitive, "get_bind_params"):
        bound = eqn.primitive.get_bind_params(params)
        subfuns, params = bound if isinstance(bound, tuple) else ((), bound)
    with eqn.ctx.manager:
        outs = eqn.primitive.bind(*subfuns, *arrays, **params)
    return list(outs) if eqn.primitive.multiple_results else [outs]


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
