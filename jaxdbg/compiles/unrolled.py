"""Loops of Python that a trace unrolls, where it is certain that each could be a scan.

The equations of each round come from the same instructions of the same loop. It could
be a scan where all rounds have the same operations on the same types in the same order,
and each takes what the round before it has made. Of any other loop nothing is said: of
one whose shapes differ, of one inside another, of one that a library runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from jaxdbg.compiles.stacks import Place, Stack
from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.jax_internals.loops import Code
from jaxdbg.jax_internals.source_info import is_transposed

MIN_ROUNDS = 4
"""How many rounds a loop has that is worth a word."""

MIN_EQUATIONS = 50
"""How many equations all its rounds have."""

MAX_SIZE = 5000
"""How many equations a round has that is looked at."""


class Traced(NamedTuple):
    """An equation, as it was traced.

    Attributes:
        eqn: the equation.
        stack: where it was made.
        where: the number of the jaxpr that it is in.
    """

    eqn: Any
    stack: Stack
    where: int


class Unrolled(NamedTuple):
    """A loop that could be a scan: its code, where it begins, what it has made."""

    code: Code
    start: int
    rounds: int
    equations: int


def rounds_of(traced: Sequence[Traced]) -> list[Unrolled]:
    """The unrolled loops that could be a scan, the largest first.

    Arguments:
        traced: all equations of a function, in order.
    """
    inside: dict[tuple[int, Place], list[int]] = defaultdict(list)
    for i, one in enumerate(traced):
        if one.stack.place is not None:
            inside[one.where, one.stack.place].append(i)
    found = [_unrolled(place, at, traced) for (_, place), at in inside.items()]
    known = (loop for loop in found if loop is not None)
    return sorted(known, key=lambda loop: loop.equations, reverse=True)


def _unrolled(
    place: Place, at: Sequence[int], traced: Sequence[Traced]
) -> Unrolled | None:
    if len(at) < MIN_EQUATIONS:
        return None
    numbers = [i for i in at if not is_transposed(traced[i].eqn)]
    forward = [traced[i] for i in numbers]
    if not forward or _hides_loops(forward):
        return None
    if numbers[-1] - numbers[0] + 1 != len(numbers):
        return None  # something that is not in the loop comes between its rounds
    anchors = [one for one in forward if one.stack.is_simple]
    size = _size_of_rounds(anchors)
    count = len(anchors) // size if size else 0
    if count < MIN_ROUNDS or len(forward) % count:
        return None
    rounds = _split(forward, count)
    is_scan = _could_be_a_scan([[one.eqn for one in r] for r in rounds])
    if not is_scan or not _repeats(
        [_place_and_name(one) for one in forward], len(rounds[0])
    ):
        return None
    return Unrolled(place.code, place.loop.start, count, len(at))


def _size_of_rounds(anchors: Sequence[Traced]) -> int:
    """How many equations each round has; 0 where that is not certain.

    JAX takes other ways of its own through the first rounds, as to what it has cached:
    its frames are compared in the later half.
    """
    half = [(o.eqn.primitive, o.stack) for o in anchors[len(anchors) // 2 :]]
    most = min(len(half) // 2, MAX_SIZE)
    size = next((n for n in range(2, most + 1) if _repeats(half, n)), 0)
    once = [stack for stack, _ in groupby(stack for _, stack in half[:size])]
    # A round that comes to one place twice is more than one, as where every other round
    # runs a branch. The derivative of an operation is several at one place.
    if not size or len(anchors) % size or len(set(once)) < len(once):
        return 0
    return size if _repeats([_place_and_name(one) for one in anchors], size) else 0


def _repeats(items: Sequence[Any], size: int) -> bool:
    return all(a == b for a, b in zip(items, items[size:], strict=False))


def _place_and_name(one: Traced) -> tuple[str, Any]:
    """What an equation does, and where outside of JAX it was made."""
    return one.eqn.primitive.name, one.stack.users


_HIDDEN_LOOPS = {"reduce", "accumulate"}
"""Functions that call another in a loop of their own, of which no frame shows."""


def _hides_loops(traced: Iterable[Traced]) -> bool:
    stacks = {one.stack for one in traced}
    codes = {spot.code for stack in stacks for spot in stack.users}
    return any(_HIDDEN_LOOPS.intersection(c.code.co_names) for c in codes if c.is_users)


def _split(items: Sequence[Any], count: int) -> list[Sequence[Any]]:
    size = len(items) // count
    return [items[i : i + size] for i in range(0, len(items), size)]


def _could_be_a_scan(rounds: Sequence[Sequence[Any]]) -> bool:
    """Whether all rounds are alike, and each takes what the one before it has made."""
    if not all(_alike(a, b) for one in rounds[1:] for a, b in _pairs(rounds[0], one)):
        return False
    made = {
        variable: (i, position, k)
        for i, one in enumerate(rounds)
        for position, eqn in enumerate(one)
        for k, variable in enumerate(eqn.outvars)
    }
    taken = [[*_taken(i, one, made)] for i, one in enumerate(rounds)]
    carried = [t for t in taken[1] if t and t[0] == 1]
    return (
        bool(carried)
        and all(t == taken[1] for t in taken[2:])
        and all(t is None or t[0] <= 1 for t in taken[1])
        and all(_begins(a, b) for a, b in _pairs(taken[0], taken[1]))
    )


def _begins(first: Any, later: Any) -> bool:
    """Whether the first round takes from outside what later ones are handed on."""
    return first is None if later is None or later[0] == 1 else first == later


def _pairs(a: Iterable[Any], b: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(a, b, strict=True)


def _taken(
    i: int, one: Sequence[Any], made: Mapping[Any, tuple[int, int, int]]
) -> Iterator[tuple[int, int, int] | None]:
    """For each operand how many rounds ago it was made, and by what; None: outside."""
    for eqn in one:
        for operand in eqn.invars:
            source = None if hasattr(operand, "val") else made.get(operand)
            yield None if source is None else (i - source[0], source[1], source[2])


def _alike(a: Any, b: Any) -> bool:
    """Whether two equations do the same to arrays of the same types."""
    if a.primitive is not b.primitive or len(a.invars) != len(b.invars):
        return False
    types = [[_type(v) for v in (*e.invars, *e.outvars)] for e in (a, b)]
    return types[0] == types[1] and all(
        name in _OF_THE_ROUND.get(a.primitive.name, _RULES)
        or _same(value, b.params[name])
        for name, value in a.params.items()
    )


_RULES = ("jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd", "out_trees")
"""Parameters that say how a call is differentiated: they are made anew for each."""

_OF_THE_ROUND = {"slice": ("start_indices", "limit_indices")}
"""Parameters that may be another row of an array in each round."""


def _type(variable: Any) -> tuple[Any, Any]:
    aval = variable.aval
    return getattr(aval, "shape", None), getattr(aval, "dtype", None)


def _same(a: Any, b: Any) -> bool:
    """Whether two parameters are; what cannot be compared is not."""
    if a is b:
        return True
    if forms.is_jaxpr(a) and forms.is_jaxpr(b):
        return _sizes(a) == _sizes(b)
    if isinstance(a, tuple | list) and type(a) is type(b) and len(a) == len(b):
        return all(_same(x, y) for x, y in zip(a, b, strict=True))
    if callable(a) and callable(b):  # the rules of a derivative are made anew
        return getattr(a, "__code__", 0) is getattr(b, "__code__", 1)
    return type(a) is type(b) and type(a).__hash__ is not None and bool(a == b)


def _sizes(jaxpr: Any) -> tuple[Any, ...]:
    counts = Counter(e.primitive.name for e in forms.body(jaxpr).eqns)
    types = [str(t) for t in (*forms.in_avals(jaxpr), *forms.out_avals(jaxpr))]
    return counts, types
