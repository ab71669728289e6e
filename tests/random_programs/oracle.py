"""Where the bad values on a tape were born: the truth, found by experiment.

What an element of a result depends on is not looked up but tried: each element of an
operand is made NaN in turn, all others good, and the operation runs again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from tests.random_programs.tape import Operation, Tape, Value

Mask = np.ndarray[Any, np.dtype[np.bool_]]

PLACES_INF = frozenset(
    {"argmax", "argmin", "reduce_max", "reduce_min", "cummax", "cummin", "iota"}
) | {"gather"}
"""Primitives that may return an Inf by their meaning: the maximum of nothing."""

CHOOSES = frozenset(
    {"reduce_max", "reduce_min", "cummax", "cummin", "sort", "top_k", "argmax"}
) | {"scatter-max", "scatter-min", "max", "min", "clamp"}
"""Primitives whose result is one of their operands' elements: an Inf stays where it
is, though a NaN spreads."""

PERMUTES = frozenset({"sort", "top_k"})
"""Primitives for which the trial does not tell: a NaN is sorted to the end."""

GOOD = 0.5
"""A value for which few operations are not finite."""


@dataclass(frozen=True, slots=True)
class Birth:
    """An operation that made a bad element of elements that were good, or a NaN of Inf.

    Attributes:
        kind: "nan", "inf" or "-inf".
    """

    operation: Operation
    kind: str

    def __str__(self) -> str:
        lines = self.operation.lines
        return f"{self.kind} in {self.operation.primitive}, line {lines[:1]}"


@dataclass(slots=True)
class Slice:
    """What the bad elements of results were made from.

    Attributes:
        births: in the order of the program.
        came: arguments they came in through, and whether they spread for certain,
            perhaps, or not at all (2, 1, 0).
        placed: the same of all literals and constants together.
    """

    births: list[Birth] = field(default_factory=list)
    came: dict[int, int] = field(default_factory=dict)
    placed: int = 0

    @property
    def earliest(self) -> Birth | None:
        """The first birth in the order of the program."""
        return min(self.births, key=lambda b: b.operation.number, default=None)


def is_bad(array: Any) -> Mask:
    """Which elements are NaN or infinite."""
    host = np.asarray(array)
    if not jnp.issubdtype(host.dtype, jnp.inexact):
        return np.zeros(host.shape, bool)
    return ~np.isfinite(host)


def slice_of(tape: Tape, values: Iterable[Value]) -> Slice:
    """The backward slice of all bad elements of some values of the tape."""
    return _Back(tape).slice(values)


def births_anywhere(tape: Tape) -> list[Birth]:
    """All births on the tape, those whose value is thrown away, too."""
    found = []
    for operation in tape.operations:
        back = _Back(tape)
        for out in operation.outs:
            back.want(out, is_bad(out.array), 0)
        back.operation(operation)
        found += back.found.births
    return found


class _Back:
    def __init__(self, tape: Tape):
        self._tape = tape
        self._wanted: dict[Value, dict[int, Mask]] = {}
        self.found = Slice()

    def slice(self, values: Iterable[Value]) -> Slice:
        for value in values:
            self.want(value, is_bad(value.array), 0)
        for operation in reversed(self._tape.operations):
            self.operation(operation)
        self.found.births.reverse()
        return self.found

    def want(self, value: Value, mask: Mask, spread: int) -> None:
        if not mask.any():
            return
        if value.argument >= 0:
            known = self.found.came.get(value.argument, 0)
            self.found.came[value.argument] = max(known, spread)
        elif value.made_by is None:
            self.found.placed = max(self.found.placed, spread)
        masks = self._wanted.setdefault(value, {})
        masks[spread] = masks[spread] | mask if spread in masks else mask

    def operation(self, operation: Operation) -> None:
        """From the wanted elements of its results to those they were made from."""
        for n, out in enumerate(operation.outs):
            for spread, mask in self._wanted.get(out, {}).items():
                for element in np.argwhere(mask):
                    self._element(operation, n, tuple(element), spread)

    def _element(
        self, operation: Operation, n: int, element: tuple[int, ...], spread: int
    ) -> None:
        made = operation.outs[n].array[element]
        ancestors = list(_ancestors(operation, n, element))
        if np.isnan(made):
            nans = [(v, m & np.isnan(v.array), k) for v, m, k in ancestors]
            nans = [a for a in nans if a[1].any()]
            if not nans:
                self._born(operation, made)
            ancestors = nans or ancestors
        elif not ancestors:
            self._born(operation, made)
        for value, mask, several in ancestors:
            self.want(value, mask, max(spread, _spread(operation, made, several)))

    def _born(self, operation: Operation, made: Any) -> None:
        places = operation.primitive in PLACES_INF and not np.isnan(made)
        if places or not operation.primitive:
            return
        birth = Birth(operation, "nan" if np.isnan(made) else f"{made}")
        if birth not in self.found.births:
            self.found.births.append(birth)


def _spread(operation: Operation, made: Any, several: bool) -> int:
    if not several or operation.primitive in PERMUTES:
        return 0
    if operation.primitive in CHOOSES:
        return 1
    return 2


def _ancestors(
    operation: Operation, n: int, element: tuple[int, ...]
) -> Iterator[tuple[Value, Mask, bool]]:
    """The bad elements of operands that one of a result depends on.

    With whether it depends on several elements of that operand.
    """
    for i, value in enumerate(operation.ins):
        bad = is_bad(value.array)
        if bad.any():
            depends = _dependence(operation, n, i)[element]
            if (depends & bad).any():
                yield value, depends & bad, int(depends.sum()) > 1


@functools.lru_cache(maxsize=256)
def _dependence(operation: Operation, n: int, i: int) -> Mask:
    """For each element of a result, which elements of an operand it depends on."""
    shape, out = operation.ins[i].array.shape, operation.outs[n].array.shape
    if operation.primitive in PERMUTES:
        return np.ones((*out, *shape), bool)
    depends = np.zeros((*out, *shape), bool)
    good = [_good(v.array) for v in operation.ins]
    for element in np.ndindex(*shape):
        tried = good[i].copy()
        tried[element] = np.nan
        result = operation.apply(*good[:i], tried, *good[i + 1 :])[n]
        depends[(..., *element)] = np.isnan(np.asarray(result))
    return depends


def _good(array: Any) -> Any:
    """The same integers, and good floats."""
    is_float = jnp.issubdtype(array.dtype, jnp.inexact)
    return np.full(array.shape, GOOD, array.dtype) if is_float else array
