"""Names of arrays as the user would type them: `model.blocks[2].attn.key.kernel`.

An argument of a call is the very array that the user's modules and dicts hold, so a
walk over all that the user can name finds the path to it. The walk runs none of the
user's code: `jaxdbg.frameworks.readers` says how it reads.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import CodeType
from typing import Any

from jaxdbg.frameworks import readers
from jaxdbg.frameworks.jitted_calls import RunningCall
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.reader_parts import (
    Children,
    Reader,
    VariableReader,
    an_array,
    is_name,
)
from jaxdbg.jax_internals.stack import library_calls
from jaxdbg.jax_internals.user_frames import user_namespaces

MAX_VISITS = 60_000
"""How many values a walk looks at; about 0.1 s."""

MAX_AT_ONCE = 256
"""How many values of one container are looked at before the others have their turn."""

MAX_PATH = 240
"""Longest path anyone would type; also ends the walk along a linked list."""

_SHELL = frozenset({"In", "Out", "exit", "quit", "get_ipython"})


class Names:
    """What the arrays of some namespaces are called.

    Arguments:
        namespaces: from name to object, the nearest first: what `frame_namespaces`
            finds, IPython's `user_ns`. They are read when a name is asked for.
    """

    def __init__(self, *namespaces: Mapping[str, object]):
        calls = [n for n in namespaces if isinstance(n, RunningCall)]
        # Names of parameters are not the user's names for what was passed: they come
        # last.
        others = [n for n in namespaces if not isinstance(n, RunningCall)]
        self._namespaces = [*others, *calls]
        self._call = calls[0] if calls else None
        self._found: dict[int, tuple[object, str]] | None = None

    def of(self, array: object) -> str | None:
        """The path to an array, or None where no namespace leads to it."""
        if self._found is None:
            self._found = _Walk().run(self._namespaces)
        known, path = self._found.get(id(array), (None, None))
        return path if known is array else None

    def from_outside(self) -> Names:
        """The same, but what an outer frame calls an array comes first.

        Such a name outlives the functions that run now.
        """
        call = [self._call] if self._call is not None else []
        others = [n for n in self._namespaces if n is not self._call]
        return Names(*reversed(others), *call)

    def paths(self) -> Iterator[tuple[object, str]]:
        """Every array that a namespace leads to, with the path to it."""
        self.of(None)
        return iter((self._found or {}).values())

    @property
    def namespaces(self) -> tuple[Mapping[str, object], ...]:
        """The nearest first."""
        return tuple(self._namespaces)

    def modules(self) -> Iterator[tuple[str, object, bool]]:
        """The modules and optimizers that are updated in place, with their names.

        The flag says whether one is an argument of the running call of a library's
        jit. These come first; one without another name bears that of the parameter.
        """
        is_module: dict[int, bool] = {}
        named: dict[int, tuple[str, object]] = {}
        for space in self._namespaces:
            for name, value in _user_names(space) if space is not self._call else ():
                cls = type(value)
                if id(cls) not in is_module:
                    is_module[id(cls)] = readers.is_updated_in_place(value)
                if is_module[id(cls)]:
                    named.setdefault(id(value), (name, value))
        for parameter, value in (self._call or {}).items():
            if readers.is_updated_in_place(value):
                yield *named.pop(id(value), (parameter, value)), True
        for name, value in named.values():
            yield name, value, False

    def call_of(self, function: str) -> RunningCall | None:
        """The running call of a library's jit, if it is one of that function."""
        call, name = self._call, function.rpartition(".")[2]
        return call if call is not None and call.function == name else None


def frame_namespaces() -> list[Mapping[str, object]]:
    """What the user's running frames can name, the innermost frame first.

    A running call of a library's jit is the last of them: it names its arguments by the
    function's parameters.
    """
    frame = sys._getframe(1)
    calls = (_library_call(*found) for found in library_calls(frame))
    call = next((c for c in calls if c is not None), None)
    namespaces = user_namespaces(frame)
    return [*namespaces, call] if call is not None else namespaces


def _library_call(
    code: CodeType, local: Mapping[str, Any], out_tree: Any
) -> RunningCall | None:
    """The call of a library's jit that a frame makes, if it makes one."""
    for framework in loaded():
        if code in framework.call_codes():
            return framework.running_call(local, out_tree)
    return None


# -- the walk over what the user can name ----------------------------------------------


class _Walk:
    """Breadth first, so that the shortest path to an array wins."""

    def __init__(self) -> None:
        self._arrays: dict[int, tuple[object, str]] = {}
        self._containers: dict[int, object] = {}
        self._readers: dict[int, tuple[type, Reader | None]] = {}
        self._queue: deque[tuple[str, Children]] = deque()
        # What is left of long containers: a list of 100,000 arrays must not keep a
        # model from being found.
        self._later: deque[tuple[str, Children]] = deque()
        self._visits = MAX_VISITS

    def run(
        self, namespaces: Sequence[Mapping[str, object]]
    ) -> dict[int, tuple[object, str]]:
        """From the id of an array to that array, kept alive, and its path."""
        for namespace in namespaces:
            self._queue.append(("", _user_names(namespace)))
            while self._queue and self._visits > 0:
                self._advance(self._queue.popleft())
        while (self._queue or self._later) and self._visits > 0:
            self._advance((self._queue or self._later).popleft())
        return self._arrays

    def _advance(self, entry: tuple[str, Children]) -> None:
        path, children = entry
        taken = 0
        try:
            for step, child in islice(children, MAX_AT_ONCE):
                taken += 1
                self._visit(path, step, child)
        except Exception:
            # A container that another thread changes: the rest goes without a name.
            return
        if taken == MAX_AT_ONCE:
            self._later.append(entry)

    def _visit(self, path: str, step: str, value: Any) -> None:
        self._visits -= 1
        reader = self._reader(type(value))
        if isinstance(reader, VariableReader):
            value = reader.raw(value)
            reader = self._reader(type(value))
        if reader is None or id(value) in self._containers:
            return
        path += step
        if reader is an_array:
            self._arrays.setdefault(id(value), (value, path))
        elif len(path) <= MAX_PATH:
            self._containers[id(value)] = value
            # A module holds the same, under the name that one types.
            queue = self._later if readers.is_view(type(value)) else self._queue
            queue.append((path, reader(value)))

    def _reader(self, cls: type) -> Reader | None:
        # By id: a metaclass may have a hash of its own.
        if id(cls) not in self._readers:
            try:
                reader = readers.reader_of(cls)
            except Exception:
                reader = None  # A class stranger than we know.
            self._readers[id(cls)] = (cls, reader)
        return self._readers[id(cls)][1]


def _user_names(namespace: Mapping[str, object]) -> Children:
    for name, value in list(namespace.items()):
        if is_name(name) and not name.startswith("_") and name not in _SHELL:
            yield name, value
