"""Libraries whose jit puts code of its own between the user's function and JAX.

What is asked of them here is answered by `jaxdbg.frameworks`, which is built on this
folder: it registers the way to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any, Protocol


class Library(Protocol):
    """What is asked of such a library; see `jaxdbg.frameworks.framework.Framework`."""

    def wrapped(self, fun: Any) -> Any:
        """The function inside a callable of the library; None for other callables."""

    def hides_traces(self, fun: Any) -> bool:
        """Whether nothing says which traces are those of its jitted callable."""

    def is_machinery(self, file: str) -> bool:
        """Whether code of a file only passes on a call, from the user's code to JAX."""

    def call_codes(self) -> frozenset[CodeType]:
        """The code whose frames may hold the arguments of a call of its jit."""

    def called(self, local: Mapping[str, Any]) -> Any:
        """The user's callable that such a frame calls; None where JAX knows it."""

    def passing_codes(self) -> frozenset[CodeType]:
        """The code that returns what its jit returns, as it is."""


_loaded: Callable[[], Iterable[Library]] = tuple


def register(loaded: Callable[[], Iterable[Library]]) -> None:
    """Sets what gives the libraries that are loaded."""
    global _loaded
    _loaded = loaded


def wrapped(fun: Any) -> Any:
    """The function inside a callable of some library; None where it is of none."""
    inner = (library.wrapped(fun) for library in _loaded())
    return next((f for f in inner if f is not None), None)


def hides_traces(fun: Any) -> bool:
    """Whether nothing says which traces are those of a library's jitted callable."""
    return any(library.hides_traces(fun) for library in _loaded())


def is_machinery(file: str) -> bool:
    """Whether code of a file only passes on a call, from the user's code to JAX."""
    return any(library.is_machinery(file) for library in _loaded())


def call_codes() -> frozenset[CodeType]:
    """The code whose frames may hold the arguments of a call of a library's jit."""
    return frozenset().union(*(library.call_codes() for library in _loaded()))


def called(code: CodeType, local: Mapping[str, Any]) -> Any:
    """The user's callable that a frame of a library's jit calls, or None."""
    library = next((one for one in _loaded() if code in one.call_codes()), None)
    return None if library is None else library.called(local)


def passing_codes() -> frozenset[CodeType]:
    """The code that returns what a library's jit returns, as it is."""
    return frozenset().union(*(library.passing_codes() for library in _loaded()))
