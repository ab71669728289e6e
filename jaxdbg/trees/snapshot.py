"""A value as it is now, to be made again with other values in place of its tracers.

While a function is traced its variables hold tracers, in containers, modules, closures.
What holds one is noted part by part, at once, for the function may change it later;
`Snapshot.filled` makes the same with arrays in it. What holds none is kept as it is.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodType, ModuleType
from typing import Any

import jax
import numpy as np

from jaxdbg.jax_internals.closures import close_over, closed_over, without_closure
from jaxdbg.jax_internals.functions import attributes_of

MAX_PARTS = 50_000
"""Parts of the variables of one function that are looked at."""

_ATOMS: Any = (
    *(type(None), bool, int, float, complex, str, bytes, type, ModuleType),
    *(jax.Array, np.ndarray, np.generic, set, frozenset),
)

_CLOSED = frozenset({*sys.stdlib_module_names, "jax", "jaxlib", "numpy"})
"""Packages whose objects are not opened."""


class Unfilled(Exception):
    """A part of a value is not known."""


@dataclass(slots=True, eq=False)
class _Part:
    """One part of a value.

    Attributes:
        value: as it is.
        key: of the tracer that it is; None if it is none.
        parts: what is inside of it.
        shell: makes an empty one of its kind, where `fill` puts the parts into it.
        fill: the same with other parts: of the shell, or of nothing.
        holders: the parts it is inside of.
        is_traced: whether it is a tracer, or holds one.
        is_closed: whether it was not looked into, and may hold one.
    """

    value: Any
    key: int | None = None
    parts: list[_Part] = field(default_factory=list)
    shell: Callable[[], Any] | None = None
    fill: Callable[[Any, list[Any]], Any] | None = None
    holders: list[_Part] = field(default_factory=list)
    is_traced: bool = False
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A value as it was, with gaps where its tracers were."""

    _part: _Part

    @property
    def is_traced(self) -> bool:
        """Whether there are any gaps."""
        return self._part.is_traced

    @property
    def keys(self) -> set[int]:
        """The keys of the gaps."""
        return {p.key for p in _inside([self._part]) if p.key is not None}

    def filled(self, values: Mapping[int, Any], made: dict[int, Any]) -> Any:
        """The value with arrays in the gaps.

        Arguments:
            values: by the keys of the gaps.
            made: parts made before for the same values, which are the same again.

        Raises:
            Unfilled: the array of a gap is not known.
        """
        return _filled(self._part, values, made)


def snapshots(
    values: Mapping[str, Any], key_of: Callable[[Any], int | None]
) -> dict[str, Snapshot]:
    """Snapshots of some variables, in which what they share is shared.

    Arguments:
        values: by name.
        key_of: the key of a tracer, or None for one whose value cannot be known.
    """
    taken = _Taken(key_of)
    found = {name: Snapshot(taken.part(value)) for name, value in values.items()}
    taken.look_into_all()
    return found


class _Taken:
    """The parts of some values, each once."""

    def __init__(self, key_of: Callable[[Any], int | None]):
        self._key_of = key_of
        self._known: dict[int, _Part] = {}
        self._new: list[_Part] = []

    def part(self, value: Any, holder: _Part | None = None) -> _Part:
        part = self._known.get(id(value))
        if part is None or part.value is not value:
            part = self._known[id(value)] = _Part(value)
            self._new.append(part)
        if holder is not None:
            part.holders.append(holder)
        return part

    def look_into_all(self) -> None:
        traced = []
        count = 0
        while self._new:
            part = self._new.pop()
            count += 1
            if isinstance(part.value, jax.core.Tracer):
                part.key = self._key_of(part.value)
                part.is_closed = part.key is None
                traced.append(part)
                part.value = None  # nothing of the trace is kept
            elif count > MAX_PARTS:
                part.is_closed = True
                traced.append(part)
            else:
                self._open(part)
        while traced:
            part = traced.pop()
            if not part.is_traced:
                part.is_traced = True
                traced += part.holders

    def _open(self, part: _Part) -> None:
        opened = _opened(part.value)
        if opened is not None:
            children, part.shell, part.fill = opened
            part.parts = [self.part(child, part) for child in children]


def _inside(parts: Iterable[_Part]) -> Iterator[_Part]:
    left, seen = list(parts), set[int]()
    while left:
        part = left.pop()
        if id(part) not in seen and part.is_traced:
            seen.add(id(part))
            yield part
            left += part.parts


