"""Jaxprs closed and open: two classes before JAX 0.12, one since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, Atom, ClosedJaxpr, Jaxpr


def body(jaxpr: AnyJaxpr) -> Jaxpr:
    """The open jaxpr of one that is closed or open."""
    return cast("Jaxpr", getattr(jaxpr, "jaxpr", jaxpr))


def consts(jaxpr: AnyJaxpr) -> Sequence[Any]:
    """The values of the constants; none for an open jaxpr."""
    return getattr(jaxpr, "consts", ())


def in_avals(jaxpr: AnyJaxpr) -> list[Any]:
    """The abstract values of the inputs."""
    return [v.aval for v in body(jaxpr).invars]


def out_avals(jaxpr: AnyJaxpr) -> list[Any]:
    """The abstract values of the outputs."""
    return [v.aval for v in body(jaxpr).outvars]


def shape_of(atom: Atom) -> tuple[int, ...]:
    """The shape of an operand or a result."""
    aval: Any = atom.aval
    return tuple(aval.shape)


def is_jaxpr(value: Any) -> bool:
    """Whether this is a jaxpr, closed or open."""
    return hasattr(value, "eqns")


def with_body(jaxpr: AnyJaxpr, new: Jaxpr) -> AnyJaxpr:
    """A jaxpr, closed where it was, with another open jaxpr in it."""
    if body(jaxpr) is jaxpr:
        return new
    closed: Any = jaxpr
    return cast("ClosedJaxpr", closed.replace(jaxpr=new))


def with_outputs(jaxpr: ClosedJaxpr, variables: Sequence[Atom]) -> ClosedJaxpr:
    """A closed jaxpr that returns some of its variables in place of its outputs."""
    old: Any = body(jaxpr)
    info = old.debug_info._replace(result_paths=None)
    new = old.replace(outvars=list(variables), debug_info=info)
    return cast("ClosedJaxpr", with_body(jaxpr, new))
