"""What a failing assertion over trees is about: which leaf, which element, and values.

chex's own forms for traced trees say little: each leaf as NaN or 0, or both arrays. The
forms here are the same predicates, with a few numbers for each leaf beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True, slots=True)
class Row:
    """A leaf that is asserted to be finite, or two that are compared.

    Attributes:
        paths: of the leaf, or of both; empty where there is no name.
        shape: of each of them.
        dtype: of the first.
    """

    paths: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Asserted:
    """What an assertion is about, known when it is traced.

    Attributes:
        name: of the assertion.
        rows: its leaves, in the order of the tree.
        note: the user's own message.
        tolerance: of a comparison that has one, in words.
    """

    name: str
    rows: tuple[Row, ...]
    note: str = ""
    tolerance: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A leaf for which an assertion failed.

    Attributes:
        row: the leaf, or the two.
        count: how many of its elements are bad, or differ.
        index: of the first that is bad, or of the one that differs most.
        values: there.
    """

    row: Row
    count: int
    index: tuple[int, ...]
    values: tuple[Any, ...]


class AssertionText(str):
    """The text of a check, with what the assertion is about."""

    __slots__ = ("asserted",)
    asserted: Asserted | None

    @classmethod
    def of(cls, text: str, asserted: Asserted | None = None) -> AssertionText:
        """The text of the check of an assertion."""
        made = cls(text)
        made.asserted = asserted
        return made


MAX_VMAPS = 4
"""Of how many vmaps around an assertion the rows are known."""


def no_rows() -> Any:
    """What a check holds for the rows of vmaps; `with_row` fills it in."""
    return jnp.full(MAX_VMAPS, -1, jnp.int32)


def with_row(rows: Any, size: int) -> Any:
    """For each element of a batch its rows, where a vmap around is new.

    Arguments:
        rows: of the vmaps inside; with a leading axis where it is mapped already.
        size: of the batch.
    """
    inside = jnp.broadcast_to(rows, (size, MAX_VMAPS))[:, :-1]
    return jnp.concatenate([jnp.arange(size, dtype=jnp.int32)[:, None], inside], 1)


def one_of(exception: Any) -> tuple[Any, int | None]:
    """One failure of a check that was mapped over a mesh, and the number of its shard.

    An exception for a check that was not is returned as it is.
    """
    failures = getattr(exception, "error_mapping", None)
    if not failures:
        return exception, None
    (shard, *_), first = next(iter(failures.items()))
    return first, int(shard)


def vmap_rows(exception: Any) -> tuple[int, ...]:
    """The rows of the vmaps around an assertion that failed, from outside in."""
    if not isinstance(getattr(exception, "fmt_string", None), AssertionText):
        return ()
    return tuple(int(r) for r in np.asarray(exception.kwargs["rows"]) if r >= 0)


def asserted_in(exception: Any) -> tuple[Asserted, list[Failed]] | None:
    """What checkify's exception is about; None for a check that is none of these."""
    text = getattr(exception, "fmt_string", None)
    if not isinstance(text, AssertionText) or text.asserted is None:
        return None
    asserted, values = text.asserted, exception.args
    if values:
        asserted = replace(asserted, note=asserted.note.format(*values))
    return asserted, failed_in(asserted, exception.kwargs["looked"])


def failed_in(asserted: Asserted, looked: Any) -> list[Failed]:
    """The leaves for which an assertion failed.

    Arguments:
        looked: what `Form.look` has found.
    """
    values = zip(asserted.rows, *looked, strict=True)
    return [
        Failed(
            row,
            int(count),
            tuple(map(int, np.unravel_index(int(at), row.shape))),
            tuple(map(np.asarray, there)),
        )
        for row, count, at, there in values
        if int(count)
    ]


