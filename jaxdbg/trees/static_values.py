"""What an expression in a running frame stands for, where no code runs to find out."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Mapping, Sequence
from types import FrameType, FunctionType, ModuleType
from typing import Any

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.functions import attributes_of
from jaxdbg.jax_internals.names import jitted_class
from jaxdbg.jax_internals.user_frames import local_names

UNKNOWN: Any = object()
"""What stands for a value that is not known, or not without running code."""


class StaticValues:
    """Looks expressions up in a frame.

    Arguments:
        frame: of the user's, which runs.
    """

    def __init__(self, frame: FrameType):
        self._spaces: Sequence[Mapping[str, Any]] = (
            local_names(frame),
            frame.f_globals,
            vars(builtins),
        )

    def of(self, node: ast.expr) -> Any:
        """The value of an expression, or `UNKNOWN`."""
        match node:
            case ast.Name(id=name):
                found = (space[name] for space in self._spaces if name in space)
                return next(found, UNKNOWN)
            case ast.Attribute(value=inner, attr=name):
                value = self.of(inner)
                return UNKNOWN if value is UNKNOWN else _attribute(value, name)
            case ast.Subscript(value=inner, slice=key):
                return _item(self.of(inner), self._key(key))
        return UNKNOWN

    def _key(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except ValueError:
            return self.of(node)


def _item(value: Any, key: Any) -> Any:
    if type(value) not in (dict, list, tuple) or type(key) not in (int, str):
        return UNKNOWN
    try:
        return value[key]
    except (LookupError, TypeError):
        return UNKNOWN


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, ModuleType):
        return vars(value).get(name, UNKNOWN)
    if not _is_looked_up_plainly(type(value)):
        return UNKNOWN
    found = inspect.getattr_static(value, name, UNKNOWN)
    if isinstance(found, staticmethod | classmethod):
        return found.__func__
    if found is UNKNOWN or attributes_of(value).get(name) is found:
        return found
    if isinstance(found, FunctionType | jitted_class()) or _is_of_library(found):
        return found.__get__(value, type(value))
    return UNKNOWN if hasattr(type(found), "__get__") else found


def _is_looked_up_plainly(cls: type) -> bool:
    """Whether attributes are looked up as Python does, or by a library of models."""
    lookup = inspect.getattr_static(cls, "__getattribute__", None)
    if lookup in (object.__getattribute__, type.__getattribute__):
        return True
    package = str(getattr(lookup, "__module__", "")).partition(".")[0]
    return package in {framework.package for framework in loaded()}


def _is_of_library(found: Any) -> bool:
    return any(f.kind_of(found) for f in loaded()) and hasattr(type(found), "__get__")
