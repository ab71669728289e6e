"""Functions as counts know them: by their name and where they were written."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType, FunctionType, MethodType
from typing import Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals import libraries
from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.made_by_jax import shortening_files
from jaxdbg.jax_internals.names import (
    checkified,
    is_jax_file,
    jitted_class,
    pmapped,
)
from jaxdbg.jax_internals.requirements import private
from jaxdbg.records.compile_event import title
from jaxdbg.records.source import path_in_packages

JITTED = private(
    "jax._src.pjit._cpp_pjit.<locals>.cache_miss",
    "modules",
    variables=("jit_info",),
)
"""What a call of a jitted function runs that is not in the cache of its calls."""


class Function:
    """A function as counts know it: its name and where it was written.

    Two objects made again from the same code (a lambda in a loop) are one function.

    Of a library's code, which many share, each object is one: `jax.jit(net.apply)` of
    two nets, `jax.jit(opt.update)` of two optimizers.

    Arguments:
        made_of: the id of that object, where the user has jitted a library's code.

    Attributes:
        name, source: the name, and `file:line`.
        made_of: as passed.
        user: whether it is the user's: written by them, or jitted by them.
        bodies: of control flow, the names of the user's functions in it.
    """

    __slots__ = ("bodies", "made_of", "name", "source", "user")

    def __init__(
        self, name: str, source: str, made_of: int = 0, bodies: tuple[str, ...] = ()
    ):
        self.bodies = bodies
        self.name = name
        self.source = source
        self.user = bool(made_of) or is_user_file(source)
        self.made_of = made_of

    @property
    def title(self) -> str:
        """`scan of body` for control flow with the user's functions; else its name."""
        return title(self.name, self.bodies)

    @property
    def eager(self) -> bool:
        """Whether JAX runs it for an operation outside of jit, or as one of its own.

        What another library made, and somebody jitted, is no operation of JAX.
        """
        path = self.source.rpartition(":")[0]
        return not self.user and (not path or is_jax_file(path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and (
            (self.name, self.source, self.made_of)
            == (other.name, other.source, other.made_of)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.source))


def function_of(debug_info: Any) -> Function:
    """The function a jaxpr was traced from; `debug_info` is the jaxpr's own."""
    return _parse(str(debug_info.func_src_info))


def as_called(function: Function, fun: Any, frame: FrameType | None) -> Function:
    """The user's function that a library's wraps, or that the user has jitted.

    JAX does not say who has jitted a function. Where a line of the user's calls it, and
    it was not jitted where it was written, they have: as in `jax.jit(net.apply)`, or
    `jax.jit(jax.nn.softmax)`.

    Arguments:
        function: what JAX says is traced or called.
        fun: the callable that was passed to jit; None where it is not known.
        frame: from where to look for the line that calls it, from inside out.
    """
    if function.name == _UNKNOWN and fun is not None:
        return _unnamed(fun, frame)
    found = _seen_through(function, fun)
    if found.user or fun is None:
        return found
    if found.eager:
        is_users = _calls_a_jitted(frame) and not _is_own_jit(fun)
        return jitted_by_user(found, fun) if is_users else found
    if (called := _called_through_library(found, frame)) is not None:
        return called
    if _is_jitted_where_written(fun) or not _is_called_by_user(frame):
        return found
    return jitted_by_user(found, fun)


_UNKNOWN = "<unknown>"
"""What JAX says of a callable that was not written with `def`."""


def _unnamed(fun: Any, frame: FrameType | None) -> Function:
    """An object that is called, or a derivative of a function that has no name."""
    written = next((f for f in reversed(written_layers(fun)) if f.user), None)
    if written is not None:
        return written
    if (own := _of_eager_shard_map(fun)) is not None:
        return own
    if (call := _users_object(fun)) is not None:
        return call
    made_of = id(fun) if _is_called_by_user(frame) else 0
    return Function("<unnamed function>", "", made_of)


def _of_eager_shard_map(fun: Any) -> Function | None:
    """An operation of a `shard_map` that is not jitted, or one that splits or joins.

    JAX jits each: a partial of a function of its own, which is passed the primitive.
    """
    held = attributes_of(fun)
    inner, args = held.get("f"), held.get("args")
    if not (isinstance(inner, FunctionType) and isinstance(args, tuple)):
        return None
    source = _written(inner).source
    if not is_jax_file(source.rpartition(":")[0]):
        return None
    match args:
        case (object(name=str(primitive)), _, (*params,), *_):
            return Function(dict(params).get("name") or primitive, source)
    return Function(jax.shard_map.__name__, source)


def _called_through_library(
    function: Function, frame: FrameType | None
) -> Function | None:
    """The user's function that a library's jit calls by a function of its own.

    That one says nothing of the user's: the library may share it among all that have
    the same name. The frame of the library's call knows.
    """
    if not libraries.is_machinery(function.source.rpartition(":")[0]):
        return None
    codes = libraries.call_codes()
    while frame is not None and not is_user_file(frame.f_code.co_filename):
        if frame.f_code in codes:
            called = libraries.called(frame.f_code, variables_of(frame))
            return None if called is None else users_own(called)
        frame = frame.f_back
    return None


def users_own(fun: Any) -> Function | None:
    """The innermost function of the user's in a callable, or the object in it."""
    layers = written_layers(fun)
    if not layers:
        return _users_object([*_layers(fun)][-1])
    return next((f for f in reversed(layers) if f.user), None)


def _users_object(fun: Any) -> Function | None:
    """An object that is called, if the user has written how."""
    call = inspect.getattr_static(type(fun), "__call__", None)
    own = _written(call) if isinstance(call, FunctionType) else None
    is_users = own is not None and own.user
    return Function(type(fun).__name__, own.source) if own and is_users else None


def jitted_by_user(function: Function, fun: Any) -> Function:
    """A function of a library as what a user makes of it by jitting a callable."""
    bound = next((f for f in _layers(fun) if isinstance(f, MethodType)), None)
    if bound is None:
        return Function(function.name, function.source, id([*_layers(fun)][-1]))
    name = f"{type(bound.__self__).__name__}.{function.name}"
    return Function(name, function.source, id(bound.__self__))


def _is_jitted_where_written(fun: Any) -> bool:
    """Whether there is a jitted function in the place where a callable was written."""
    return any(
        isinstance(_found_at(layer), jitted_class())
        for layer in _layers(fun)
        if isinstance(layer, FunctionType)
    )


def _is_own_jit(fun: Any) -> bool:
    """Whether what a library has jitted, and offers, is this very function.

    A `jax.numpy.ufunc` jits its own.
    """
    found = _found_at(fun) if isinstance(fun, FunctionType) else None
    if isinstance(found, jitted_class()):
        return _wrapped(found) is fun
    return isinstance(found, jnp.ufunc)


def _calls_a_jitted(frame: FrameType | None) -> bool:
    """Whether the user's line calls what jit has made, not a function that does."""
    while frame is not None and frame.f_code not in JITTED.codes():
        frame = frame.f_back
    frame = frame and frame.f_back
    while frame is not None and _is_around_calls(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and is_user_file(frame.f_code.co_filename)


def _is_around_calls(file: str) -> bool:
    """Whether frames of a file pass on a call as it is."""
    return file in shortening_files() or file.startswith((_OWN, _STDLIB))


def _found_at(fun: FunctionType) -> Any:
    """What has the qualified name of a function in its module; None for nothing."""
    found: Any = sys.modules.get(fun.__module__)
    for name in fun.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found


def _is_called_by_user(frame: FrameType | None) -> bool:
    """Whether what is not JAX, or a wrapper around it, and calls it, is the user's."""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_user_file(file):
            return True
        if not is_between(file):
            return False
        frame = frame.f_back
    return False


@lru_cache(maxsize=4096)
def is_between(file: str) -> bool:
    """Whether code of this file runs between a call and who has written it."""
    return (
        is_jax_file(file)
        or file.startswith((_OWN, _STDLIB))
        or libraries.is_machinery(file)
        or file.startswith("<frozen")
    )


_PMAP = ("_fun", "call_wrapped")
"""What the function that `pmap` gives to jit is called, instead of the user's."""


def _seen_through(function: Function, fun: Any) -> Function:
    """The user's function that a library's wraps; `function` itself where none is.

    Arguments:
        function: what JAX says is traced or called.
        fun: the callable that was passed to jit. It is not called.
    """
    if function.user or fun is None:
        return function
    if function.name in _PMAP:
        layers = written_layers(pmapped(fun))
        return next((f for f in reversed(layers) if f.user), (*layers, function)[0])
    found, inside = function, False
    for layer in written_layers(fun):
        # What lies inside of another function is none of this one's.
        inside = inside or layer.source == function.source
        if inside and layer.user:
            found = layer  # the innermost, as JAX names what is decorated
    return found


def written_layers(fun: Any) -> list[Function]:
    """A callable and what it wraps, from outside in; those written with `def`."""
    return [_written(f) for f in _layers(fun) if isinstance(f, FunctionType)]


def _written(fun: Any) -> Function:
    code = fun.__code__
    return Function(fun.__name__, f"{code.co_filename}:{code.co_firstlineno}")


def _layers(fun: Any) -> Iterator[Any]:
    """A callable and what it wraps, from outside in."""
    for _ in range(20):  # a chain of wrappers may be circular
        yield fun
        if isinstance(fun, MethodType):
            fun = fun.__func__
            yield fun
        fun = _wrapped(fun)
        if fun is None:
            return


def _wrapped(fun: Any) -> Any:
    """What a callable wraps, or None; read where it lies, so that no code runs."""
    if isinstance(fun, functools.partial):
        return fun.func
    attributes = attributes_of(fun)
    for name in ("__wrapped__", "func"):
        if attributes.get(name) is not None:
            return attributes[name]
    return checkified(fun) or libraries.wrapped(fun)


def attributes_of(fun: Any) -> dict[str, Any]:
    """The dict of a callable; empty where it has none."""
    try:
        found = object.__getattribute__(fun, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=4096)
def _parse(src_info: str) -> Function:
    # JAX writes "name at file:line"; a name can hold spaces ("f at" never does).
    name, _, source = src_info.partition(" at ")
    return Function(name, source)


@lru_cache(maxsize=4096)
def is_user_file(source: str) -> bool:
    """Whether a file, or `file:line`, is none of an installed library or of jaxdbg."""
    path, _, line = source.rpartition(":")
    path = path if line.isdecimal() else source
    if not path or path.startswith("<frozen"):
        return False
    return not path_in_packages(path) and not path.startswith((_OWN, _STDLIB))


def is_own_file(file: str) -> bool:
    """Whether a file is one of jaxdbg."""
    return file.startswith(_OWN)


_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def is_jitted(fun: Any) -> bool:
    """Whether a callable is a jitted function, of JAX or of a library, or wraps one."""
    return any(map(is_a_jitted, _layers(fun)))


def has_known_traces(fun: Any) -> bool:
    """Whether the traces of a jitted function can be told from others.

    What is jitted where a library writes it is traced in calls of the library, too.
    """
    if any(map(libraries.hides_traces, _layers(fun))):
        return False
    if users_own(fun) is not None:
        return True
    layers = written_layers(fun)
    is_of_jax = not layers or layers[-1].eager
    return not is_of_jax and not _is_jitted_where_written(fun)


def is_object(fun: Any) -> bool:
    """Whether what a callable wraps is an object, which JAX has no name for."""
    inner = [*_layers(fun)][-1]
    return not isinstance(inner, FunctionType)


def is_a_jitted(layer: Any) -> bool:
    """Whether a callable itself is a jitted function, of JAX or of a library."""
    return (
        isinstance(layer, jitted_class())
        or hasattr(type(layer), "lower")
        or "lower" in attributes_of(layer)
    )


def only_calls_a_jitted(fun: Any) -> bool:
    """Whether `fun` is a jitted function in wrappers, as in `jit(grad(jit(f)))`.

    The Python of `f` then runs in the trace of the inner jit, which counts it.
    """
    for _ in range(20):  # a chain of wrappers may be circular
        if isinstance(fun, jitted_class()):
            return True
        inner = getattr(fun, "__wrapped__", None) or getattr(fun, "func", None)
        if inner is None:
            return False
        fun = inner
    return False
