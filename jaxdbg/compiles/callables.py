"""What was given to jit: which kind of callable, and the function inside wrappers."""

from __future__ import annotations

import functools
from types import CodeType, FunctionType, MethodType
from typing import Any

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals import libraries
from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.descriptions import described, plain
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.made_by_jax import maker
from jaxdbg.jax_internals.names import jitted_class


def unwrapped(fun: Any) -> Any:
    """The function inside wrappers: partial, bound method, grad, a library's jit."""
    for _ in range(20):  # a chain of wrappers may be circular
        inner = _inside(fun)
        if inner is None:
            return fun
        fun = inner
    return fun


def _inside(fun: Any) -> Any:
    if type(fun) is functools.partial:
        return fun.func
    if type(fun) is MethodType:
        return fun.__func__
    if type(fun) is FunctionType:
        return fun.__dict__.get("__wrapped__")
    if isinstance(fun, jitted_class()):
        return getattr(fun, "__wrapped__", None)
    return libraries.wrapped(fun)


def captured(fun: Any) -> dict[str, str]:
    """The plain values that a function of the user's is made with, by name, as text.

    Those it closes over, and those that `functools.partial` binds.
    """
    found: dict[str, Any] = {}
    for _ in range(20):  # a chain of wrappers may be circular
        if fun is None:
            break
        inner = _inside(fun)
        if type(fun) is functools.partial:
            code = code_of(fun.func)
            names = code.co_varnames if code is not None else ()
            found |= dict(zip(names, fun.args, strict=False)) | fun.keywords
        elif type(fun) is FunctionType and is_user_file(fun.__code__.co_filename):
            found |= closed_over(fun)
        fun = inner
    return {name: described(value) for name, value in found.items() if plain(value)}


def code_of(fun: Any) -> CodeType | None:
    """The code of the function inside wrappers; None where it has none."""
    code = getattr(unwrapped(fun), "__code__", None)
    return code if isinstance(code, CodeType) else None


def kind_of(fun: Any) -> str:
    """What a callable is, as "lambda" or "functools.partial"."""
    if type(fun) is functools.partial:
        return "functools.partial"
    if type(fun) is MethodType:
        return "bound method"
    for framework in loaded():
        if kind := framework.kind_of(fun):
            return kind
    if type(fun) is FunctionType:
        if made_by := maker(fun):
            return f"jax.{made_by} function"
        return "lambda" if fun.__name__ == "<lambda>" else "function"
    if isinstance(fun, jitted_class()):
        return "jitted function"
    return f"{type(fun).__name__} object"
