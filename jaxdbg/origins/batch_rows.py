"""Which rows of the batch fail: found with the very step that failed.

The other rows are replaced by copies of a good one, so that shapes, and with them the
executable, stay as they are; half of the rows at a time, a few runs in all.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.origins.batch_axes import NO_ROLES, Roles
from jaxdbg.trees.holder import holders

MAX_RUNS = 40
"""How often the step is run at most."""

MAX_SECONDS = 5.0
"""How long that may take; the run that is under way then is the last."""

MAX_NAMED = 8
"""More failing rows than this are many."""

_TYPICAL = re.compile(
    r"batch|data|x\b|xs\b|inputs?|images?|tokens?|obs|examples?|features?"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """The arguments that hold the batch.

    Attributes:
        arguments: indices of the flat arguments.
        size: how many rows each has.
        name: of the first, as the user would type it.
    """

    arguments: tuple[int, ...]
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What was found out.

    Attributes:
        rows: the failing rows, in their order; empty where there is no telling.
        note: "row 17 alone", "rows 3, 17", "many", or why there are none.
    """

    rows: tuple[int, ...] = ()
    note: str = ""


class _Enough(Exception):
    """No more runs."""


def batch_of(
    args: Sequence[Any],
    names: Sequence[str],
    outs: Sequence[Any],
    roles: Roles = NO_ROLES,
) -> Batch | None:
    """The arguments that are a batch: one leading dimension, not handed back anew.

    Arguments:
        args: the flat arguments.
        names: their names; what comes before the first `.` or `[` groups them.
        outs: the flat outputs: a state that is updated comes back in its shape.
        roles: which arguments are weights, and which are multiplied by weights, by what
            the call does with them; where that says nothing, shapes and names decide.
    """
    rows = [i for i in range(len(args)) if i not in roles.weights]
    groups = {
        head: group
        for head, group in _groups(args, names, outs, rows).items()
        if group.size > 1
        and (not group.updated or not roles.batches.isdisjoint(group.arrays))
    }
    if not groups:
        return None
    certain = [h for h, g in groups.items() if set(g.arrays) & roles.batches]
    typical = [h for h in certain or groups if _TYPICAL.match(h)]
    size = groups[(typical or certain or list(groups))[-1]].size
    chosen = [i for g in groups.values() if g.size == size for i in g.arrays]
    return Batch(tuple(chosen), size, names[chosen[0]])


def parameters(
    args: Sequence[Any], names: Sequence[str], outs: Sequence[Any]
) -> frozenset[int]:
    """The arguments that belong to a model: updated, or of many shapes together."""
    return frozenset(
        i
        for group in _groups(args, names, outs, range(len(args))).values()
        if len(group.arrays) > 1 and (group.updated or group.size == 0)
        for i in group.arrays
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """The arrays of one parameter of the user's function, but scalars.

    Attributes:
        arrays: indices of the flat arguments.
        size: their leading dimension, where it is the same for all; else 0.
        updated: whether the call gives as many of the same shapes.
    """

    arrays: tuple[int, ...]
    size: int
    updated: bool


def _groups(
    args: Sequence[Any], names: Sequence[str], outs: Sequence[Any], among: Iterable[int]
) -> dict[str, _Group]:
    members: dict[str, list[int]] = {}
    for i in among:
        if np.ndim(args[i]):
            head = re.split(r"[.\[]", names[i], maxsplit=1)[0]
            members.setdefault(head, []).append(i)
    returned = Counter(_aval(o) for o in outs)
    groups = {}
    for head, arrays in members.items():
        firsts = {np.shape(args[i])[0] for i in arrays}
        taken = Counter(_aval(args[i]) for i in arrays)
        alone = len(arrays) == 1 and _TYPICAL.match(head)  # x to y is no update
        updated = not alone and all(returned[a] >= n for a, n in taken.items())
        size = firsts.pop() if len(firsts) == 1 else 0
        groups[head] = _Group(tuple(arrays), size, updated)
    return groups


def failing_rows(
    batch: Batch,
    args: Sequence[Any],
    fails: Callable[[Sequence[Any]], bool],
    hint: int | None = None,
) -> Rows:
    """The rows that make the step fail.

    Arguments:
        batch: which arguments hold the rows.
        args: the flat arguments of the failing call.
        fails: runs the step with other arguments, and says whether it fails.
        hint: a row that is likely to fail, or None.
    """
    search = _Search(batch, args, fails)
    try:
        return search.run(hint)
    except _Enough:
        return Rows(note=f"not found in {search.runs} runs of the step")


class _Search:
    def __init__(
        self, batch: Batch, args: Sequence[Any], fails: Callable[[Sequence[Any]], bool]
    ):
        self._batch = batch
        self._args = args
        self._fails = fails
        self._host = {i: np.asarray(args[i]) for i in batch.arguments}
        self._good = -1
        self._began = time.monotonic()
        self.runs = 0

    def run(self, hint: int | None) -> Rows:
        size = self._batch.size
        if hint is not None and not 0 <= hint < size:
            hint = None
        tried = [r for r in (0, size - 1, size // 2, 1) if r != hint]
        for self._good in dict.fromkeys(tried):
            if not self._bad(()):
                break
        else:
            return Rows(note="many: each row that was tried fails by itself")
        if hint is not None and self._bad((hint,)):
            others = [r for r in range(size) if r != hint]
            if not self._bad(others):
                return Rows((hint,), self._said((hint,)))
        found: list[int] = []
        self._halve(list(range(size)), found)
        return self._result(found)

    def _halve(self, rows: list[int], found: list[int]) -> None:
        """Adds those that fail among rows that fail together."""
        if len(rows) == 1 or len(found) > MAX_NAMED:
            found += rows
            return
        half = len(rows) // 2
        parts = [p for p in (rows[:half], rows[half:]) if self._bad(p)]
        for part in parts:
            self._halve(part, found)

    def _result(self, found: list[int]) -> Rows:
        rows = tuple(sorted(found))
        if not rows:
            return Rows(note="no row alone: only together do they fail")
        if len(rows) > MAX_NAMED:
            return Rows(note="many")
        return Rows(rows, self._said(rows))

    def _said(self, rows: tuple[int, ...]) -> str:
        where = holders(self._args[self._batch.arguments[0]], rows)
        listed = f"{', '.join(map(str, rows))}{f', on {where},' if where else ''}"
        return f"row {listed} alone" if len(rows) == 1 else f"rows {listed}"

    def _bad(self, rows: Sequence[int]) -> bool:
        """Whether the step fails with these rows, and copies of the good one."""
        if self.runs >= MAX_RUNS or time.monotonic() - self._began > MAX_SECONDS:
            raise _Enough
        self.runs += 1
        index = np.full(self._batch.size, self._good)
        index[list(rows)] = list(rows)
        args = list(self._args)
        for i, host in self._host.items():
            args[i] = _like(host[index], args[i])
        return self._fails(args)


def _like(host: Any, original: Any) -> Any:
    """An array that jit takes for the original: of its kind, on its device."""
    if not isinstance(original, jax.Array):
        return host
    if original.committed:
        return jax.device_put(host, original.sharding)
    return jnp.asarray(host)


def _aval(x: Any) -> tuple[Any, ...]:
    return np.shape(x), str(getattr(x, "dtype", type(x).__name__))
