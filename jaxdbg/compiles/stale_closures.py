"""Values that a jitted function has read from around it, and that have changed since.

So has its body, where autoreload has put another one into the same function. JAX reads
them while it traces and never again: no change makes it trace again. Only
plain numbers, texts and switches are looked at, when a function is traced and when
somebody asks; a call that finds everything cached costs nothing. What a function that
it calls has read is not looked at.
"""

from __future__ import annotations

import dis
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from jaxdbg.compiles.callables import unwrapped
from jaxdbg.compiles.listener import Phase
from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.records import Reason, Remark

MAX_FUNCTIONS = 1000
"""Of how many functions is remembered what they have read."""

_PLAIN = (bool, int, float, str)


class Closures:
    """What the functions that were traced have read; the last trace of each counts."""

    def __init__(self) -> None:
        self._read: OrderedDict[int, _Read] = OrderedDict()

    def traced(self, phase: Phase) -> None:
        """A trace begins: what its function can read now is what it will read."""
        fun = unwrapped(phase.fun)
        if type(fun) is not FunctionType:
            return
        for key, read in list(self._read.items()):
            if read.is_older(fun):
                del self._read[key]
        self._read[id(fun)] = _Read(fun, phase, dict(_values(fun)))
        self._read.move_to_end(id(fun))
        if len(self._read) > MAX_FUNCTIONS:
            self._read.popitem(last=False)

    def stale(self) -> list[Remark]:
        """What has changed since a function was traced, each change reported once."""
        return [remark for read in list(self._read.values()) for remark in read.stale()]


class _Read:
    """What one function has read."""

    def __init__(self, fun: FunctionType, phase: Phase, values: dict[str, Any]):
        self._fun = weakref.ref(fun)
        self._function = phase.function
        self._source, self._cell = phase.source, phase.cell
        self._code = self._told_code = fun.__code__
        self._values = values
        self._told: dict[str, Any] = {}

    def is_older(self, fun: FunctionType) -> bool:
        """Whether a function was made again in place of this one, as in a loop."""
        return self._code is fun.__code__ and self._fun() is not fun

    def stale(self) -> Iterator[Remark]:
        fun = self._fun()
        if fun is not None and fun.__code__ is not self._code:
            yield from self._replaced(fun.__code__)
            return
        now = dict(_values(fun)) if fun is not None and self._values else {}
        for name, value in self._values.items():
            if name not in now or _same(value, now[name]):
                self._told.pop(name, None)
            elif name not in self._told or not _same(self._told[name], now[name]):
                self._told[name] = now[name]
                yield self._remark(name, value, now[name])

    def _replaced(self, code: CodeType) -> Iterator[Remark]:
        if code is not self._told_code:
            self._told_code = code
            yield self._of(Reason("replaced body", "its body", "the old body", "new"))

    def _remark(self, name: str, before: Any, after: Any) -> Remark:
        return self._of(Reason("stale closure", name, _text(before), _text(after)))

    def _of(self, reason: Reason) -> Remark:
        function = self._function
        return Remark(function.name, reason, function.source, self._source, self._cell)


def _same(a: Any, b: Any) -> bool:
    # Both are of plain types: no `==` of the user's runs. A NaN is itself.
    return type(a) is type(b) and (a is b or a == b)


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:56]}..."


def _values(fun: FunctionType) -> Iterator[tuple[str, Any]]:
    """The plain values around a function that its code reads, by name."""
    for name, value in closed_over(fun).items():
        if type(value) in _PLAIN:
            yield name, value
    for name in _globals(fun.__code__):
        value = fun.__globals__.get(name)
        if type(value) in _PLAIN:
            yield name, value


@lru_cache(maxsize=1024)
def _globals(code: CodeType) -> tuple[str, ...]:
    """Names that the code, and functions inside it, read from the module.

    Not `co_names`: those are of attributes too.
    """
    read = ("LOAD_GLOBAL", "LOAD_NAME")
    names = [i.argval for i in dis.get_instructions(code) if i.opname in read]
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    names += [name for constant in inner for name in _globals(constant)]
    return tuple(dict.fromkeys(names))
