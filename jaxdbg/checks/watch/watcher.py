"""A few numbers of each leaf of a watched tree, over the calls of a region.

A tree is looked at when the next call begins: only then does it hold the results of
the last one (`nnx.jit` writes to a module after the call). Looking may take
`ALLOWANCE` seconds, and beyond that a `SHARE` of the time of the region. So the
first calls are all seen, then a quick loop is sampled, and a slow one is seen call by
call. What is still being computed is not waited for.

The call that fails is known exactly all the same, from its finding: its outputs are not
in the tree, since the failure keeps them out.
"""

from __future__ import annotations

import time
import weakref
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from jaxdbg.checks.calls.call import Call
from jaxdbg.checks.watch.carried import CarriedTrees, Earlier
from jaxdbg.checks.watch.watched_tree import Watched
from jaxdbg.errors import Failure, did_you_mean
from jaxdbg.jax_internals.identities import Living
from jaxdbg.jax_internals.interpose import Invocation, our_own_work
from jaxdbg.records import Finding, TreeHistory, TreeStats
from jaxdbg.trees.finite_map import finite_map
from jaxdbg.trees.leaves import leaves_of
from jaxdbg.trees.names import Names

SHARE = 0.02
"""What part of the region's time looking may take."""

ALLOWANCE = 0.05
"""Seconds it may take besides."""

BYTES_PER_SECOND = 5e8
"""How quickly statistics are taken, for a guess before they have been once."""

MAX_TREES = 8
"""How many trees are watched that nobody has asked for."""

MAX_FUNCTIONS = 64
"""Of how many functions the arguments are looked up."""

MAX_SEARCH = 0.2
"""Seconds that looking them up may take in all; in a huge namespace it is slow."""


class Records(Protocol):
    """What a watcher asks of the session of its region."""

    findings: list[Finding]

    @property
    def earlier(self) -> Earlier:
        """What the region remembers of its earlier calls."""

    def notice(self, text: str) -> None:
        """Notes something the user should know, once."""

    def broke(self, doing: str, error: BaseException) -> None:
        """Notes that a part of jaxdbg broke."""

    def spent(self, checking: float) -> None:
        """Adds seconds to what checking has cost."""


