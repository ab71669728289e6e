"""What a kernel of pallas does, as one program on whole arrays.

In interpret mode JAX runs a kernel as a loop over its grid, of operations on plain
arrays. So a search can look into it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.jax_internals.requirements import private

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr, JaxprEqn

_INTERPRETED = private(
    "jax._src.pallas.hlo_interpreter.pallas_call_hlo_interpret", "kernels", apart=True
)


def is_interpreted(eqn: JaxprEqn) -> bool:
    """Whether an equation runs a kernel of pallas in interpret mode."""
    return (
        eqn.primitive.name == "pallas_call"
        and eqn.params.get("interpret") is True
        and not _INTERPRETED.absent
    )


def interpreted(eqn: JaxprEqn) -> ClosedJaxpr:
    """The closed jaxpr that does what the kernel of an equation does."""
    function = _INTERPRETED.get()
    wanted = inspect.signature(function).parameters
    params = {name: v for name, v in eqn.params.items() if name in wanted}

    def whole(*args: Any) -> Any:
        return function(*args, **params)

    struct: Any = jax.ShapeDtypeStruct
    avals: list[Any] = [v.aval for v in eqn.invars]
    return jax.make_jaxpr(whole)(*(struct(a.shape, a.dtype) for a in avals))


def grid(eqn: JaxprEqn) -> tuple[int, ...]:
    """The grid of a kernel; empty where it runs once."""
    sizes: tuple[int, ...] = eqn.params["grid_mapping"].grid
    return sizes
