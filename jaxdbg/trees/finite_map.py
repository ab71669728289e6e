"""The finiteness map of a tree: its leaves one by one, and what each of them holds."""

from __future__ import annotations

import json
import math
import sys
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.errors import UsageError, did_you_mean
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.records import LeafStats, TreeStats
from jaxdbg.records.garbage import no_collection
from jaxdbg.records.serial import plain
from jaxdbg.trees import caller, finiteness as finite, pictures, statistics
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.leaves import Leaf, leaves_of
from jaxdbg.trees.measuring import Measured
from jaxdbg.trees.paths import element_path

DETAIL_UP_TO = 1 << 26
"""Bytes up to which a tree is measured in detail unasked: some tenths of a second."""

ARRAYS: Any = (jax.Array, np.ndarray, np.generic, finite.REF)

DETAIL_LEAVES = 20_000
"""How many leaves it has at most."""


def finite_map(
    tree: object, name: str | None = None, *, detail: bool | None = None
) -> FiniteMap:
    """What each leaf of a tree holds, and whether all of it is finite.

    Nothing is compiled for arrays on the CPU, sharded arrays are read shard by shard,
    and nothing that a tree may hold raises.

    Arguments:
        tree: any pytree, NNX module, optimizer, `nnx.State`, gradients, or one array.
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
        return _looked_through(tree, name, detail, began)


def _looked_through(
    tree: object, name: str, detail: bool | None, began: float
) -> FiniteMap:
    leaves, shared = leaves_of(tree, name)
    also = defaultdict(list)
    for path, first in shared.items():
        also[first].append(path)
    stats = tuple(_stats(leaves, also, detail))
    seconds = time.perf_counter() - began
    return FiniteMap(TreeStats(name, stats, seconds), leaves, shared)


class FiniteMap:
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

        Arguments and errors as of `jaxdbg.trees.pictures.picture`, and:

        Raises:
            KeyError: there is no leaf at the path.
            LookupError: the array is gone, see `array`.
            UsageError: the leaf is no array of numbers.
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

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

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


# -- from values to statistics ---------------------------------------------------------


class _Fixed(NamedTuple):
    """What is known of a leaf without reading it."""

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    nbytes: int = 0
    sharding: str = ""
    size: int = 0


def _stats(
    leaves: Sequence[Leaf], also: Mapping[str, list[str]], detail: bool | None
) -> Iterator[LeafStats]:
    fixed, arrays = _all_fixed(leaves)
    measures = _measures(arrays, fixed, detail)
    for i, (leaf, what) in enumerate(zip(leaves, fixed, strict=True)):
        path, group, _ = leaf
        if i in measures:
            numbers = _numbers(measures[i], what, arrays[i])
        else:
            numbers = {"detailed": False}
        yield LeafStats(
            path,
            "rng" if what.kind == "key" else group,
            *what,
            also=tuple(also[path]) if path in also else (),
            **numbers,
        )


def stats_of(leaves: Sequence[Leaf]) -> tuple[LeafStats, ...]:
    """What some leaves hold, in detail."""
    return tuple(_stats(leaves, {}, detail=True))


def _numbers(m: Measured, what: _Fixed, array: Any) -> dict[str, Any]:
    """What was measured, by name of the attribute of `LeafStats`."""
    largest = m.largest if m.largest >= 0 else None
    has_moments = m.good and math.isfinite(m.mean) and math.isfinite(m.squares)
    return {
        "nan": m.nan,
        "posinf": m.posinf,
        "neginf": m.neginf,
        "zeros": m.zeros,
        "subnormals": m.subnormals,
        "smallest": m.smallest if m.smallest < math.inf else None,
        "largest": largest,
        "mean": m.mean if has_moments else None,
        "std": math.sqrt(m.squares / m.good) if has_moments else None,
        "headroom": _headroom(array.dtype, largest),
        "first_bad": _index(m.first, what.shape) if m.first >= 0 else None,
    }


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))


def _headroom(dtype: Any, largest: float | None) -> float | None:
    top = _log2_of_largest(dtype)
    return top - math.log2(largest) if largest and top is not None else None


@lru_cache(maxsize=64)
def _log2_of_largest(dtype: Any) -> float | None:
    if dtype == np.bool_:
        return None
    limits: Any = jnp.finfo if jnp.issubdtype(dtype, np.inexact) else jnp.iinfo
    return math.log2(limits(dtype).max)


def _measures(
    arrays: Sequence[Any], fixed: Sequence[_Fixed], detail: bool | None
) -> dict[int, Measured]:
    """What those leaves hold that are to be measured, by index."""
    readable = [i for i, array in enumerate(arrays) if array is not None]
    if detail is None:
        nbytes = sum(fixed[i].nbytes for i in readable)
        detail = nbytes <= DETAIL_UP_TO and len(readable) <= DETAIL_LEAVES
    wanted = readable
    if not detail:
        found = statistics.suspects([arrays[i] for i in readable])
        wanted = [readable[k] for k in found]
    held = statistics.measured([arrays[i] for i in wanted])
    return dict(zip(wanted, held, strict=True))


def _all_fixed(leaves: Sequence[Leaf]) -> tuple[list[_Fixed], list[Any]]:
    """What is known of leaves, and what there is to read of them."""
    fixed, arrays = [], []
    for leaf in leaves:
        what, array = _fixed(leaf.value)
        fixed.append(what)
        arrays.append(array)
    return fixed, arrays


def _fixed(value: Any) -> tuple[_Fixed, Any]:
    """What is known of a value, and what there is to read: None where nothing is."""
    if isinstance(value, ARRAYS):
        return _fixed_array(value)
    cls = type(value)
    if isinstance(value, float | complex):
        return _Fixed(cls.__name__, size=1), np.asarray(value)
    if isinstance(value, jax.ShapeDtypeStruct):
        return _described(value, "abstract"), None
    kind = _PLAIN.get(cls, "other")
    return _Fixed(kind, size=int(kind not in ("none", "other"))), None


_PLAIN = {type(None): "none", str: "str", bool: "bool", int: "int"}


def _fixed_array(value: Any) -> tuple[_Fixed, Any]:
    if isinstance(value, jax.core.Tracer):
        return _described(value, "abstract"), None
    if is_gone(value):
        return _described(value, "deleted"), None
    dtype = value.dtype
    what = _like(value.shape, dtype, getattr(value, "sharding", None))
    if not what.size or not statistics.is_number(dtype):
        return what, None
    if not _is_computed(value):
        return what._replace(kind="other"), None
    return what, value


@lru_cache(maxsize=1024)
def _like(shape: tuple[int, ...], dtype: Any, sharding: Any) -> _Fixed:
    """Any array of this shape, dtype and sharding: trees hold many that are alike."""
    return _described(
        SimpleNamespace(shape=shape, dtype=dtype, sharding=sharding), _kind(dtype)
    )


def _described(array: Any, kind: str) -> _Fixed:
    shape = tuple(array.shape)
    size = math.prod(shape)
    nbytes = size * getattr(array.dtype, "itemsize", 0)
    sharding = _sharding(getattr(array, "sharding", None))
    return _Fixed(kind, shape, str(array.dtype), nbytes, sharding, size)


@lru_cache(maxsize=256)
def _kind(dtype: Any) -> str:
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return "key"
    kinds = {
        "bool": np.bool_,
        "int": np.integer,
        "float": np.floating,
        "complex": np.complexfloating,
    }
    matching = (k for k, base in kinds.items() if jnp.issubdtype(dtype, base))
    return next(matching, "other")


@lru_cache(maxsize=256)
def _sharding(sharding: Any) -> str:
    """`cpu:0`, or `P('data', None) on 8 cpu devices`."""
    if not isinstance(sharding, jax.sharding.Sharding):
        return ""
    devices = sharding.device_set
    one: Any = next(iter(devices))
    if len(devices) == 1:
        return f"{one.platform}:{one.id}"
    spec = getattr(sharding, "spec", None)
    how = "replicated" if sharding.is_fully_replicated else "sharded"
    if spec is not None and how == "sharded":
        how = str(spec).replace("PartitionSpec", "P")
    return f"{how} on {len(devices)} {one.platform} devices"


def _is_computed(value: Any) -> bool:
    """Waits for an array; False where what was to compute it has failed."""
    try:
        if isinstance(value, jax.Array):
            value.block_until_ready()
    except jax.errors.JaxRuntimeError:  # the user meets that where they look
        return False
    return True
