"""The types of jaxprs and their parts, for type checkers alone.

Import them under `TYPE_CHECKING`: at run time this module is empty, since importing
`jax.extend.core` imports pallas, whose config states change the trace context.

Since JAX 0.12 a jaxpr is closed and open in one; type checkers see the two classes of
the JAX versions before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    from jax.extend.core import (
        ClosedJaxpr as ClosedJaxpr,
        Jaxpr as Jaxpr,
        JaxprEqn as JaxprEqn,
        Literal as Literal,
        Primitive as Primitive,
        Var as Var,
    )

    Atom: TypeAlias = Var | Literal
    """An operand or a result of a jaxpr."""

    AnyJaxpr: TypeAlias = Jaxpr | ClosedJaxpr
    """A jaxpr, closed or open."""
