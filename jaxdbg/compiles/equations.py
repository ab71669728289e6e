"""The equations of a jaxpr, by the user's line that made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from jaxdbg.compiles.unrolled import Traced, rounds_of
from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.jax_internals.loops import Code, Codes
from jaxdbg.jax_internals.source_info import instructions, is_transposed
from jaxdbg.records.equations import Equations, LineEquations, UnrolledLoop
from jaxdbg.records.source import SourceFrame, cell_number, source_line

MIN_EQUATIONS = 100
"""How many equations a function has that is looked at."""

MAX_EQUATIONS = 100_000
"""How many are looked at."""

MAX_LINES = 5
"""How many lines are listed."""

_Line = tuple[str, str, int]


def equations(jaxpr: Any) -> Equations | None:
    """The equations of a traced function; None for one that has few."""
    if jaxpr is None or len(forms.body(jaxpr).eqns) < MIN_EQUATIONS // 10:
        return None
    traced = list(_traced(jaxpr))
    if not MIN_EQUATIONS <= len(traced) <= MAX_EQUATIONS:
        return None
    lines = Counter(line for line, _, _ in traced if line)
    loops = [
        UnrolledLoop(
            _source(*_line(loop.code, loop.start)), loop.rounds, loop.equations
        )
        for loop in rounds_of([one for _, _, one in traced])
    ]
    return Equations(
        len(traced),
        tuple(LineEquations(_source(*x), n) for x, n in lines.most_common(MAX_LINES)),
        tuple(loops),
    )


def _traced(jaxpr: Any) -> Iterator[tuple[_Line | None, Any, Traced]]:
    """Each equation, also of bodies, with the user's line that made it."""
    seen, codes = set[int](), Codes()
    left: list[tuple[Any, _Line | None, int]] = [(jaxpr, None, 0)]
    number = 0
    while left:
        inner, around, where = left.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        for eqn in forms.body(inner).eqns:
            stack = tuple(codes.at(code, at) for code, at in instructions(eqn))
            at = next((one for one in stack if one[0].is_users), None)
            line = around if at is None else _line(*at)
            yield line, eqn, Traced(eqn, stack, where, is_transposed(eqn))
            for body in bodies(eqn):
                number += 1
                left.append((body.jaxpr, line, number))


def _line(code: Code, at: int) -> _Line:
    return code.code.co_filename, code.code.co_qualname, code.line(at)


def _source(file: str, function: str, line: int) -> SourceFrame:
    code = source_line(file, line)
    return SourceFrame(file, line, function, code, cell_number(file))