@dataclass(frozen=True, slots=True)
class Form:
    """A traced form of an assertion over trees.

    Attributes:
        passed: of NumPy (or JAX's) and the leaves of a row, which elements are as they
            are to be.
        badness: of the same, how bad each element is.
        text: what a check that fails says, without the values.
        tolerance: of a comparison that has one, in words.
    """

    passed: Callable[..., Any]
    badness: Callable[..., Any]
    text: str
    tolerance: str = ""

    def look(self, rows: Sequence[tuple[Any, ...]], xp: Any = jnp) -> tuple[Any, Any]:
        """Whether an assertion holds, and what is worst in each row.

        Arguments:
            rows: of arrays.
            xp: NumPy for those on the host, that of JAX for traced ones.
        """
        good = [self.passed(xp, *row) for row in rows]
        passed = xp.array(True)
        for one in good:
            passed = passed & one.all()
        found = [self._worst(xp, row, g) for row, g in zip(rows, good, strict=True)]
        return passed, [list(column) for column in zip(*found, strict=True)]

    def _worst(
        self, xp: Any, row: tuple[Any, ...], good: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        row = tuple(map(jax.lax.stop_gradient, row)) if xp is jnp else row
        if not good.size:
            zero = xp.zeros((), xp.int32)
            return zero, zero, tuple(xp.zeros((), x.dtype) for x in row)
        how = xp.where(good, -1.0, self.badness(xp, *row)).ravel()
        at = _first_largest(how, xp)
        count = (~good).sum().astype(xp.int32)
        return count, at, tuple(x.ravel()[at] for x in row)


def _first_largest(values: Any, xp: Any) -> Any:
    """Where the first of the largest values is; a NaN is the largest.

    As `argmax`, whose lowering JAX traces, and logs to a user who has it do so.
    """
    largest = (values == values.max()) | (values != values)
    numbers = xp.arange(values.size, dtype=xp.int32)
    return xp.where(largest, numbers, values.size).min().astype(xp.int32)


FINITE = Form(
    lambda xp, x: xp.isfinite(x),
    lambda xp, x: xp.ones(x.shape),
    "Tree contains non-finite value",
)


def equal() -> Form:
    """Of `assert_trees_all_equal`: NaNs are equal to each other."""
    return Form(
        lambda xp, a, b: (a == b) | ((a != a) & (b != b)),
        _distance,
        "Values not exactly equal",
    )


def close(rtol: float, atol: float) -> Form:
    """Of `assert_trees_all_close`."""
    return Form(
        lambda xp, a, b: xp.isclose(
            _comparable(a),
            _comparable(b),
            rtol=rtol,
            atol=atol,
            equal_nan=xp is np,  # as chex has it on the host, and in traced code
        ),
        _distance,
        "Values not approximately equal",
        f"{rtol=}, {atol=}",
    )


def _comparable(x: Any) -> Any:
    """NumPy itself has no half-precision types but float16."""
    is_foreign = isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "V"
    return x.astype(np.float32) if is_foreign else x


def within_ulp(maxulp: int) -> Form:
    """Of `assert_trees_all_close_ulp`: how many numbers of the type lie between two."""
    return Form(
        lambda xp, a, b: _ulps(xp, a, b) <= maxulp,
        _distance,
        f"Values more than {maxulp} ULP apart",
        f"{maxulp=}",
    )


def _ulps(xp: Any, a: Any, b: Any) -> Any:
    """Of all NaNs the bits are taken to be the same, and of zeros."""
    if a.dtype != b.dtype or not jnp.issubdtype(a.dtype, jnp.floating):
        raise TypeError(f"units in the last place of {a.dtype}")
    one, other = (_ordinal(xp, x) for x in (a, b))
    unsigned = f"uint{8 * a.dtype.itemsize}"
    most, least = xp.maximum(one, other), xp.minimum(one, other)
    return most.astype(unsigned) - least.astype(unsigned)


def _ordinal(xp: Any, x: Any) -> Any:
    """A whole number for each number of a type, in their order."""
    signed = xp.dtype(f"int{8 * x.dtype.itemsize}")
    bits = xp.where(x != x, xp.array(xp.nan, x.dtype), x).view(signed)
    return xp.where(bits < 0, xp.array(xp.iinfo(signed).min, signed) - bits, bits)


def _distance(xp: Any, a: Any, b: Any) -> Any:
    """How far apart elements are; what is not a number is farthest."""
    if jnp.issubdtype(a.dtype, jnp.complexfloating):
        apart = abs(a - b)
    else:
        a, b = (x.astype(float) for x in (a, b))
        apart = abs(a - b)
    return xp.where(apart == apart, apart, xp.inf)


def pairs(trees: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Which trees, and which of their leaves, are compared: all with the first."""
    leaves = range(len(jax.tree.leaves(trees[0])))
    return ((leaf, other) for leaf, other in product(leaves, range(1, len(trees))))


def are_alike(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether the leaves of each row can be compared element by element."""
    return all(len({(x.shape, x.dtype) for x in row}) == 1 for row in rows)


def have_one_shape(rows: Sequence[tuple[Any, ...]]) -> bool:
    """The same where types may differ, as on the host."""
    return all(len({x.shape for x in row}) == 1 for row in rows)
