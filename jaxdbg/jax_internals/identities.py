"""Objects equal only to themselves: a new one is another key to JAX's caches."""

from __future__ import annotations

import weakref
from collections.abc import Callable
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


def identity_of(value: object) -> Identity | None:
    """The identity of a value; None of one that is compared by what it holds."""
    return None if plain(value) or not by_identity(type(value)) else Identity(value)


def are_two(old: Identity | None, new: Identity | None) -> bool:
    """Whether both are compared by identity, and are not one object."""
    return old is not None and new is not None and not new.same(old)


def by_identity(kind: type) -> bool:
    """Whether objects of a type are equal only to themselves."""
    owner = next((c for c in kind.__mro__ if "__eq__" in vars(c)), object)
    return owner is object or kind in (FunctionType, MethodType)
