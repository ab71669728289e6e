"""What readers are made of: how a value is read, as its children with their steps.

A step leads from a value to what it holds, as one types it: `.kernel`, `[3]`.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Children = Iterator[tuple[str, object]]
"""What a value holds, each with the step to it."""

Reader = Callable[[Any], Children]
"""Reads the values of one class."""


def an_array(value: Any) -> Children:
    """The reader of arrays, which are what a walk looks for: it is never called."""
    raise AssertionError("an array has no children")


@dataclass(frozen=True, slots=True)
class VariableReader:
    """The reader of variables: objects that stand for the one value inside.

    Attributes:
        raw: the value inside; None where there is none.
        put: sets the value inside.
    """

    raw: Callable[[Any], Any]
    put: Callable[[Any, Any], None]

    def __call__(self, variable: Any) -> Children:
        """The value inside is where the variable is."""
        yield "", self.raw(variable)


def items(mapping: Any) -> Children:
    """The items of a dict whose keys one can type."""
    for key, child in dict.items(mapping):
        if is_literal(key):
            yield f"[{quoted(key)}]", child


def own(value: Any) -> Iterator[tuple[str, object]]:
    """The attributes in the dict of an instance; no property runs."""
    return iter(object.__getattribute__(value, "__dict__").items())


def is_a(cls: type, *bases: type) -> bool:
    """Whether a class is one of the others, or derives from one; asks no metaclass."""
    # isinstance asks an object for its `__class__`, issubclass may ask the class's
    # metaclass, and an abstract base class takes its hash.
    return any(c is base for c in cls.__mro__ for base in bases)


def package_of(cls: type) -> str:
    """The package a class was written in: `optax`."""
    return cls.__module__.partition(".")[0]


def is_name(key: object) -> bool:
    """Whether a key can be typed as an attribute or a variable."""
    return type(key) is str and key.isidentifier() and not keyword.iskeyword(key)


def is_literal(key: object) -> bool:
    """Whether a key can be typed between brackets."""
    if type(key) is tuple:
        return all(is_literal(k) for k in key)
    return type(key) in (str, int, bool, bytes, type(None))


def quoted(key: object) -> str:
    """A key as one types it: strings in double quotes, unless they hold some."""
    text = repr(key)
    if type(key) is str and text[0] == "'" and '"' not in key:
        return f'"{text[1:-1]}"'
    return text
