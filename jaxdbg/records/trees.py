"""The finiteness and the statistics of a tree, leaf by leaf, and over the calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from jaxdbg.records.shown import ShownAsHtml


@dataclass(frozen=True, slots=True)
class LeafStats:
    """What one leaf holds.

    Attributes:
        path: as the user would type it.
        group: which part of the training state it belongs to: "params", "gradients",
            "optimizer", "batch stats", "rng", "results" of a call, "other".
        kind: "float", "complex", "int", "bool", "key", "str", "none", "abstract" (a
            shape and a dtype without values), "deleted" or "other"; only the first two
            can hold NaN or Inf.
        shape, dtype: of the array; `nbytes` its size, `sharding` over which devices.
        size: how many elements, of which `nan`, `posinf`, `neginf`, `zeros` and
            `subnormals` (nonzero, below the type's smallest normal number).
        smallest, largest: magnitude of the smallest nonzero and the largest finite
            element; None where there is none, or where they were not asked for.
        mean, std: of the finite elements; None for complex numbers, and where a double
            cannot hold what they are made of.
        headroom: bits between the largest magnitude and the type's largest number; None
            where there is no magnitude above 0.
        first_bad: index of the first NaN or Inf; None where there is none.
        detailed: whether the attributes after `size` were computed; if not, only the
            bad elements were counted, and where there are none the leaf has proved
            finite.
        also: other paths to the same leaf, where the tree holds it more than once.
    """

    path: str
    group: str = "other"
    kind: str = "float"
    shape: tuple[int, ...] = ()
    dtype: str = ""
    nbytes: int = 0
    sharding: str = ""
    size: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    zeros: int = 0
    subnormals: int = 0
    smallest: float | None = None
    largest: float | None = None
    mean: float | None = None
    std: float | None = None
    headroom: float | None = None
    first_bad: tuple[int, ...] | None = None
    detailed: bool = True
    also: tuple[str, ...] = ()

    @property
    def bad(self) -> int:
        """How many elements are NaN or infinite."""
        return self.nan + self.posinf + self.neginf


@dataclass(frozen=True, slots=True)
class TreeStats(ShownAsHtml):
    """The leaves of one tree, in its order.

    Attributes:
        name: of the tree, as the user would type it: `model`.
        leaves: what each leaf holds.
        seconds: what it took to look.
        call: after which call of a region this was, as "train_step (call 12 in this
            cell)"; empty where it is of no call.
    """

    VIEW: ClassVar[str] = "tree"

    name: str
    leaves: tuple[LeafStats, ...] = ()
    seconds: float = 0.0
    call: str = ""

    @property
    def bad(self) -> tuple[LeafStats, ...]:
        """The leaves that hold NaN or Inf."""
        return tuple(leaf for leaf in self.leaves if leaf.bad)


@dataclass(frozen=True, slots=True)
class TreeHistory:
    """A few numbers of each leaf of a watched tree, over the calls of a region.

    Attributes:
        name: of the tree.
        paths: of its leaves, in the order of the tree.
        calls: the recorded calls, counted from 1; in bounded memory, so that older
            calls thin out.
        functions: for each recorded call, whose call it was.
        largest: for each recorded call, the largest finite magnitude of each leaf; None
            where there is none.
        bad: for each recorded call, how many elements of each leaf were not finite.
        nan: how many of these were NaN; empty where that is not known.
        first_bad: index into `paths` of the leaf that went bad first, -1 for none.
        first_bad_call: in which call it did, 0 for none.
    """

    name: str
    paths: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()
    functions: tuple[str, ...] = ()
    largest: tuple[tuple[float | None, ...], ...] = ()
    bad: tuple[tuple[int, ...], ...] = ()
    nan: tuple[tuple[int, ...], ...] = ()
    first_bad: int = -1
    first_bad_call: int = 0


@dataclass(frozen=True, slots=True)
class LeafPicture:
    """The elements of a leaf, reduced to tiles of which none hides a bad element.

    Attributes:
        path: of the leaf, as the user would type it.
        shape: of the array.
        axes: which axes run down and across; -1 for none, in arrays of fewer axes.
            What there is along the other axes is put into the tiles.
        step: how many elements a tile is high and wide; the last ones may be smaller.
        rows, columns: how many tiles there are, down and across.
        worst: a digit for each tile, row by row: the worst of its elements. 0 good, 1
            infinite, 2 NaN.
        largest: for each tile the largest finite magnitude, to four digits; None where
            there is none.
    """

    path: str
    shape: tuple[int, ...]
    axes: tuple[int, int]
    step: tuple[int, int]
    rows: int
    columns: int
    worst: str
    largest: tuple[float | None, ...]


def tree_name(path: str) -> str:
    """The name a path begins with: `model`, or `train_step(...)`."""
    name = re.match(r"(?:output \d+ of )?([^.\[(]+(?:\(\.\.\.\))?)", path)
    return name[1] if name else path
