"""The paths of the modules whose methods run while a function is traced."""

from __future__ import annotations

from types import FrameType
from typing import Any

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.readers import (
    is_module,
    library_reader,
    reader_of,
    variable_reader,
)
from jaxdbg.jax_internals.frame_variables import variables_of

MAX_PARTS = 20_000
"""Parts of the modules of one call that are looked at for their paths."""


class ModulePaths:
    """Modules by the variable of the user's that first held them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}
        self._left = MAX_PARTS

    def of(self, frame: FrameType) -> str:
        """The path of the module whose method a frame is, or empty."""
        code, variables = frame.f_code, variables_of(frame)
        if not code.co_argcount:
            return ""
        owner = variables.get(code.co_varnames[0])
        own = next(filter(None, (f.running_path(owner) for f in loaded())), "")
        path = own or self._known.get(id(owner), (None, ""))[1]
        for name, value in variables.items():
            if name != code.co_varnames[0] or not path:
                self._note(value, name, is_method=name == "self")
        return path

    def _note(self, value: Any, path: str, is_method: bool) -> None:
        """Notes the modules in a variable; what has a path keeps it."""
        if is_method or not is_module(value):
            return
        waiting = [(path, value)]
        while waiting and self._left > 0:
            path, value = waiting.pop()
            self._left -= 1
            if is_module(value):
                if id(value) in self._known:
                    continue
                self._known[id(value)] = value, path
            elif not _is_container(value):
                continue
            read = reader_of(type(value))
            children = list(read(value)) if read is not None else []
            waiting += [(f"{path}{step}", child) for step, child in children]


def _is_container(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        return True
    return library_reader(type(value)) is not None and variable_reader(value) is None
