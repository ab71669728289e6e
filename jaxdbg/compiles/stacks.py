"""Where equations were made, each place once: many equations share few places."""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType
from typing import Any, NamedTuple

from jaxdbg.jax_internals.loops import Code, Loop, Spot, Spots
from jaxdbg.jax_internals.source_info import instructions, raw_stack

Line = tuple[str, str, int]
"""File, function and number of a line."""


class Place(NamedTuple):
    """A loop of the user's, in the call that runs it."""

    outside: tuple[Spot, ...]
    code: Code
    loop: Loop


class Stack:
    """The expressions in which an equation was made; there is one object for each.

    Attributes:
        spots: the expressions, from inside out.
        users: those of them that are not JAX's.
        line: the user's line; None for none.
        place: the outermost loop, if it is one of the user's.
        is_simple: whether that is the only loop.
    """

    __slots__ = ("is_simple", "line", "place", "spots", "users")

    def __init__(self, spots: tuple[Spot, ...]):
        self.spots = spots
        self.users = tuple(spot for spot in spots if not spot.code.is_of_jax)
        own = next((spot for spot in spots if spot.code.is_users), None)
        self.line = line_at(own.code, own.at) if own is not None else None
        looping = [i for i, spot in enumerate(spots) if spot.loops]
        self.is_simple = sum(len(spots[i].loops) for i in looping) == 1
        self.place: Place | None = None
        if looping and spots[looping[-1]].code.is_users:
            spot, outside = spots[looping[-1]], spots[looping[-1] + 1 :]
            self.place = Place(outside, spot.code, spot.loops[0])


class Stacks:
    """The stacks of the equations of a function."""

    def __init__(self) -> None:
        self._spots = Spots()
        self._raw: dict[Any, tuple[Iterable[CodeType], Stack]] = {}
        self._known: dict[tuple[Spot, ...], Stack] = {}

    def of(self, eqn: Any) -> Stack:
        """That of an equation."""
        codes, at = raw_stack(eqn)
        key = tuple(map(id, codes)), tuple(at)
        known = self._raw.get(key)
        if known is None:
            inside = instructions(codes, at)
            spots = tuple(self._spots.at(code, i) for code, i in inside)
            stack = self._known.setdefault(spots, Stack(spots))
            known = self._raw[key] = codes, stack  # what is known by its id is kept
        return known[1]


def line_at(code: Code, at: int) -> Line:
    """The line of an instruction."""
    return code.code.co_filename, code.code.co_qualname, code.line(at)
