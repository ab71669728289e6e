"""One tree that is watched: where its arrays are, and what they held after calls.

To take a tree apart costs ten times more than to look at its arrays. So that is done
now and then only, and in between the arrays are read from where they were found.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, is_, itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdbg.checks.calls.call import Call
from jaxdbg.frameworks.reader_parts import VariableReader
from jaxdbg.frameworks.readers import variable_reader
from jaxdbg.jax_internals.arrays import can_be_non_finite
from jaxdbg.records import Finding, TreeHistory
from jaxdbg.trees import statistics
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.leaves import Leaf, leaves_of
from jaxdbg.trees.paths import NoSuchPlace, parsed

MAX_CALLS = 256
"""How many calls are kept of a tree; of large trees fewer, see `MAX_NUMBERS`."""

MAX_NUMBERS = 1 << 21
"""How many leaves times calls are kept of a tree."""

APART_EVERY = 32
"""After how many looks a tree is taken apart anew: it may have got another layer."""


@dataclass(slots=True)
class Row:
    """What a tree held after a call, leaf by leaf.

    Attributes:
        largest: the largest finite magnitudes; -1 for none.
        bad, nan: how many elements are not finite, and how many of them are NaN; None
            where all are finite.
    """

    call: int
    function: str
    largest: Any
    bad: Any = None
    nan: Any = None


@dataclass(slots=True)
class Watched:
    """A tree that is watched.

    Attributes:
        name: what the user calls it.
        tree: finds it; returns None if it is not there.
        found: whether it was ever there.
        rows: what it held, call by call.
        nbytes: the size of its arrays when it was last looked at.
        paths: of its arrays that can be bad.
    """

    name: str
    tree: Callable[[], Any]
    found: bool = False
    rows: list[Row] = field(default_factory=list)
    nbytes: int = 0
    paths: tuple[str, ...] = ()
    _way: Way | None = None
    _looks: int = 0
    _held: list[weakref.ref[Any]] = field(default_factory=list)

    def look(self, call: Call, apart: bool = False) -> None:
        """Adds a row, if the tree is there, computed, and not what it was.

        Arguments:
            call: the one that has left the tree as it is.
            apart: take the tree apart anew.
        """
        tree = self.tree()
        if tree is None:
            return
        self.found = True
        self.add(call, self._arrays(tree, apart))

    def add(self, call: Call, arrays: Sequence[Any]) -> None:
        """Adds a row of the arrays, if they are computed, and not what they were."""
        if _same([held() for held in self._held], arrays):
            return
        if not all(map(is_ready, arrays)):
            return
        self._held = [weakref.ref(array) for array in arrays]
        self.nbytes = sum(array.nbytes for array in arrays)
        self.rows.append(_row(call, arrays))
        most = min(MAX_CALLS, max(16, MAX_NUMBERS // max(1, len(self.paths))))
        if len(self.rows) > most:
            recent = len(self.rows) - most // 4
            del self.rows[1:recent:2]  # the older ones thin out

    def is_ready(self) -> bool:
        """Whether the tree is there, and computed."""
        tree = self.tree()
        return tree is not None and all(map(is_ready, self._arrays(tree, False)))

    def history(self, failed: Sequence[Finding]) -> TreeHistory:
        """The rows as a record, with the results of calls that failed."""
        rows = [*self.rows]
        for finding in failed:
            row = self._of_failure(finding)
            same = [i for i, r in enumerate(rows) if r.function == finding.function]
            later = (i for i in same if rows[i].call >= finding.call)
            at = next(later, len(rows))
            seen = at < len(rows) and rows[at].call == finding.call
            if row is not None and not seen:
                rows.insert(at, row)
        first, call = _first_bad(rows)
        none = (0,) * len(self.paths)
        return TreeHistory(
            name=self.name,
            paths=self.paths,
            calls=tuple(row.call for row in rows),
            functions=tuple(row.function for row in rows),
            largest=tuple(tuple(map(_number, row.largest.tolist())) for row in rows),
            bad=tuple(none if r.bad is None else tuple(r.bad.tolist()) for r in rows),
            nan=tuple(none if r.nan is None else tuple(r.nan.tolist()) for r in rows),
            first_bad=first,
            first_bad_call=call,
        )

    def _arrays(self, tree: Any, apart: bool) -> list[Any]:
        """The arrays of the tree that can be bad, in the order of the paths."""
        self._looks += 1
        if self._way is not None and not apart and self._looks % APART_EVERY:
            arrays = self._way.arrays(tree)
            if arrays is not None and all(map(_can_be_bad, arrays)):
                return arrays
        leaves = [x for x in leaves_of(tree, self.name).leaves if _can_be_bad(x.value)]
        order = {path: i for i, path in enumerate(self.paths)}
        if {leaf.path for leaf in leaves} == order.keys():
            # The keys of a dict, say, that are sorted since it went through JAX.
            leaves.sort(key=lambda leaf: order[leaf.path])
        paths = tuple(leaf.path for leaf in leaves)
        arrays = [leaf.value for leaf in leaves]
        if paths != self.paths:  # another tree has got the name
            self.paths, self.rows = paths, []
            self._way = None
        if self._way is None or not _same(self._way.arrays(tree), arrays):
            self._way = _way(tree, self.name, leaves)
        return arrays

    def _of_failure(self, finding: Finding) -> Row | None:
        """The bad leaves of a call that failed, as the row it would have left."""
        index = {path: i for i, path in enumerate(self.paths)}
        bad, nan = (np.zeros(len(index), np.int64) for _ in range(2))
        for path in finding.paths:
            if path in index:
                bad[index[path]] = 1
                nan[index[path]] = finding.kind == "nan"
        for reached in finding.origin.reached if finding.origin else ():
            if reached.path in index:
                at = index[reached.path]
                bad[at] = reached.bad
                nan[at] = reached.bad if "nan" in reached.kinds else 0
        if finding.path in index:
            at = index[finding.path]
            bad[at], nan[at] = finding.nan + finding.inf, finding.nan
        if not bad.any():
            return None
        largest = self.rows[-1].largest if self.rows else np.full(len(bad), -1.0)
        return Row(finding.call, finding.function, largest, bad, nan)


# -- where the arrays are --------------------------------------------------------------


class Way(NamedTuple):
    """The way from a tree to each of its leaves: what is on it, each read once.

    Attributes:
        steps: each from where it starts (0 is the tree, then the values of the earlier
            steps, from 1), and what reads the next value.
        ends: where the leaves are among these values.
        boxes: for each, how to read the array inside if a variable is there.
    """

    steps: list[tuple[int, Callable[[Any], Any]]]
    ends: list[int]
    boxes: list[VariableReader | None]

    def arrays(self, tree: Any) -> list[Any] | None:
        """The leaves of the tree as it is now; None where it is not what it was."""
        values = [tree]
        try:
            for start, step in self.steps:
                values.append(step(values[start]))
        except (AttributeError, LookupError, TypeError):
            return None
        return [
            values[end] if box is None else box.raw(values[end])
            for end, box in zip(self.ends, self.boxes, strict=True)
        ]


def _way(tree: Any, name: str, leaves: Sequence[Leaf]) -> Way | None:
    """The way to the leaves of a tree; None where a path of them leads elsewhere."""
    known: dict[tuple[tuple[str, Any], ...], int] = {(): 0}
    way = Way([], [], [])
    try:
        above = len(parsed(name)[1])
        for leaf in leaves:
            path = tuple(parsed(leaf.path)[1][above:])
            for i in range(len(path)):
                if path[: i + 1] not in known:
                    way.steps.append((known[path[:i]], _getter(*path[i])))
                    known[path[: i + 1]] = len(way.steps)
            way.ends.append(known[path])
    except NoSuchPlace:
        return None
    way.boxes.extend([None] * len(leaves))
    found = way.arrays(tree)
    if found is None:
        return None
    for i, (value, leaf) in enumerate(zip(found, leaves, strict=True)):
        if value is not leaf.value:
            way.boxes[i] = box = variable_reader(value)
            if box is None or box.raw(value) is not leaf.value:
                return None
    return way


def _getter(kind: str, key: Any) -> Callable[[Any], Any]:
    return attrgetter(key) if kind == "." else itemgetter(key)


# -- looking ---------------------------------------------------------------------------

_ARRAY: Any = jax.Array  # is_ready() is documented, but missing in the class
_ARRAYS = (jax.Array, np.ndarray)


def _same(some: Sequence[Any] | None, others: Sequence[Any]) -> bool:
    """Whether these are the very same objects."""
    return some is not None and len(some) == len(others) and all(map(is_, some, others))


def _can_be_bad(value: Any) -> bool:
    return isinstance(value, _ARRAYS) and can_be_non_finite(value)


def is_ready(array: Any) -> bool:
    """Whether an array is there and computed; does not wait."""
    if not isinstance(array, _ARRAY):
        return True
    # The order matters: is_ready() kills the process where x is deleted (JAX 0.10).
    return not is_gone(array) and bool(array.is_ready())


def _row(call: Call, arrays: Sequence[Any]) -> Row:
    largest = np.asarray(statistics.peaks(arrays), np.float64)
    row = Row(call.number, call.function.name, largest)
    suspects = np.flatnonzero(~np.isfinite(largest)).tolist()
    if suspects:
        row.bad, row.nan = (np.zeros(len(arrays), np.int64) for _ in range(2))
        measures = statistics.measured([arrays[i] for i in suspects])
        for i, measure in zip(suspects, measures, strict=True):
            largest[i] = measure.largest
            row.bad[i], row.nan[i] = measure.bad, measure.nan
    return row


def _first_bad(rows: Sequence[Row]) -> tuple[int, int]:
    for row in rows:
        if row.bad is not None and row.bad.any():
            return int(np.flatnonzero(row.bad)[0]), row.call
    return -1, 0


def _number(x: float) -> float | None:
    return x if x >= 0 and math.isfinite(x) else None
