"""The values that the names of a call get: one occurrence for each.

A function that JAX traces once and uses again has one marker in several places; each is
a value of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from jaxdbg.origins.frames.bound_names import BoundName
from jaxdbg.origins.frames.peeked_values import Met, Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A value that a name has got.

    Attributes:
        bound: the name, and where it was bound.
        place: of its marker in the jaxpr; None for a constant.
        module: path of the module; empty where several use one trace of the function.
    """

    bound: BoundName
    place: Place | None
    module: str

    @property
    def array(self) -> object:
        """The same for names that hold the same array."""
        if self.place is None:
            return id(self.bound.constant)
        return self.bound.key, self.place


@dataclass(slots=True)
class _AtPlace(Generic[T]):
    branches: int
    is_recomputed: bool
    kept: T


@dataclass(slots=True)
class Places(Generic[T]):
    """Where the markers of a call were met, and what is kept of the values there."""

    _of: dict[int, dict[Place, _AtPlace[T]]] = field(default_factory=dict)

    def at(self, met: Met, new: T) -> T:
        """What is kept at the place of a marker; `new` if it is met there first."""
        places = self._of.setdefault(met.key, {})
        here = _AtPlace(met.branches, met.is_recomputed, new)
        return places.setdefault(met.place, here).kept

    def kept(self, occurrence: Occurrence) -> T:
        """What is kept of a value that is no constant."""
        assert occurrence.place is not None
        return self._of[occurrence.bound.key or 0][occurrence.place].kept

    def occurrences(self, names: Iterable[BoundName]) -> list[Occurrence]:
        """The values of some names that are known, in the order of the names."""
        return [o for bound in names for o in self._occurrences(bound)]

    def _occurrences(self, bound: BoundName) -> list[Occurrence]:
        if bound.key is None:
            return [Occurrence(bound, None, bound.module)]
        places = self._places(bound)
        module = bound.module if len(places) == 1 else ""
        return [Occurrence(bound, place, module) for place in places]

    def _places(self, bound: BoundName) -> list[Place]:
        """The places at which a name has its values, in the order of execution.

        A name of a branch that is not inside of a cond has the value of all rows, or is
        from outside: whether the branch was taken is not known. What remat computes
        again is the same value.
        """
        found = self._of.get(bound.key or 0, {})
        first = [p for p, at in found.items() if not at.is_recomputed] or list(found)
        return [p for p in first if found[p].branches >= bound.branches]
