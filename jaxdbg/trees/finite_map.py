"""The finiteness map of a tree: its leaves one by one, and what each of them holds."""

from __future__ import annotations

import json
import sys
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from jaxdbg.errors import UsageError, did_you_mean
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.records import LeafStats, TreeStats
from jaxdbg.records.garbage import no_collection
from jaxdbg.records.serial import plain
from jaxdbg.records.shown import Printed
from jaxdbg.trees import caller, pictures, statistics
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.leaf_stats import ARRAYS, measured_leaves
from jaxdbg.trees.leaves import Leaf, leaves_of
from jaxdbg.trees.paths import element_path


def finite_map(
    tree: object, name: str | None = None, *, detail: bool | None = None
) -> FiniteMap:
    """What each leaf of a tree holds, and whether all of it is finite.

    Nothing is compiled for arrays on the CPU, sharded arrays are read shard by shard,
    and nothing that a tree may hold raises.

    Arguments:
        tree: any pytree, module of NNX or Equinox, optimizer, `nnx.State`, gradients,
            or one array.
        name: what to call the tree in paths; by default what the caller has written.
        detail: whether to measure magnitudes, zeros, mean and spread of all leaves.
            False: only of those that hold NaN or Inf; the others are read once, at the
            speed of memory. By default, a tree of up to 64 MiB is measured in detail,
            unless its leaves are very many.
    """
    began = time.perf_counter()
    name = name or caller.first_argument(sys._getframe(1), "tree") or "tree"
    with our_own_work(), no_collection():
        # In a call of its own, so that little is left to search when this ends.
        return _map_of(tree, name, detail, began)


def _map_of(tree: object, name: str, detail: bool | None, began: float) -> FiniteMap:
    leaves, shared = leaves_of(tree, name)
    also = defaultdict(list)
    for path, first in shared.items():
        also[first].append(path)
    stats = tuple(measured_leaves(leaves, also, detail))
    seconds = time.perf_counter() - began
    return FiniteMap(TreeStats(name, stats, seconds), leaves, shared)


class FiniteMap(Printed):
    """The leaves of a tree with what they hold; see `finite_map`.

    Iterating gives the `LeafStats` in the order of the tree; `map["model.head.kernel"]`
    gives the one at a path. The arrays themselves are not kept alive.

    Attributes:
        stats: what each leaf holds, as plain data.
    """

    def __init__(
        self,
        stats: TreeStats,
        leaves: Sequence[Leaf] = (),
        shared: Mapping[str, str] | None = None,
    ):
        self.stats = stats
        self._shared = dict(shared or {})
        self._values = _weakly([leaf.value for leaf in leaves])

    @cached_property
    def _index(self) -> dict[str, int]:
        return {leaf.path: i for i, leaf in enumerate(self.stats.leaves)}

    @property
    def name(self) -> str:
        """Of the tree, as the user would type it."""
        return self.stats.name

    @property
    def bad(self) -> list[LeafStats]:
        """The leaves that hold NaN or Inf, in the order of the tree."""
        return list(self.stats.bad)

    @property
    def ok(self) -> bool:
        """Whether all leaves are finite."""
        return not self.stats.bad

    def __iter__(self) -> Iterator[LeafStats]:
        return iter(self.stats.leaves)

    def __len__(self) -> int:
        return len(self.stats.leaves)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._first_path(path) in self._index

    def __getitem__(self, path: str | int) -> LeafStats:
        return self.stats.leaves[self._at(path)]

    def array(self, path: str | int) -> Any:
        """The array at a path, as it was when the map was made.

        Raises:
            KeyError: there is no leaf at the path.
            LookupError: the array is gone: the tree has got a new one since.
        """
        i = self._at(path)
        value = self._values[i]() if i < len(self._values) else None
        if value is None or is_gone(value):
            raise LookupError(
                f"{self.stats.leaves[i].path} is not there any more: the tree holds "
                f"another array since the map was made. Call finite_map({self.name}) "
                "again to look at that one."
            )
        return value

    def expression(self, path: str | int, index: Sequence[int] = ()) -> str:
        """The Python expression for an element, or for a whole leaf."""
        return element_path(self[path].path, index)

    def tile(
        self,
        path: str | int,
        window: pictures.Slices | None = None,
        axes: Sequence[int] | None = None,
        most: int = pictures.MAX_TILES,
    ) -> pictures.Picture:
        """The elements of a leaf as a picture in which no bad one is lost.

        Arguments:
            path: of the leaf, or its number.
            window: for each axis a slice without a step, or an index; for axes that
                are not given, and by default, all of it.
            axes: the axis that runs down and the one that runs across, by default the
                last two; all others are put into the tiles.
            most: at most how many tiles the picture is high and wide.

        Raises:
            KeyError: there is no leaf at the path.
            LookupError: the array is gone, see `array`.
            UsageError: the leaf is no array of numbers, or the window or the axes do
                not fit it.
        """
        leaf, array = self[path], self.array(path)
        if not isinstance(array, ARRAYS) or not statistics.is_number(array.dtype):
            raise UsageError(
                f"{leaf.path} is no array of numbers, but {leaf.kind}: there are no "
                "elements to look at."
            )
        with our_own_work():
            return pictures.picture(leaf.path, array, window, axes, most)

    def to_json(self) -> str:
        """The statistics as JSON text: a `TreeStats`, field by field."""
        return json.dumps(plain(self.stats))

    def __str__(self) -> str:
        return str(self.stats)

    def figure(self) -> Any:
        """The parts of the tree by magnitude, as a picture of matplotlib.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from jaxdbg.views.figures.tree import finite

        return finite(self.stats)

    def _repr_html_(self) -> str:
        return self.stats._repr_html_()

    def _at(self, path: str | int) -> int:
        if isinstance(path, int):
            return path
        first = self._first_path(path)
        if first not in self._index:
            raise UnknownPath(_unknown(path, list(self._index), self.name))
        return self._index[first]

    def _first_path(self, path: str) -> str:
        """The path under which the map has what is held in several places."""
        for other, first in self._shared.items():
            if path == other or path.startswith((f"{other}.", f"{other}[")):
                return first + path[len(other) :]
        return path


class UnknownPath(KeyError):
    """A path that leads to no leaf of a map."""

    def __str__(self) -> str:
        return str(self.args[0])


def _unknown(path: str, paths: Sequence[str], name: str) -> str:
    inside = [p for p in paths if p.startswith((f"{path}.", f"{path}["))]
    if inside:
        some = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
        return f"{path!r} is not a leaf but holds {len(inside)}: {some}"
    near = sorted(paths, key=lambda p: -_common(p, path))[:200]
    return (
        f"{name} has no leaf {path!r}.{did_you_mean(path, near)} Expected one of its "
        f"{len(paths)} paths: [leaf.path for leaf in map] lists them."
    )


def _common(a: str, b: str) -> int:
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _weakly(values: Sequence[Any]) -> list[Callable[[], Any]]:
    try:
        return [*map(weakref.ref, values)]
    except TypeError:  # numbers and strings among them
        return [_weak(value) for value in values]


def _weak(value: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value
