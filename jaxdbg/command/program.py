"""Somebody's program, run as `python script.py` or `python -m module` would run it."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Protocol

from jaxdbg.errors import UsageError


class Program(Protocol):
    """What can be run as `__main__`."""

    def load(self) -> tuple[ModuleType, CodeType]:
        """Sets `sys.argv`, `sys.path` and `__main__` as Python would.

        Returns:
            The module `__main__`, and its code, to be run in the module's namespace.

        Raises:
            UsageError: there is no such program.
        """


@dataclass(frozen=True)
class Script:
    """A file of Python code, with its arguments."""

    path: str
    arguments: Sequence[str]

    def load(self) -> tuple[ModuleType, CodeType]:
        """See `Program.load`."""
        file = os.path.abspath(self.path)
        try:
            with io.open_code(file) as source:
                text = source.read()
        except OSError as error:
            raise UsageError(
                f"Cannot read {self.path!r}: {error.strerror}. Expected a file of "
                "Python code; `jaxdbg -m` runs a module or a package."
            ) from None
        _set_path(os.path.dirname(file))
        sys.argv = [self.path, *self.arguments]
        main = _main(None)
        main.__file__, main.__loader__ = file, SourceFileLoader("__main__", file)
        return main, compile(text, file, "exec", dont_inherit=True)


@dataclass(frozen=True)
class Module:
    """A module, or a package with a `__main__`, with its arguments."""

    name: str
    arguments: Sequence[str]

    def load(self) -> tuple[ModuleType, CodeType]:
        """See `Program.load`."""
        _set_path(os.getcwd())
        sys.argv = ["-m", *self.arguments]
        spec = self._spec(self.name)
        code = spec.loader.get_code(spec.name) if spec.loader else None  # type: ignore[attr-defined]
        if code is None:
            raise UsageError(f"Module {self.name!r} holds no Python code to run.")
        sys.argv[0] = spec.origin or self.name
        main = _main(spec)
        main.__file__, main.__loader__ = sys.argv[0], spec.loader
        return main, code

    def _spec(self, name: str) -> ModuleSpec:
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None
        if spec is None:
            raise UsageError(
                f"There is no module {name!r} here ({os.getcwd()}), nor is it "
                "installed."
            )
        if spec.submodule_search_locations is not None:
            return self._spec(f"{name}.__main__")
        return spec


def _main(spec: ModuleSpec | None) -> ModuleType:
    """A new `__main__`, which stays to the end of the process, as Python's does."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__spec__ = spec
    main.__package__ = spec.parent if spec else None
    main.__dict__["__cached__"] = spec.cached if spec else None
    sys.modules["__main__"] = main
    return main


def _set_path(folder: str) -> None:
    """The program's folder in place of that of jaxdbg's own command."""
    if not sys.flags.safe_path:
        sys.path[0] = folder
