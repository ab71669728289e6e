"""Bad values made inside of a library's eager call, until their end is known.

A library may make a NaN and throw it away (`optax.kl_divergence` of a target of 0). So
it is held, weakly, and counts when it comes out of the user's call of the library: when
it is alive as the user's code runs on, when the user's code drops it, or when an
operation of the user's takes it. What dies while the call still runs was thrown away.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

from jaxdbg.checks.calls.call import Call
from jaxdbg.jax_internals.library_calls import LibraryCall, Position, positions
from jaxdbg.records import Origin

MAX_HELD = 256
"""So many arrays are held; of more the first ones speak for the others."""


@dataclass(slots=True, eq=False)
class Birth:
    """A bad value that was made inside of a library's call.

    Attributes:
        origin: where it was born.
        call: the operation; `calls` are those that passed it on, too.
        library: the user's call of the library.
    """

    origin: Origin
    call: Call
    library: LibraryCall
    calls: list[Call] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Held:
    birth: Birth
    at: LibraryCall
    thread: int
    array: weakref.ref[Any]


CameOut = tuple[Birth, Any]
"""What has come out, and its array; None where that is gone."""


class LibraryValues:
    """What is held in one region.

    Arguments:
        late: whether calls are judged after the user's code has run on. Then it cannot
            be seen when an array died.

    Attributes:
        lost: of how many arrays it is not known whether they came out.
    """

    def __init__(self, late: bool = False):
        self._late = late
        self._held: dict[int, _Held] = {}
        self._dropped: list[Birth] = []
        self._collecting = False
        self.lost = 0

    def __bool__(self) -> bool:
        return bool(self._held or self._dropped)

    def hold(self, arrays: Sequence[Any], birth: Birth, at: LibraryCall) -> None:
        """Holds the bad results of an operation.

        Arguments:
            arrays: the results.
            birth: what they come from.
            at: the user's call of the library that the operation is a part of.
        """
        thread = threading.get_ident()
        for array in arrays[: MAX_HELD - len(self._held)]:
            key = id(array)
            ref = weakref.ref(array, partial(self._died, key))
            self._held[key] = _Held(birth, at, thread, ref)

    def birth_of(self, args: Sequence[Any]) -> Birth | None:
        """What the first argument comes from that is held."""
        held = (self._held.get(id(a)) for a in args)
        pairs = zip(held, args, strict=True)
        found = (h.birth for h, a in pairs if h is not None and h.array() is a)
        return next(found, None)

    def come_out(self, frame: FrameType, args: Sequence[Any] = ()) -> list[CameOut]:
        """What has come out by now, each birth once; it is held no more.

        Arguments:
            frame: that runs now.
            args: of an operation that is to run.
        """
        if sys.exc_info()[1] is not None:  # its traceback keeps what is dead
            return []
        running = list(positions(frame))
        keys = [key for key, h in self._held.items() if _is_out(h, running, args)]
        if keys:
            self._collect()
        found: dict[Birth, Any] = dict.fromkeys(self._dropped)
        self._dropped = []
        for key in keys:
            held = self._held.get(key)
            array = held.array() if held is not None else None
            if held is not None and array is not None:
                before = found.get(held.birth)
                found[held.birth] = array if before is None else before
        self._held = {k: h for k, h in self._held.items() if h.birth not in found}
        return list(found.items())

    def end(self) -> int:
        """Lets go of all; of how many arrays it is not known whether they came out."""
        lost = self.lost + len(self._held) + len(self._dropped)
        self._held, self._dropped, self.lost = {}, [], 0
        return lost

    def _collect(self) -> None:
        """What is only held by a cycle of the library's is dead."""
        self._collecting = True
        try:
            gc.collect(1)
        finally:
            self._collecting = False

    def _died(self, key: int, ref: weakref.ref[Any]) -> None:
        held = self._held.get(key)
        if held is None or held.array is not ref:
            return
        del self._held[key]
        if self._late:
            self.lost += 1
        elif not self._collecting and held.at.outer not in positions(sys._getframe(1)):
            self._dropped.append(held.birth)


def _is_out(held: _Held, running: Sequence[Position], args: Sequence[Any]) -> bool:
    if held.thread != threading.get_ident() or held.at.position in running[:1]:
        return False
    if held.at.outer in running:  # what runs is the user's code, inside of the call
        array = held.array()
        return array is not None and any(a is array for a in args)
    return True
