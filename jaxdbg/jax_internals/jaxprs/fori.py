"""What a loop is called in the source: `fori_loop`, with bounds where these help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.jaxprs.higher_order import Loop, structure
from jaxdbg.jax_internals.names import is_literal

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn


def loop_name(eqn: JaxprEqn, kind: str) -> str:
    """`fori_loop`, with its bounds where it begins elsewhere than at 0; else `kind`.

    A step is counted from the first one; where that has another index than 0, the
    bounds say which.
    """
    name = source_info.loop_function(eqn)
    first = _first_index(eqn) if name else 0
    if not first:
        return name or kind
    inner = structure(eqn)
    length = inner.length if isinstance(inner, Loop) else None
    return f"{name}({first}, {'...' if length is None else first + length})"


def _first_index(eqn: JaxprEqn) -> int:
    """The index with which a loop begins, where the jaxpr says it; else 0."""
    inner = structure(eqn)
    if not isinstance(inner, Loop):
        return 0
    _, _, carry, _ = inner.operands(eqn.invars)
    if not carry or not is_literal(carry[0]) or np.shape(carry[0].val):
        return 0
    return int(carry[0].val) if _counts_up(inner) else 0


def _counts_up(loop: Loop) -> bool:
    """Whether each step of a loop adds 1 to the first value that it carries."""
    jaxpr = loop.step.jaxpr
    body = getattr(jaxpr, "jaxpr", jaxpr)
    _, carry, _ = loop.inputs(body.invars)
    index, following = carry[0], body.outvars[0]
    return any(
        eqn.primitive.name == "add"
        and eqn.outvars[0] is following
        and eqn.invars[0] is index
        and is_literal(eqn.invars[1])
        and int(eqn.invars[1].val) == 1
        for eqn in body.eqns
    )
