"""The ways in which a test is run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from jaxdbg import Region, checked
from jaxdbg.compiles import recorder

PLAIN = "plain"
AGAIN = "again"
"""Plain once more: a test that differs does so by itself."""


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextlib.contextmanager
def _recorder_alone() -> Iterator[None]:
    recorder.start()
    try:
        yield
    finally:
        recorder.stop()


MODES: dict[str, Callable[[], contextlib.AbstractContextManager[Region | None]]] = {
    PLAIN: _nothing,
    AGAIN: _nothing,
    "record": lambda: checked(record=True),
    "default": checked,
    "every_op": lambda: checked(record=True, every_op=True),
    "recorder": _recorder_alone,
}
