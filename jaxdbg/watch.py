"""A few numbers of each leaf of a watched tree, over the calls of a region.

A tree is looked at when the next call begins: only then does it hold what the last one
gave (`nnx.jit` writes to a module after the call). Looking may take a twentieth of a
second, and beyond that two percent of the time of the region. So the first calls are
all seen, then a quick loop is sampled, and a slow one is seen call by call. What is
still being computed is not waited for.

The call that fails is known exactly all the same, from its finding: its outputs are not
in the tree, since the failure keeps them out.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxdbg import findings, statistics
from jaxdbg.containers import is_flax_node
from jaxdbg.errors import Failure
from jaxdbg.hooks.interpose import Invocation, our_own_work
from jaxdbg.leaves import leaves_of
from jaxdbg.naming import Names
from jaxdbg.options import did_you_mean
from jaxdbg.records import Finding, TreeHistory
from jaxdbg.session import Session

SHARE = 0.02
"""What part of the region's time looking may take."""

ALLOWANCE = 0.05
"""Seconds it may take besides."""

MAX_CALLS = 256
"""How many calls are kept of a tree; of large trees fewer, see `MAX_NUMBERS`."""

MAX_NUMBERS = 1 << 21
"""How many leaves times calls are kept of a tree."""

MAX_TREES = 8
"""How many trees are watched that nobody has asked for."""

MAX_FUNCTIONS = 64
"""Of how many functions the arguments are looked up."""

MAX_SEARCH = 0.2
"""Seconds that looking them up may take in all; in a huge namespace it is slow."""


@dataclass(slots=True)
class _Row:
    """What a tree held after a call: largest magnitude and bad elements by leaf."""

    call: int
    function: str
    largest: Any
    bad: Any