def _filled(part: _Part, values: Mapping[int, Any], made: dict[int, Any]) -> Any:
    if not part.is_traced:
        return part.value
    if part.is_closed:
        raise Unfilled
    if part.key is not None:
        if part.key not in values:
            raise Unfilled
        return values[part.key]
    if id(part) in made:
        return made[id(part)]
    assert part.fill is not None
    try:
        shell = part.shell() if part.shell is not None else None
        if shell is not None:
            made[id(part)] = shell
        children = [_filled(p, values, made) for p in part.parts]
        made[id(part)] = part.fill(shell, children)
    except Exception as error:  # a class that cannot be made, or filled, in this way
        made.pop(id(part), None)
        raise Unfilled from error
    return made[id(part)]


# -- what is inside of a value ---------------------------------------------------------

_Opened = tuple[list[Any], Callable[[], Any] | None, Callable[[Any, list[Any]], Any]]


def _opened(value: Any) -> _Opened | None:
    """The parts of a value, and how it is made of others; None if it is whole."""
    if isinstance(value, _ATOMS):
        return None
    for cls, read in _READERS.items():
        if type(value) is cls:
            opened: _Opened = read(value)
            return opened
    return _opened_node(value) or _opened_object(value)


def _opened_node(value: Any) -> _Opened | None:
    """Of what JAX or a library has registered as a tree."""
    try:
        children, tree = jax.tree.flatten(value, is_leaf=lambda v: v is not value)
    except Exception:  # the user's own way to flatten it
        return None
    if len(children) == 1 and children[0] is value:
        return None
    return children, None, lambda _, new: jax.tree.unflatten(tree, new)


def _opened_object(value: Any) -> _Opened | None:
    cls = type(value)
    if isinstance(value, dict | list | tuple | deque):
        return _opened_collection(value)
    if cls.__module__.partition(".")[0] in _CLOSED and cls.__module__ != "__main__":
        return None
    attributes = dict(_attributes(value))
    if not attributes:
        return None

    def fill(shell: Any, new: list[Any]) -> Any:
        for name, child in zip(attributes, new, strict=True):
            object.__setattr__(shell, name, child)
        return shell

    return list(attributes.values()), lambda: object.__new__(cls), fill


def _opened_collection(value: Any) -> _Opened:
    """Of a class made of a collection: it is not known how its objects are made."""

    def fill(_: Any, new: list[Any]) -> Any:
        raise Unfilled

    parts = [*(value.values() if isinstance(value, dict) else value)]
    return [*parts, *attributes_of(value).values()], None, fill


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from attributes_of(value).items()
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name in ("__dict__", "__weakref__"):
                continue
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{cls.__name__.lstrip('_')}{name}"
            try:
                yield name, object.__getattribute__(value, name)
            except AttributeError:
                continue


def _opened_dict(value: dict[Any, Any]) -> _Opened:
    keys = list(value)

    def fill(shell: Any, new: list[Any]) -> Any:
        shell.update(zip(keys, new, strict=True))
        return shell

    return list(value.values()), dict, fill


def _opened_list(value: list[Any]) -> _Opened:
    def fill(shell: Any, new: list[Any]) -> Any:
        shell.extend(new)
        return shell

    return list(value), list, fill


def _opened_tuple(value: tuple[Any, ...]) -> _Opened:
    return list(value), None, lambda _, new: tuple(new)


def _opened_method(value: MethodType) -> _Opened:
    function = value.__func__
    return [value.__self__], None, lambda _, new: MethodType(function, new[0])


def _opened_partial(value: functools.partial[Any]) -> _Opened:
    n, names = len(value.args), list(value.keywords)

    def fill(_: Any, new: list[Any]) -> Any:
        keywords = dict(zip(names, new[n + 1 :], strict=True))
        return functools.partial(new[0], *new[1 : n + 1], **keywords)

    return [value.func, *value.args, *value.keywords.values()], None, fill


def _opened_function(value: FunctionType) -> _Opened:
    free = closed_over(value)

    def fill(new: FunctionType, parts: list[Any]) -> FunctionType:
        *contents, new.__defaults__, new.__kwdefaults__ = parts
        close_over(new, dict(zip(free, contents, strict=True)))
        return new

    parts = [*free.values(), value.__defaults__, value.__kwdefaults__]
    return parts, lambda: without_closure(value), fill


_READERS: dict[type, Callable[[Any], _Opened]] = {
    dict: _opened_dict,
    list: _opened_list,
    tuple: _opened_tuple,
    MethodType: _opened_method,
    functools.partial: _opened_partial,
    FunctionType: _opened_function,
}
