"""Which object it is, whatever it is equal to, and without keeping it alive.

JAX's caches hold functions weakly: what keeps one alive keeps its traces.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import FunctionType, MethodType
from typing import Any

from jaxdbg.jax_internals.descriptions import plain


class Identity:
    """An object that may be gone, distinguished from one that took its address."""

    __slots__ = ("_address", "_reference")

    def __init__(self, value: object):
        self._address = id(value)
        try:
            self._reference: Callable[[], Any] | None = weakref.ref(value)
        except TypeError:
            self._reference = None

    def same(self, other: Identity) -> bool:
        """Whether both are of one object."""
        if self._reference is None or other._reference is None:
            return self._address == other._address
        mine = self._reference()
        return mine is not None and mine is other._reference()


class Living:
    """Objects, each as long as something else keeps it; none is hashed or compared.

    What cannot be referred to weakly is left out: JAX caches nothing for it either.
    """

    def __init__(self) -> None:
        self._references: dict[int, weakref.ref[Any]] = {}

    def add(self, value: object) -> None:
        """Adds an object."""
        key, references = id(value), self._references
        if value in self:
            return
        with contextlib.suppress(TypeError):
            references[key] = weakref.ref(value, lambda _: references.pop(key, None))

    def clear(self) -> None:
        """Leaves all of them out."""
        self._references.clear()

    def __contains__(self, value: object) -> bool:
        reference = self._references.get(id(value))
        return reference is not None and reference() is value

    def __iter__(self) -> Iterator[Any]:
        found = [reference() for reference in list(self._references.values())]
        return (value for value in found if value is not None)


def identities_of(value: object, depth: int = 3) -> tuple[Identity, ...]:
    """The identities of what a value holds that is equal only to itself."""
    if isinstance(value, MethodType):  # made anew at each access
        return Identity(value.__self__), Identity(value.__func__)
    if plain(value):
        return ()
    if by_identity(type(value)):
        return (Identity(value),)
    inner: Iterable[object] = ()
    if isinstance(value, tuple | list) and depth:
        inner = value
    elif isinstance(value, dict) and depth:
        inner = dict.values(value)
    return tuple(i for v in islice(inner, 50) for i in identities_of(v, depth - 1))


def is_of_functions(value: object) -> bool:
    """Whether it is a named tuple of functions alone, as an optimizer: one thing."""
    if not (isinstance(value, tuple) and hasattr(type(value), "_fields")):
        return False
    return len(value) > 0 and all(by_identity(type(v)) for v in tuple.__iter__(value))


def are_others(old: Sequence[Identity], new: Sequence[Identity]) -> bool:
    """Whether what is compared by identity is not the same."""
    pairs = zip(old, new, strict=False)
    return len(old) != len(new) or not all(a.same(b) for a, b in pairs)


def by_identity(kind: type) -> bool:
    """Whether objects of a type are equal only to themselves."""
    owner = next((c for c in kind.__mro__ if "__eq__" in vars(c)), object)
    return owner is object or kind in (FunctionType, MethodType)
