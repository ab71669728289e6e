"""Control flow outside of jit: `lax.scan` and its like, with functions of the user's.

JAX traces these functions first, and then compiles an operation that has their jaxprs
among its parameters.
"""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import unwrap
from types import CodeType, FrameType, FunctionType
from typing import Any

import jax

from jaxdbg.compiles.callables import captured, code_of, kind_of
from jaxdbg.jax_internals import libraries
from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.functions import (
    Function,
    as_called,
    function_of,
    is_user_file,
    written_layers,
)
from jaxdbg.jax_internals.identities import Identity
from jaxdbg.jax_internals.jaxprs import bound
from jaxdbg.jax_internals.names import is_jax_file
from jaxdbg.jax_internals.stack import JitTrace
from jaxdbg.jax_internals.user_frames import outward


@dataclass(frozen=True, slots=True)
class Body:
    """A function of the user's that such an operation runs.

    Attributes:
        function: whose it is.
        traced: what JAX has traced: a function of the library around the user's.
        given: the user's.
        kind: the kind of thing that is, as "lambda".
        code: of the function inside.
        captured: the plain values it is made with, by name.
        place: where it is, as "the body of scan".
    """

    function: Function
    traced: Identity
    given: Identity
    kind: str
    code: CodeType | None
    captured: Mapping[str, str]
    place: str = bound.THE_BODY


_known: weakref.WeakKeyDictionary[Any, Body] = weakref.WeakKeyDictionary()
"""Of each jaxpr, what it was traced from."""

_FOLDER = os.path.dirname(unwrap(jax.lax.scan).__code__.co_filename) + os.sep


def is_asked_for(frame: FrameType | None) -> bool:
    """Whether it is control flow that has a function traced."""
    return frame is not None and frame.f_code.co_filename.startswith(_FOLDER)


def caller_of(frame: FrameType | None) -> FrameType | None:
    """The frame of the control flow that the user's line, or a library, has called."""
    found = None
    for one in outward(frame):
        if one.f_code.co_filename.startswith(_FOLDER):
            found = one
        elif not is_jax_file(one.f_code.co_filename):
            break
    return found


def body_of(trace: JitTrace) -> Body | None:
    """The function that is traced for control flow; None for one of JAX's own.

    That of another library, or of JAX around a function of the user's, is the user's
    who calls it outside of jit: nobody else can jit what is around it.
    """
    given = _given(trace.fun)
    if given is trace.fun:
        function = as_called(function_of(trace.debug_info), given, trace.caller)
    else:
        layers = written_layers(given)
        function = next((f for f in reversed(layers) if f.user), Function("", ""))
    if function.made_of or (function.eager and not _runs_users(given)):
        return None
    if not function.user:
        function = Function(function.name, function.source, id(code_of(given)))
    return Body(
        function,
        Identity(trace.fun),
        Identity(_of_user(given)),
        kind_of(_of_user(given)),
        code_of(given),
        captured(given),
    )


def _given(fun: Any) -> Any:
    """The callable that was passed, in what JAX makes of it, as `lax.map` does."""
    if type(fun) is FunctionType and fun.__code__.co_filename.startswith(_FOLDER):
        values = closed_over(fun).values()
        held = [v() if type(v) is weakref.ref else v for v in values]
        inner = [v for v in held if callable(v)]
        return inner[0] if len(inner) == 1 else fun
    return fun


def _runs_users(given: Any, depth: int = 4) -> bool:
    """Whether a function of JAX holds one of the user's, as a minimizer does."""
    if isinstance(given, functools.partial):
        return _runs_users(given.func, depth)
    if type(given) is not FunctionType or not depth:
        return False
    if is_user_file(given.__code__.co_filename):
        return True
    held = closed_over(given).values()
    return any(_runs_users(value, depth - 1) for value in held)


def _of_user(given: Any) -> Any:
    """The callable inside what a library of models makes of it, as `nnx.scan` does."""
    for _ in range(20):  # a chain of wrappers may be circular
        inner = libraries.wrapped(given)
        if inner is None and _is_of_library(given):
            inner = given.__dict__.get("__wrapped__")
        if inner is None:
            return given
        given = inner
    return given


def _is_of_library(given: Any) -> bool:
    return type(given) is FunctionType and not is_user_file(given.__code__.co_filename)


def has_bodies(parameters: Mapping[str, Any]) -> bool:
    """Whether an operation with these parameters is control flow."""
    return any(True for _ in bound.bodies(parameters))


def bodies_in(
    parameters: Mapping[str, Any], traced: Iterable[tuple[str, Body]]
) -> tuple[Body, ...]:
    """The user's functions in an operation with these parameters.

    Arguments:
        traced: those that were traced for it, each with what JAX says of its source.
    """
    traced = list(traced)
    found = (_body(place, jaxpr, traced) for place, jaxpr in bound.bodies(parameters))
    return tuple(body for body in found if body is not None)


def _body(place: str, jaxpr: Any, traced: list[tuple[str, Body]]) -> Body | None:
    if jaxpr in _known:
        return _known[jaxpr]
    source = str(jaxpr.debug_info.func_src_info)
    at = next((i for i, (known, _) in enumerate(traced) if known == source), None)
    if at is None:
        return None
    _, body = traced.pop(at)
    body = Body(
        body.function,
        body.traced,
        body.given,
        body.kind,
        body.code,
        body.captured,
        place,
    )
    _known[jaxpr] = body
    return body
