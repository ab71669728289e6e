"""A jaxpr that also says, for each of its operations, whether a result was not finite.

One number per operation: the sum of its result times zero, which is NaN exactly where
an element was NaN or infinite, and cannot overflow. What a loop runs many times shares
one number. Operations are checked by the dtype of what they give; only those that move
values without computing are left out, since what they move was checked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.jaxprs import (
    BODIES,
    bind_equation,
    can_be_bad,
    evaluate,
    keep_running,
    scan_layout,
)
from jaxdbg.jax_internals.names import jaxpr_as_fun

MOVING = frozenset(
    {
        "broadcast_in_dim",
        "concatenate",
        "copy",
        "copy_p",
        "device_put",
        "dynamic_slice",
        "dynamic_update_slice",
        "expand_dims",
        "neg",
        "optimization_barrier",
        "real",
        "imag",
        "reshape",
        "rev",
        "select_n",
        "sharding_constraint",
        "slice",
        "split",
        "squeeze",
        "stop_gradient",
        "transpose",
    }
)
"""Primitives that only move values: what is bad in their result was bad before."""


@dataclass(frozen=True, slots=True)
class Instrumented:
    """A jaxpr with one more output, after the others.

    Attributes:
        jaxpr: the closed jaxpr; its last output is float32[sites], NaN where the
            operation gave a value that is not finite.
        sites: how many operations are checked.
    """

    jaxpr: Any
    sites: int


def instrument(jaxpr: Any) -> Instrumented:
    """Adds the output to a closed jaxpr."""

    def run(*args: Any) -> list[Any]:
        outs, marks = _closed(jaxpr, args)
        return [*outs, _joined(marks)]

    new = jax.make_jaxpr(run)(*jaxpr.in_avals)
    return Instrumented(new, int(new.out_avals[-1].shape[0]))


def _closed(jaxpr: Any, args: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The outputs of a closed jaxpr, and its marks: float32 arrays of one dimension."""
    marks: list[Any] = []

    def equation(eqn: Any, ins: list[Any]) -> list[Any]:
        outs, new = _equation(eqn, ins)
        marks.extend(new)
        return outs

    return evaluate(jaxpr, args, equation), marks


def _equation(eqn: Any, ins: list[Any]) -> tuple[list[Any], list[Any]]:
    name = eqn.primitive.name
    if name in BODIES and _is_plain_call(eqn.params):
        return _closed(eqn.params[BODIES[name]], ins)
    if name in _CONTROL_FLOW:
        entered: tuple[list[Any], list[Any]] = _CONTROL_FLOW[name](ins, **eqn.params)
        return entered
    outs = bind_equation(eqn, ins)
    if name in MOVING:
        return outs, []
    return outs, [m for m in map(_mark, outs) if m is not None]


def _is_plain_call(params: dict[str, Any]) -> bool:
    # A call with shardings of its own means more than its body does.
    shardings = (*params.get("in_shardings", ()), *params.get("out_shardings", ()))
    return not any(isinstance(s, jax.sharding.Sharding) for s in shardings)


def _mark(value: Any) -> Any:
    if not can_be_bad(value):
        return None
    if jnp.issubdtype(value.dtype, jnp.complexfloating):
        value = jnp.real(value) * 0 + jnp.imag(value) * 0
    total = jnp.sum(value.astype(jnp.float32) * 0) if _narrow(value) else _zero(value)
    return total.astype(jnp.float32).reshape(1)


def _narrow(value: Any) -> bool:
    return bool(value.dtype.itemsize < 4)


def _zero(value: Any) -> Any:
    return jnp.sum(value * 0)


def _joined(marks: list[Any]) -> Any:
    return jnp.concatenate(marks) if marks else jnp.zeros((0,), jnp.float32)


def _cond(
    ins: list[Any], branches: Sequence[Any], **params: Any
) -> tuple[list[Any], list[Any]]:
    index, *operands = ins
    made = [instrument(b) for b in branches]
    sizes = [m.sites for m in made]

    def branch(n: int) -> Any:
        before, after = sum(sizes[:n]), sum(sizes[n + 1 :])

        def run(*args: Any) -> list[Any]:
            *outs, marks = jaxpr_as_fun(made[n].jaxpr)(*args)
            return [*outs, jnp.pad(marks, (before, after))]

        return run

    *outs, marks = jax.lax.switch(
        index, [branch(n) for n in range(len(made))], *operands
    )
    return outs, [marks]


def _scan(
    ins: list[Any], jaxpr: Any, length: int, reverse: bool, **params: Any
) -> tuple[list[Any], list[Any]]:
    n_consts, n_carry = scan_layout(params)
    consts, carry = ins[:n_consts], ins[n_consts : n_consts + n_carry]
    xs = ins[n_consts + n_carry :]
    made = instrument(jaxpr)
    body = jaxpr_as_fun(made.jaxpr)

    def step(state: Any, x: Any) -> Any:
        carried, marks = state
        *outs, new = body(*consts, *carried, *x)
        return (outs[:n_carry], marks + new), outs[n_carry:]

    start = (list(carry), jnp.zeros((made.sites,), jnp.float32))
    (carried, marks), ys = jax.lax.scan(
        step,
        start,
        list(xs),
        length=length,
        reverse=reverse,
        unroll=params.get("unroll", 1),
    )
    return [*carried, *ys], [marks]


def _while(
    ins: list[Any],
    cond_jaxpr: Any,
    cond_nconsts: int,
    body_jaxpr: Any,
    body_nconsts: int,
    **_: Any,
) -> tuple[list[Any], list[Any]]:
    for_cond = ins[:cond_nconsts]
    for_body = ins[cond_nconsts : cond_nconsts + body_nconsts]
    carry = ins[cond_nconsts + body_nconsts :]
    made = instrument(body_jaxpr)
    go_on, body = jaxpr_as_fun(cond_jaxpr), jaxpr_as_fun(made.jaxpr)

    def running(state: Any) -> Any:
        return go_on(*for_cond, *state[0])[0].any()

    def step(state: Any) -> Any:
        carried, marks = state
        still = go_on(*for_cond, *carried)[0]
        *outs, new = body(*for_body, *carried)
        kept = [keep_running(still, o, c) for o, c in zip(outs, carried, strict=True)]
        return kept, marks + new

    start = (list(carry), jnp.zeros((made.sites,), jnp.float32))
    carried, marks = jax.lax.while_loop(running, step, start)
    return list(carried), [marks]


_CONTROL_FLOW: dict[str, Any] = {"cond": _cond, "scan": _scan, "while": _while}