@dataclass(slots=True)
class _Watched:
    """A tree that is watched.

    Attributes:
        tree: finds it, and gives None where it is not to be found.
        held: its arrays when it was last looked at.
    """

    name: str
    tree: Callable[[], Any]
    paths: tuple[str, ...] = ()
    rows: list[_Row] = field(default_factory=list)
    held: list[weakref.ref[Any]] = field(default_factory=list)
    found: bool = False

    def look(self, call: findings.Call) -> None:
        """Adds a row, if the tree is there, computed, and not what it was."""
        tree = self.tree()
        if tree is None:
            return
        self.found = True
        leaves = [x for x in leaves_of(tree, self.name).leaves if _is_float(x.value)]
        arrays = [leaf.value for leaf in leaves]
        same = len(arrays) == len(self.held) and all(
            held() is array for held, array in zip(self.held, arrays, strict=True)
        )
        if same or not all(map(_is_ready, arrays)):
            return
        paths = tuple(leaf.path for leaf in leaves)
        if paths != self.paths:  # another tree has got the name
            self.paths, self.rows = paths, []
        self.held = [weakref.ref(array) for array in arrays]
        largest, bad = _extremes(arrays)
        self.rows.append(_Row(call.number, call.function.name, largest, bad))
        most = min(MAX_CALLS, max(16, MAX_NUMBERS // max(1, len(paths))))
        if len(self.rows) > most:
            recent = len(self.rows) - most // 4
            del self.rows[1:recent:2]  # the older ones thin out

    def history(self, failed: Sequence[Finding]) -> TreeHistory:
        """The rows as a record, with what calls gave that failed."""
        rows = [*self.rows]
        for finding in failed:
            row = self._of_failure(finding)
            same = [i for i, r in enumerate(rows) if r.function == finding.function]
            later = (i for i in same if rows[i].call >= finding.call)
            at = next(later, len(rows))
            seen = at < len(rows) and rows[at].call == finding.call
            if row is not None and not seen:
                rows.insert(at, row)
        first, call = self._first_bad(rows)
        return TreeHistory(
            name=self.name,
            paths=self.paths,
            calls=tuple(row.call for row in rows),
            functions=tuple(row.function for row in rows),
            largest=tuple(tuple(map(_number, row.largest.tolist())) for row in rows),
            bad=tuple(tuple(row.bad.tolist()) for row in rows),
            first_bad=first,
            first_bad_call=call,
        )

    def _of_failure(self, finding: Finding) -> _Row | None:
        """What a call would have given, had it not failed: its bad leaves."""
        index = {path: i for i, path in enumerate(self.paths)}
        bad = np.zeros(len(self.paths), np.int64)
        for path in finding.paths:
            if path in index:
                bad[index[path]] = 1
        for reached in finding.origin.reached if finding.origin else ():
            if reached.path in index:
                bad[index[reached.path]] = reached.bad
        if finding.path in index:
            bad[index[finding.path]] = finding.nan + finding.inf
        if not bad.any():
            return None
        largest = self.rows[-1].largest if self.rows else np.full(len(bad), -1.0)
        return _Row(finding.call, finding.function, largest, bad)

    def _first_bad(self, rows: Sequence[_Row]) -> tuple[int, int]:
        for row in rows:
            if row.bad.any():
                return int(np.flatnonzero(row.bad)[0]), row.call
        return -1, 0


class Watcher:
    """Watches the trees of one region, from call to call.

    Arguments:
        session: of the region.
        names: what the user's frames can name.
        wanted: names or paths of trees; without any, the modules and optimizers of NNX
            that jitted calls are given are watched.
    """

    def __init__(
        self, session: Session, names: Callable[[], Names], wanted: Sequence[str] = ()
    ):
        self._session = session
        self._names = names
        self._asked = bool(wanted)
        self._trees: dict[object, _Watched] = {
            name: _Watched(name, lambda name=name: self._named(name))  # type: ignore[misc]
            for name in wanted
        }
        self._met: dict[int, object] = {}
        self._before: findings.Call | None = None
        self._running: findings.Call | None = None
        self._began = time.perf_counter()
        self._looked = 0.0
        self._searched = 0.0
        self._frozen: tuple[Any, tuple[TreeHistory, ...]] | None = None

    def begins(self, which: findings.Call, call: Invocation) -> None:
        """Looks at what the last call has left, when the next one begins."""
        if not which.function.user:
            return
        try:
            if not self._asked:
                self._meet(call)
            self._before, self._running = self._running, which
            if self._before is not None and self._may_look():
                self._look(self._before)
        except Exception as error:
            self._session.broke("watching trees", error)

    def ends(self, error: BaseException | None) -> None:
        """Looks a last time, when the region ends."""
        # The call that failed has left the trees as they were before it.
        last = self._before if isinstance(error, Failure) else self._running
        try:
            if last is not None:
                self._look(last)
            for tree in self._trees.values():
                if self._asked and not tree.found and self._running is not None:
                    self._session.notice(self._unknown(tree.name))
        except Exception as broken:
            self._session.broke("watching trees", broken)

    def histories(self) -> tuple[TreeHistory, ...]:
        """What was seen up to now."""
        try:
            return self._told()
        except Exception as error:
            self._session.broke("telling what was watched", error)
            return ()

    def _told(self) -> tuple[TreeHistory, ...]:
        failed = [f for f in self._session.findings if f.paths][:1]
        seen = (len(failed), *((id(t.rows[-1]), len(t.rows)) for t in self._seen()))
        if self._frozen is None or self._frozen[0] != seen:
            told = tuple(tree.history(failed) for tree in self._seen())
            self._frozen = seen, told
        return self._frozen[1]

    def _seen(self) -> list[_Watched]:
        return [tree for tree in list(self._trees.values()) if tree.rows]

    def _may_look(self) -> bool:
        seconds = time.perf_counter() - self._began
        return self._looked <= ALLOWANCE + SHARE * seconds

    def _look(self, call: findings.Call) -> None:
        began = time.perf_counter()
        with our_own_work():
            for tree in self._trees.values():
                tree.look(call)
        took = time.perf_counter() - began
        self._session.spent(checking=took)
        self._looked += took

    def _meet(self, call: Invocation) -> None:
        """Begins to watch the modules and optimizers that a new function is given."""
        jaxpr = call.params["jaxpr"]
        if id(jaxpr) in self._met or len(self._met) >= MAX_FUNCTIONS:
            return
        if self._searched > MAX_SEARCH:
            return
        self._met[id(jaxpr)] = jaxpr
        began = time.perf_counter()
        names = self._names()
        for name, tree in names.holders(call.args):
            if id(tree) in self._trees or not is_flax_node(tree):
                continue
            if len(self._trees) < MAX_TREES:
                self._trees[id(tree)] = _Watched(name, weakref.ref(tree))
        self._searched += time.perf_counter() - began

    def _named(self, name: str) -> Any:
        scope = ChainMap(*map(dict, self._names().namespaces))
        try:
            return eval(name, {}, scope)
        except Exception:  # not there yet, or not any more
            return None

    def _unknown(self, name: str) -> str:
        known = [k for space in self._names().namespaces for k in space]
        return (
            f"--watch {name}: nothing of this name was there when a call began."
            f"{did_you_mean(name, known)}"
        )


# -- looking ---------------------------------------------------------------------------


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(value, jax.Array | np.ndarray) and statistics.is_float(dtype)


_ARRAY: Any = jax.Array  # is_ready() is documented, but missing in the class


def _is_ready(array: Any) -> bool:
    if not isinstance(array, _ARRAY):
        return True
    # The order matters: is_ready() kills the process where x is deleted (JAX 0.10).
    return not array.is_deleted() and bool(array.is_ready())


def _extremes(arrays: Sequence[Any]) -> tuple[Any, Any]:
    """Largest finite magnitudes, -1 for none, and counts of what is not finite."""
    largest = np.asarray(statistics.peaks(arrays), np.float64)
    bad = np.zeros(len(arrays), np.int64)
    suspects = [int(i) for i in np.flatnonzero(~np.isfinite(largest))]
    measures = statistics.measured([arrays[i] for i in suspects])
    for i, measure in zip(suspects, measures, strict=True):
        largest[i], bad[i] = measure.largest, measure.bad
    return largest, bad


def _number(x: float) -> float | None:
    return x if x >= 0 and math.isfinite(x) else None
