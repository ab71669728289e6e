"""Changes to what all threads see, made while any thread asks for them.

Threads begin and end in any order. If each put back what it had found, the last might
put back what another has installed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class SharedChange:
    """A change that the first to ask makes, and the last undoes.

    Arguments:
        make: makes the change; returns what undoes it.
    """

    def __init__(self, make: Callable[[], Callable[[], object]]):
        self._make = make
        self._lock = threading.Lock()
        self._asking = 0
        self._undo: Callable[[], object] = lambda: None

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """While open, the change is there."""
        with self._lock:
            if self._asking == 0:
                self._undo = self._make()
            self._asking += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1
                if self._asking == 0:
                    self._undo()
