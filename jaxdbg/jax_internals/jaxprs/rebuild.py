"""Control flow with other bodies: what a trace of a loop or a cond makes anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxdbg.jax_internals.jaxprs.evaluate import keep_running
from jaxdbg.jax_internals.jaxprs.higher_order import Loop
from jaxdbg.jax_internals.names import jaxpr_as_fun

Step = Callable[[list[Any]], tuple[list[Any], Any]]
"""From the inputs of a step to its outputs, and flags."""


def rebuilt_cond(
    ins: Sequence[Any], branches: Sequence[Callable[..., list[Any]]]
) -> list[Any]:
    """The results of a cond with other branches, for the operands of the equation."""
    index, *operands = ins
    return list(jax.lax.switch(index, branches, *operands))


def rebuilt_loop(
    loop: Loop, ins: Sequence[Any], step: Step, start: Any
) -> tuple[list[Any], Any]:
    """The results of a loop with another step, and its flags of any iteration.

    Arguments:
        loop: its structure.
        ins: the operands of the equation.
        step: what is done in place of its step.
        start: the flags before the first iteration.
    """
    rebuild = _scan if loop.test is None else _while
    return rebuild(loop, ins, step, start)


def _scan(
    loop: Loop, ins: Sequence[Any], step: Step, start: Any
) -> tuple[list[Any], Any]:
    _, consts, carry, xs = loop.operands(ins)

    def body(state: Any, x: Any) -> Any:
        carried, flags = state
        outs, more = step([*consts, *carried, *x])
        return (outs[: loop.n_carry], flags | more), outs[loop.n_carry :]

    (carried, flags), ys = jax.lax.scan(
        body,
        (carry, start),
        xs,
        length=loop.length,
        reverse=loop.reverse,
        unroll=loop.unroll,
    )
    return [*carried, *ys], flags


def _while(
    loop: Loop, ins: Sequence[Any], step: Step, start: Any
) -> tuple[list[Any], Any]:
    test_consts, consts, carry, _ = loop.operands(ins)
    test = while_test(loop)

    def running(state: Any) -> Any:
        return test(*test_consts, *state[0]).any()

    def body(state: Any) -> Any:
        carried, flags = state
        still = test(*test_consts, *carried)
        outs, more = step([*consts, *carried])
        return still_running(still, outs, carried), flags | more

    carried, flags = jax.lax.while_loop(running, body, (carry, start))
    return list(carried), flags


def while_test(loop: Loop) -> Callable[..., Any]:
    """The condition of a while as a function of its constants and the carry."""
    assert loop.test is not None
    test = jaxpr_as_fun(loop.test.jaxpr)
    return lambda *values: test(*values)[0]


def still_running(running: Any, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """The carry of a while after an iteration; see `keep_running`."""
    return [keep_running(running, n, o) for n, o in zip(new, old, strict=True)]
