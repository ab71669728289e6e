"""How long a search may take: of the time that the process computes.

On a machine that others share, and on a laptop that sleeps, the clock on the wall runs
on; with several cores the clock of the process runs ahead of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_WAITING = 10
"""After so many times its seconds a search ends even if it has hardly computed."""


LEAST, MOST = 0.5, 5.0
"""Seconds for what is looked for beside the origin."""


class OutOfTime(Exception):
    """The search took longer than it was allowed to."""


class TimeLimit:
    """How long a search may take, and what is called when it is slow.

    Arguments:
        seconds: after which it is given up.
        slow: called once, after `SLOW` seconds on the wall.
    """

    SLOW = 1.0

    def __init__(self, seconds: float = 60.0, slow: Callable[[], None] | None = None):
        self._began = time.monotonic()
        self._computed = time.process_time()
        self._seconds = seconds
        self._slow = slow

    def short(self) -> TimeLimit:
        """For more of the same, which need not be: about as long as it took so far."""
        passed = time.monotonic() - self._began
        return TimeLimit(min(max(passed, LEAST), MOST))

    def tick(self) -> None:
        """Called often; raises OutOfTime at the end."""
        passed = time.monotonic() - self._began
        computed = time.process_time() - self._computed
        if min(passed, max(computed, passed / MAX_WAITING)) > self._seconds:
            raise OutOfTime(f"the search took longer than {self._seconds:.0f} s")
        if passed > self.SLOW and self._slow is not None:
            slow, self._slow = self._slow, None
            slow()
