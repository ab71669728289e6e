"""Whether an operation may be one of a module that JAX's name stack does not name."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.frameworks import readers
from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.stack import UserCall
from jaxdbg.records.source import path_in_packages

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn


def may_be_in_module(eqns: Sequence[JaxprEqn], call: UserCall | None) -> bool:
    """Whether a library of models made an equation, or the call has a module of one.

    Arguments:
        eqns: the equation, and those it is inside of.
        call: the user's function with its arguments, where it is known.
    """
    packages = readers.packages_of_unnamed_modules()
    if not packages:
        return False
    files = (frame.file for eqn in eqns for frame in source_info.frames(eqn))
    if any(path_in_packages(file).startswith(packages) for file in files):
        return True
    return call is not None and any(map(_has_module, _values(call)))


def _values(call: UserCall) -> Iterator[Any]:
    """What a call passes, and what its function has of its own."""
    yield from call.args
    yield from call.kwargs.values()
    function = call.function
    while function is not None:
        if isinstance(function, functools.partial):
            yield from (*function.args, *function.keywords.values())
            function = function.func
        elif isinstance(function, MethodType):
            yield function.__self__
            function = function.__func__
        elif isinstance(function, FunctionType):
            yield from closed_over(function).values()
            yield from map(function.__globals__.get, function.__code__.co_names)
            function = getattr(function, "__wrapped__", None)
        else:
            yield function
            return


def _has_module(value: Any) -> bool:
    return any(
        map(readers.is_module, jax.tree.leaves(value, is_leaf=readers.is_module))
    )
