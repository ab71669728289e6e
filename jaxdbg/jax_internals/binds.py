"""The equations of a trace in the order they are bound, with Python's stack at each.

JAX asks once per new equation where it is written (`source_info_util.current`): then
the frames of the user's functions are alive. The traceback that it makes stays the same
object in all that transformations make of the equation later.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.requirements import missing, private
from jaxdbg.jax_internals.shared_changes import SharedChange

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

_CURRENT = private("jax._src.source_info_util.current", "frames")


def _nothing(number: int, frame: FrameType, root: CodeType) -> None:
    pass


class Binds:
    """The places at which a trace has bound something, numbered in their order.

    The same function traced again binds the same in the same order.

    Arguments:
        wanted: numbers at which `at` is called.
        at: called with the number, the frame of JAX that binds, and the code of the
            function that is traced. What it binds itself is not counted.
    """

    def __init__(
        self,
        wanted: Collection[int] = (),
        at: Callable[[int, FrameType, CodeType], None] = _nothing,
    ):
        self._wanted = frozenset(wanted)
        self._at = at
        self._numbers: dict[int, tuple[int | None, Any]] = {}
        self._count = 0
        self._is_busy = False
        self._root: CodeType | None = None

    def number(self, eqn: JaxprEqn) -> int | None:
        """Where an equation was bound, or the one it was made of; None if not known."""
        traceback = eqn.source_info.traceback
        number, known = self._numbers.get(id(traceback), (None, None))
        return number if known is traceback else None

    @contextlib.contextmanager
    def watching(self, root: CodeType) -> Iterator[None]:
        """While open, what this thread binds is counted.

        Without the names of JAX that this rests on nothing is.

        Arguments:
            root: code of the function that is traced.
        """
        if missing("frames"):
            yield
            return
        self._root = root
        before, _here.binds = _here.binds, self
        try:
            with _WATCHED.made():
                yield
        finally:
            _here.binds = before

    def made(self, traceback: Any, frame: FrameType) -> None:
        """Notes a traceback that JAX has made, or has taken over from an equation."""
        if traceback is None or id(traceback) in self._numbers:
            return
        number = None if self._is_busy else self._count
        self._numbers[id(traceback)] = number, traceback
        if number is None:
            return
        self._count += 1
        if number in self._wanted and self._root is not None:
            self._is_busy = True
            try:
                self._at(number, frame, self._root)
            finally:
                self._is_busy = False


class _Here(threading.local):
    binds: Binds | None = None


_here = _Here()


def _watch() -> Callable[[], None]:
    plain = _CURRENT.get()

    @functools.wraps(plain)
    def current() -> Any:
        info = plain()
        if _here.binds is not None:
            _here.binds.made(info.traceback, sys._getframe(1))
        return info

    _CURRENT.put(current)

    def undo() -> None:
        _CURRENT.put(plain)

    return undo


_WATCHED = SharedChange(_watch)
