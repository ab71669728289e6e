"""The loops of Python around an instruction: what a trace runs once for each round."""

from __future__ import annotations

import dis
from bisect import bisect_right
from functools import cached_property, lru_cache
from types import CodeType
from typing import NamedTuple

from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.names import is_jax_file


class Loop(NamedTuple):
    """A loop in some code, by offsets of its instructions.

    Attributes:
        start, end: of the first instruction that each round runs, and behind the last.
    """

    start: int
    end: int


@lru_cache(maxsize=2048)
def loops_of(code: CodeType) -> tuple[Loop, ...]:
    """The `for` and `while` loops of some code, and its comprehensions."""
    ends: dict[int, int] = {}
    for one in dis.get_instructions(code):
        # What awaits or yields from another jumps back, too, and is no loop.
        if "JUMP_BACKWARD" in one.opname and "NO_INTERRUPT" not in one.opname:
            ends[one.argval] = max(one.offset + 2, ends.get(one.argval, 0))
    return tuple(Loop(start, end) for start, end in sorted(ends.items()))


class Code:
    """Some code, known by identity: to hash or to compare code is slow.

    Attributes:
        is_users, is_of_jax: whose it is.
    """

    def __init__(self, code: CodeType):
        self.code = code
        self._loops = loops_of(code)
        self.is_users = is_user_file(code.co_filename)
        self.is_of_jax = is_jax_file(code.co_filename)

    @cached_property
    def _lines(self) -> tuple[list[int], list[int]]:
        known = [(at, line) for at, line in dis.findlinestarts(self.code) if line]
        return [at for at, _ in known], [line for _, line in known]

    @cached_property
    def _expressions(self) -> list[int]:
        places = list(self.code.co_positions())
        found: list[int] = []
        for i, place in enumerate(places):
            same = bool(found) and place == places[i - 1]
            found.append(found[-1] if same else 2 * i)
        return found

    def expression(self, at: int) -> int:
        """The first instruction of the expression that an instruction is of.

        Python calls by another instruction of it once a call has run some times.
        """
        return self._expressions[at // 2]

    def around(self, at: int) -> tuple[Loop, ...]:
        """The loops around an instruction, from outside in."""
        return tuple(loop for loop in self._loops if loop.start <= at < loop.end)

    def line(self, at: int) -> int:
        """The line of an instruction."""
        starts, lines = self._lines
        found = bisect_right(starts, at)
        return lines[found - 1] if found else self.code.co_firstlineno


class Spot:
    """An expression in some code; there is one object for each."""

    __slots__ = ("at", "code", "loops")

    def __init__(self, code: Code, at: int):
        self.code, self.at = code, at
        self.loops = code.around(at)


class Spots:
    """The expressions that a walk has met, each once."""

    def __init__(self) -> None:
        self._codes: dict[int, Code] = {}
        self._known: dict[tuple[int, int], Spot] = {}

    def at(self, code: CodeType, at: int) -> Spot:
        """The expression that runs at an instruction."""
        spot = self._known.get((id(code), at))
        if spot is None:
            found = self._codes.setdefault(id(code), Code(code))
            start = found.expression(at)
            spot = self._known.setdefault((id(code), start), Spot(found, start))
            self._known[id(code), at] = spot
        return spot
