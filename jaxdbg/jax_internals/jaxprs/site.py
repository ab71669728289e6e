"""One equation of a jaxpr, and the way to it through the bodies around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn


@dataclass(frozen=True, slots=True)
class Site:
    """One equation, and the way to it.

    Attributes:
        eqn: the equation.
        outer: the equations it is inside of (jit, scan, cond, custom_vjp_call), from
            outside in.
        path: the way from the jaxpr of the call, from outside in: for each body the
            index of the equation in it, and which body of that equation is entered
            (the branch of a cond; 0 the condition and 1 the body of a while; else 0).
            The same function traced again has its equation at the same path.
        loop: (kind, step, length or None) of each loop around it; see `Origin.loop`.
        branches: (index taken, how many there are) of each cond around it.
    """

    eqn: JaxprEqn
    outer: tuple[JaxprEqn, ...] = ()
    path: tuple[tuple[int, int], ...] = ()
    loop: tuple[tuple[str, int, int | None], ...] = ()
    branches: tuple[tuple[int, int], ...] = ()