class Watcher:
    """Watches the trees of one region, from call to call.

    Arguments:
        session: of the region.
        names: what the user's frames can name.
        wanted: names or paths of trees; without any, the modules and optimizers that
            jitted calls are given and update are watched, and the trees that are
            carried from call to call.
    """

    def __init__(
        self, session: Records, names: Callable[[], Names], wanted: Sequence[str] = ()
    ):
        self._session = session
        self._names = names
        self._asked = bool(wanted)
        self._trees: dict[object, Watched] = {
            name: Watched(name, lambda name=name: self._named(name))  # type: ignore[misc]
            for name in wanted
        }
        self._carried = CarriedTrees(session.earlier)
        self._met, self._meetings = Living(), 0
        self._before: Call | None = None
        self._running: Call | None = None
        self._began = time.perf_counter()
        self._looked = 0.0
        self._searched = 0.0
        self._wanted = False
        self._measured = 0.0
        self._statistics: dict[str, TreeStats] = {}
        self._frozen: tuple[Any, tuple[TreeHistory, ...]] | None = None

    def begins(self, which: Call, call: Invocation) -> None:
        """Looks at what the last call has left, when the next one begins."""
        if not which.function.user:
            return
        try:
            if not self._asked:
                self._meet(call)
                self._meet_carried(which, call)
            self._before, self._running = self._running, which
            if self._before is not None:
                if self._may_look():
                    self._look(self._before)
                    self._look_at_carried(which, call)
                if self._wanted:
                    self._measure(self._before)
        except Exception as error:
            self._session.broke("watching trees", error)

    def ends(self, error: BaseException | None) -> None:
        """Looks a last time, when the region ends."""
        # The call that failed has left the trees as they were before it.
        last = self._before if isinstance(error, Failure) else self._running
        try:
            if last is not None:
                self._look(last, apart=True)
                failed = self._running if isinstance(error, Failure) else None
                with our_own_work():
                    self._carried.end(failed.function if failed is not None else None)
            for tree in self._trees.values():
                if self._asked and not tree.found and self._running is not None:
                    self._session.notice(self._unknown(tree.name))
        except Exception as broken:
            self._session.broke("watching trees", broken)

    def statistics(self) -> tuple[TreeStats, ...]:
        """What the trees held after a recent call; asks for what they hold now.

        For other threads, which must not read the user's arrays themselves: one may be
        donated, and gone, at the same time. They are read when the next call begins, if
        there is time for it.
        """
        self._wanted = True
        return tuple(self._statistics.values())

    def histories(self) -> tuple[TreeHistory, ...]:
        """What was seen up to now."""
        try:
            return self._histories()
        except Exception as error:
            self._session.broke("freezing what was watched", error)
            return ()

    def _histories(self) -> tuple[TreeHistory, ...]:
        failed = [f for f in self._session.findings if f.paths][:1]
        seen = (len(failed), *((id(t.rows[-1]), len(t.rows)) for t in self._seen()))
        if self._frozen is None or self._frozen[0] != seen:
            rows = tuple(tree.history(failed) for tree in self._seen())
            self._frozen = seen, rows
        return self._frozen[1]

    def _seen(self) -> list[Watched]:
        return [tree for tree in list(self._trees.values()) if tree.rows]

    def _may_look(self) -> bool:
        seconds = time.perf_counter() - self._began
        return self._looked <= ALLOWANCE + SHARE * seconds

    def _look(self, call: Call, apart: bool = False) -> None:
        began = time.perf_counter()
        with our_own_work():
            for tree in self._trees.values():
                tree.look(call, apart)
        self._looked += self._spent(began)

    def _measure(self, call: Call) -> None:
        """Takes the statistics of the trees, where there is time for it."""
        began = time.perf_counter()
        trees = [tree for tree in self._trees.values() if tree.is_ready()]
        known = sum(one.seconds for one in self._statistics.values())
        takes = known or sum(tree.nbytes for tree in trees) / BYTES_PER_SECOND
        if self._measured + takes > ALLOWANCE + SHARE * (began - self._began):
            return
        self._wanted = False
        for tree in trees:
            stats = finite_map(tree.tree(), tree.name).stats
            self._statistics[tree.name] = replace(stats, call=str(call))
        self._measured += self._spent(began)

    def _spent(self, began: float) -> float:
        took = time.perf_counter() - began
        self._session.spent(checking=took)
        return took

    def _meet(self, call: Invocation) -> None:
        """Begins to watch the modules and optimizers that a new function takes."""
        jaxpr = call.params["jaxpr"]
        if jaxpr in self._met or self._meetings >= MAX_FUNCTIONS:
            return
        if self._searched > MAX_SEARCH:
            return
        self._met.add(jaxpr)
        self._meetings += 1
        began = time.perf_counter()
        left = {id(array) for array in call.args}
        for name, tree, is_given in self._names().modules():
            if len(self._trees) >= MAX_TREES or not left:
                break
            held = left.intersection(id(x.value) for x in leaves_of(tree, name).leaves)
            left -= held  # an array in several counts for the first that has it
            if (held or is_given) and id(tree) not in self._trees:
                self._trees[id(tree)] = Watched(name, weakref.ref(tree))
        self._searched += time.perf_counter() - began

    def _meet_carried(self, which: Call, call: Invocation) -> None:
        """Begins to watch the trees that a function is passed and has returned."""
        function = which.function
        if not self._carried.may_meet(function) or self._searched > MAX_SEARCH:
            return
        began = time.perf_counter()
        for tree in self._carried.meet(function, call, self._names):
            if len(self._trees) < MAX_TREES and tree.name not in self._watched_names():
                self._trees[function, tree.name] = tree
        self._searched += time.perf_counter() - began

    def _watched_names(self) -> set[str]:
        return {tree.name for tree in self._trees.values()}

    def _look_at_carried(self, which: Call, call: Invocation) -> None:
        began = time.perf_counter()
        with our_own_work():
            self._carried.look(which.function, call.args)
        self._looked += self._spent(began)

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
