"""The loops of Python around an instruction: what a trace runs once for each round."""

from __future__ import annotations

import dis
from bisect import bisect_right
from functools import cached_property
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


class Code:
    """Some code, as the instructions of a walk refer to it: by identity."""

    def __init__(self, code: CodeType):
        self.code = code

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Its `for` and `while` loops, and its comprehensions."""
        ends: dict[int, int] = {}
        for one in dis.get_instructions(self.code):
            # What awaits or yields from another jumps back, too, and is no loop.
            if "JUMP_BACKWARD" in one.opname and "NO_INTERRUPT" not in one.opname:
                ends[one.argval] = max(one.offset + 2, ends.get(one.argval, 0))
        return tuple(Loop(start, end) for start, end in sorted(ends.items()))

    @cached_property
    def _lines(self) -> tuple[list[int], list[int]]:
        known = [(at, line) for at, line in dis.findlinestarts(self.code) if line]
        return [at for at, _ in known], [line for _, line in known]

    @cached_property
    def is_users(self) -> bool:
        """Whether it is the user's."""
        return is_user_file(self.code.co_filename)

    @cached_property
    def is_of_jax(self) -> bool:
        """Whether it is JAX's."""
        return is_jax_file(self.code.co_filename)

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
        return tuple(loop for loop in self.loops if loop.start <= at < loop.end)

    def line(self, at: int) -> int:
        """The line of an instruction."""
        starts, lines = self._lines
        found = bisect_right(starts, at)
        return lines[found - 1] if found else self.code.co_firstlineno


class Codes:
    """The code that a walk has met, each once: to hash or compare code is slow."""

    def __init__(self) -> None:
        self._known: dict[int, Code] = {}

    def at(self, code: CodeType, at: int) -> tuple[Code, int]:
        """Some code, and the expression that runs at an instruction of it."""
        found = self._known.get(id(code))
        if found is None:
            found = self._known[id(code)] = Code(code)
        return found, found.expression(at)
