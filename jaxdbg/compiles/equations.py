"""The equations of a jaxpr, by the user's line that made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from jaxdbg.compiles.stacks import Line, Stacks, line_at
from jaxdbg.compiles.unrolled import Traced, rounds_of
from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.records.equations import Equations, LineEquations, UnrolledLoop
from jaxdbg.records.source import SourceFrame, cell_number, source_line

MIN_EQUATIONS = 100
"""How many equations a function has that is looked at."""

MAX_EQUATIONS = 100_000
"""How many are looked at."""

MAX_LINES = 5
"""How many lines are listed."""


def equations(jaxpr: Any) -> Equations | None:
    """The equations of a traced function; None for one that has few."""
    if jaxpr is None or len(forms.body(jaxpr).eqns) < MIN_EQUATIONS // 10:
        return None
    traced = list(_traced(jaxpr))
    if not MIN_EQUATIONS <= len(traced) <= MAX_EQUATIONS:
        return None
    lines = Counter(line for line, _ in traced if line)
    loops = [
        UnrolledLoop(
            _source(*line_at(loop.code, loop.start)), loop.rounds, loop.equations
        )
        for loop in rounds_of([one for _, one in traced])
    ]
    return Equations(
        len(traced),
        tuple(LineEquations(_source(*x), n) for x, n in lines.most_common(MAX_LINES)),
        tuple(loops),
    )


def _traced(jaxpr: Any) -> Iterator[tuple[Line | None, Traced]]:
    """Each equation, also of bodies, with the user's line that made it."""
    seen, stacks = set[int](), Stacks()
    left: list[tuple[Any, Line | None, int]] = [(jaxpr, None, 0)]
    number = 0
    while left:
        inner, around, where = left.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        for eqn in forms.body(inner).eqns:
            stack = stacks.of(eqn)
            line = stack.line or around
            yield line, Traced(eqn, stack, where)
            for body in bodies(eqn):
                number += 1
                left.append((body.jaxpr, line, number))


def _source(file: str, function: str, line: int) -> SourceFrame:
    code = source_line(file, line)
    return SourceFrame(file, line, function, code, cell_number(file))
