"""The named values of a call as text: a line for each, in the order of execution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from jaxdbg.records.operand import Operand
from jaxdbg.records.peeked import Peeked, PeekedValue
from jaxdbg.views.words import array, listed, more, nonfinite, short_place

MAX_VALUES = 200
"""Lines of values that are written."""

MAX_STEPS = 3
"""Iterations with bad elements that are named."""

MAX_LEFT_OUT = 8

_HOW = "evaluated operation by operation; the compiled program may round otherwise"


def text(peeked: Peeked) -> str:
    """The values by function, what is left out, and what they are."""
    count = len(peeked.values)
    lines = [f"{peeked.function}: {count:,} values, {_HOW}"]
    lines += [line for group in _groups(peeked.values) for line in group]
    if count > MAX_VALUES:
        lines.append(f"  and {more(count - MAX_VALUES, 'value')}")
    if peeked.left_out:
        lines.append(f"  not known: {listed(peeked.left_out, MAX_LEFT_OUT)}")
    return "\n".join([*lines, *(f"  {note}" for note in peeked.notes)])


def _groups(values: Sequence[PeekedValue]) -> Iterator[list[str]]:
    for (function, module), group in groupby(values[:MAX_VALUES], key=_scope):
        inside = f" of {module}" if module else ""
        rows = [_row(value) for value in group]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        yield [f"  {function}{inside}", *(_aligned(row, widths) for row in rows)]


def _scope(value: PeekedValue) -> tuple[str, str]:
    return value.source.function.rpartition("<locals>.")[2], value.module


def _row(value: PeekedValue) -> tuple[str, ...]:
    return (
        short_place(value.source),
        value.name,
        array(value.array.dtype, value.array.shape),
        _range(value.array),
        "; ".join(filter(None, (_bad(value), *_axes(value)))),
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"    {'  '.join(cells)}".rstrip()


def _range(numbers: Operand) -> str:
    if numbers.low is None or numbers.high is None:
        return ""
    if numbers.low == numbers.high:
        return f"{numbers.low:.4g}"
    return f"{numbers.low:.4g} to {numbers.high:.4g}"


def _bad(value: PeekedValue) -> str:
    found = _nonfinite(value.array)
    steps = [i for i, step in enumerate(value.steps) if _nonfinite(step)]
    if not found or len(value.loops) != 1 or not steps:
        return found and f"✗ {found}"
    rows = listed([str(i) for i in steps], MAX_STEPS)
    return f"✗ {found} in iteration {rows}"


def _nonfinite(numbers: Operand) -> str:
    return nonfinite(numbers.nan, numbers.posinf, numbers.neginf)


def _axes(value: PeekedValue) -> Iterator[str]:
    for kind, count in value.loops:
        yield f"{count:,} x {kind}"
    if value.batch_axes:
        axes = ", ".join(map(str, value.batch_axes))
        yield f"axis {axes} by vmap"
