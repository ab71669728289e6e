"""How long a search may take."""

from __future__ import annotations

import time
from collections.abc import Callable


class OutOfTime(Exception):
    """The search took longer than it was allowed to."""


class TimeLimit:
    """How long a search may take, and what is called when it is slow.

    Arguments:
        seconds: after which it is given up.
        slow: called once, after `SLOW` seconds.
    """

    SLOW = 1.0

    def __init__(self, seconds: float = 60.0, slow: Callable[[], None] | None = None):
        self._began = time.monotonic()
        self._seconds = seconds
        self._slow = slow

    def tick(self) -> None:
        """Called often; raises OutOfTime at the end."""
        passed = time.monotonic() - self._began
        if passed > self._seconds:
            raise OutOfTime(f"the search took longer than {self._seconds:.0f} s")
        if passed > self.SLOW and self._slow is not None:
            slow, self._slow = self._slow, None
            slow()
