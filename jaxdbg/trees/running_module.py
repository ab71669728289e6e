"""The module whose method runs in some frames, as the user would type it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.reader_parts import is_name
from jaxdbg.frameworks.readers import is_module
from jaxdbg.frameworks.scopes import inside
from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import is_user_file


def running_module(frames: Sequence[FrameType]) -> str:
    """The path of the innermost module; empty where none runs.

    Arguments:
        frames: each called by the one before; they may have ended.
    """
    for n in range(len(frames) - 1, -1, -1):
        module = _whose_method(frames[n])
        if module is None:
            continue
        known = (framework.running_path(module) for framework in loaded())
        if path := next(filter(None, known), ""):
            return path
        if is_module(module):
            return _path(frames[: n + 1], module)
    return ""


def _whose_method(frame: FrameType) -> Any:
    """The object whose method runs in a frame; None for a function."""
    code = frame.f_code
    if not code.co_argcount:
        return None
    first = variables_of(frame).get(code.co_varnames[0])
    names = (f"{cls.__qualname__}.{code.co_name}" for cls in type(first).__mro__)
    return first if code.co_qualname in names else None


def _path(frames: Sequence[FrameType], module: Any) -> str:
    """What the outermost frame that leads to a module calls it.

    In a method that is the class of its object: what its variables are called is gone
    when it returns.
    """
    for frame in frames:
        owner = _whose_method(frame)
        if owner is not None and is_module(owner):
            step = _step(owner, module)
            if step is not None:
                return type(owner).__name__ + step
        elif is_user_file(frame.f_code.co_filename):
            for name, value in _names(variables_of(frame)):
                step = _step(value, module)
                if step is not None:
                    return name + step
    return type(module).__name__


def _names(space: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(space.items()):
        if is_name(name) and not name.startswith("_"):
            yield name, value


def _step(value: Any, module: Any) -> str | None:
    """From a value to a module inside; None where it is not in it."""
    if value is module:
        return ""
    return next((step for step, found in inside(value) if found is module), None)
