"""Interrupts that wait: what is installed and removed is so as a whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class HeldBack:
    """While open, an interrupt (SIGINT) waits; at the end its handler runs.

    Python runs handlers in its main thread alone, so elsewhere there is none to wait.
    """

    def __init__(self) -> None:
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._waiting: tuple[int, FrameType | None] | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether an interrupt waits."""
        return self._waiting is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):  # else it is ignored, or not Python's
                self._handler = handler
                signal.signal(signal.SIGINT, self._wait)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is None:
            return
        signal.signal(signal.SIGINT, self._handler)
        if self._waiting is not None:
            self._handler(*self._waiting)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        self._waiting = number, frame
