"""Functions that JAX makes of the user's functions, and of its own operations."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.names import is_jax_file
from jaxdbg.jax_internals.requirements import private

_MARK = "_apply_primitive"

_OPERATION = private(
    "jax._src.dispatch.xla_primitive_callable",
    "reasons",
    "parameters of eager operations are not named",
    variables=("params",),
    constants=(_MARK,),
)
_BOUNDARY = private(
    "jax._src.traceback_util.api_boundary",
    "reasons",
    "what jax.grad and its like make of a function counts as the function itself",
    variables=("fun",),
)


def shortening_files() -> frozenset[str]:
    """The files of JAX whose frames do no more than shorten tracebacks."""
    return frozenset(code.co_filename for code in _BOUNDARY.codes())


def operation_parameters(fun: Any) -> dict[str, Any] | None:
    """The parameters of an operation, of what JAX makes of an eager one; else None."""
    if _OPERATION.absent or type(fun) is not FunctionType or _MARK not in fun.__dict__:
        return None
    parameters: dict[str, Any] = closed_over(fun).get("params", {})
    return parameters


def maker(fun: Any) -> str:
    """`grad` for what `jax.grad` returns; nothing for a function of the user's."""
    name = ""
    while type(fun) is FunctionType and is_jax_file(fun.__code__.co_filename):
        name = fun.__code__.co_qualname.partition(".")[0]
        # What shortens tracebacks is put around it, and says it wraps the user's.
        shortens = name == _BOUNDARY.attribute and not _BOUNDARY.absent
        inner = closed_over(fun).get("fun") if shortens else None
        fun = inner or fun.__dict__.get("__wrapped__")
    return name
