"""Which equations of a jaxpr some of its outputs need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxdbg.jax_internals.names import is_literal, is_write

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Jaxpr, JaxprEqn


class Live(NamedTuple):
    """What is to be evaluated.

    Attributes:
        needed: by the index of each equation that is needed, which of its outputs are.
        last: by the index of an equation, the variables that none after it needs.
    """

    needed: dict[int, set[Any]]
    last: dict[int, list[Any]]


def live(
    body: Jaxpr,
    wanted: Sequence[bool] | None,
    everything: bool = False,
    always: Callable[[JaxprEqn], bool] = lambda _: False,
) -> Live:
    """What is to be evaluated for some outputs of an open jaxpr.

    Arguments:
        body: the jaxpr.
        wanted: which outputs. None for all of the jaxpr, with what only has effects.
        everything: also what no wanted output depends on, but no mere effects.
        always: whether an equation is needed in any case.
    """
    if wanted is None:
        return Live({n: set(eqn.outvars) for n, eqn in enumerate(body.eqns)}, {})
    used: set[Any] = {
        v for v, w in zip(body.outvars, wanted, strict=True) if w and not is_literal(v)
    }
    needed: dict[int, set[Any]] = {}
    last: dict[int, list[Any]] = {}
    seen = set(used)
    for n in range(len(body.eqns) - 1, -1, -1):
        eqn = body.eqns[n]
        outs = used.intersection(eqn.outvars)
        # What writes to a Ref may be read further on.
        writes = any(map(is_write, eqn.effects))
        if not (outs or writes or (everything and eqn.outvars) or always(eqn)):
            continue
        needed[n] = outs
        operands = _variables(eqn)
        used |= operands
        last[n] = list((operands | set(eqn.outvars) - outs) - seen)
        seen |= operands
    return Live(needed, last)


def _variables(eqn: JaxprEqn) -> set[Any]:
    return {v for v in eqn.invars if not is_literal(v)}
