"""Trees that are carried from call to call: `state = step(state, batch)`.

A tree of a functional library is a new object after each call, so it is known by its
way: what a function is given now and has returned the last time is carried. Data is
not: what a function is given of it, it has not returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.watch.watched_tree import Watched
from jaxdbg.jax_internals.arrays import can_be_non_finite
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.interpose import Invocation
from jaxdbg.trees.call_names import argument_names
from jaxdbg.trees.names import Names

MAX_TRIES = 3
"""In how many calls of a function trees are looked for that it carries."""


class Earlier(Protocol):
    """What is asked of the earlier calls of a region."""

    def last(self, function: Function) -> tuple[Call, dict[int, Any]] | None:
        """The last call of a function, with references to its outputs that live."""


class Place(NamedTuple):
    """Where an array of a carried tree is in a call, and its shape."""

    argument: int
    output: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """A tree that a function carries: how it is watched, and where its arrays are."""

    watched: Watched
    places: tuple[Place, ...]

    def passed(self, args: Sequence[Any], returned: Mapping[int, Any]) -> list[Any]:
        """Its arrays among the arguments; none where it is not what was returned."""
        arrays = [args[p.argument] for p in self.places if p.argument < len(args)]
        if not _have_shapes(arrays, self.places):
            return []
        pairs = zip(self.places, arrays, strict=True)
        is_carried = any(returned.get(p.output) is array for p, array in pairs)
        return arrays if is_carried else []


class CarriedTrees:
    """The trees that the functions of one region carry.

    Arguments:
        earlier: the calls before.
    """

    def __init__(self, earlier: Earlier):
        self._earlier = earlier
        self._known: dict[Function, list[Carried]] = {}
        self._tries: dict[Function, int] = {}

    def may_meet(self, function: Function) -> bool:
        """Whether trees are still looked for in the calls of a function."""
        return function not in self._known and self._tries.get(function, 0) < MAX_TRIES

    def meet(
        self, function: Function, call: Invocation, names: Callable[[], Names]
    ) -> Iterator[Watched]:
        """The trees that a function is passed, and has returned the last time."""
        last = self._earlier.last(function)
        if last is None:
            return
        self._tries[function] = self._tries.get(function, 0) + 1
        places = [*_places(call.args, _living(last[1]))]
        if places:
            found = [*_trees(function, call, places, names())]
            self._known[function] = found
            yield from (tree.watched for tree in found)

    def look(self, function: Function, args: Sequence[Any]) -> None:
        """Looks at what a function is passed, before it runs."""
        trees = self._known.get(function, ())
        last = self._earlier.last(function) if trees else None
        if last is None:
            return
        returned = _living(last[1])
        for tree in trees:
            if arrays := tree.passed(args, returned):
                tree.watched.add(last[0], arrays)

    def end(self, failed: Function | None) -> None:
        """Looks at what the last calls have returned.

        Arguments:
            failed: the function whose last call has failed.
        """
        for function, trees in self._known.items():
            last = self._earlier.last(function) if function != failed else None
            returned = _living(last[1]) if last is not None else {}
            for tree in trees:
                arrays = [returned.get(place.output) for place in tree.places]
                if last is not None and _have_shapes(arrays, tree.places):
                    tree.watched.add(last[0], arrays)


def _living(references: Mapping[int, Any]) -> dict[int, Any]:
    found = {i: reference() for i, reference in references.items()}
    return {i: array for i, array in found.items() if array is not None}


def _places(args: Sequence[Any], returned: Mapping[int, Any]) -> Iterator[Place]:
    """The arguments that are what was returned."""
    outputs = {id(array): i for i, array in returned.items()}
    for i, arg in enumerate(args):
        if id(arg) in outputs and can_be_non_finite(arg):
            yield Place(i, outputs[id(arg)], arg.shape)


def _trees(
    function: Function, call: Invocation, places: Sequence[Place], names: Names
) -> Iterator[Carried]:
    """The trees that are arguments; an array that is one itself is none."""
    info = call.params["jaxpr"].jaxpr.debug_info
    named = argument_names(function.name, call.args, info, names)
    trees: dict[str, list[tuple[str, Place]]] = {}
    for place in places:
        name = named[place.argument]
        if name.tree and name.tree != name.shown:
            trees.setdefault(name.tree, []).append((name.shown, place))
    for tree, inside in trees.items():
        paths = tuple(path for path, _ in inside)
        watched = Watched(tree, lambda: None, found=True, paths=paths)
        yield Carried(watched, tuple(place for _, place in inside))


def _have_shapes(arrays: Sequence[Any], places: Sequence[Place]) -> bool:
    return len(arrays) == len(places) and all(
        getattr(array, "shape", None) == place.shape
        for array, place in zip(arrays, places, strict=True)
    )
