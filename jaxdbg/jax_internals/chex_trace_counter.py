"""Traces that are made for a diagnosis do not count for `chex.assert_max_traces`.

chex counts in one table for all threads, and looks at it in each call. While a thread
traces afresh, a table in front of it has a page of its own for that thread.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from jaxdbg.jax_internals.requirements import missing, private

_COUNTER = private(
    "chex._src.asserts_internal.TRACE_COUNTER",
    "chex counts",
)


class _Here(threading.local):
    """What one thread counts apart; None while it counts as ever."""

    page: Counter[Any] | None = None


class _Table:
    """The table of chex, with a page apart for each thread that asks for one."""

    def __init__(self, plain: Any):
        self.plain = plain
        self.here = _Here()
        self.users = 0

    def _page(self) -> Any:
        return self.plain if self.here.page is None else self.here.page

    def __getitem__(self, key: Any) -> int:
        count: int = self._page()[key]
        return count

    def __setitem__(self, key: Any, count: int) -> None:
        self._page()[key] = count

    def clear(self) -> None:
        """What `chex.clear_trace_counter` calls."""
        self._page().clear()


_lock = threading.Lock()


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """What this thread traces inside does not count."""
    if "chex" not in sys.modules or missing("chex counts"):
        yield
        return
    with _lock:
        table = _COUNTER.get()
        if not isinstance(table, _Table):
            table = _Table(table)
            _COUNTER.put(table)
        table.users += 1
    before, table.here.page = table.here.page, Counter()
    try:
        yield
    finally:
        table.here.page = before
        with _lock:
            table.users -= 1
            if not table.users:
                _COUNTER.put(table.plain)
