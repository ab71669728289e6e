"""A read-only mapping that travels.

`types.MappingProxyType` can neither be pickled nor deep-copied, and a failure with one
in its report would arrive from another process as a TypeError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class ReadOnly(Mapping[_K, _V]):
    """The items of a mapping, frozen."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[_K, _V] | None = None):
        self._items = dict(items or {})

    def __getitem__(self, key: _K) -> _V:
        return self._items[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._items,)
