"""What a region remembers of its earlier calls: who made an array, and how it grew.

A bad value that came in through an argument was made somewhere. Every call of a region
is noted with weak references to its arguments and results, so that the array leads
back to the call that made it, and, while the user still holds the arguments of that
call, to the operation in it.

What this holds of the user's program: nothing but the buffers of small results (a
loss, a norm: `SMALL` elements at most), of the last `GROWTH` calls of each of the
`MAX_GROWING` functions that were called last. All else is weak, the jaxprs too: what
closes over an array, and its executable, lives no longer than without us. Notes are
bounded too, by `MAX_CALLS`.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxdbg.checks.calls.call import Call
from jaxdbg.jax_internals.arrays import REF, can_be_non_finite
from jaxdbg.jax_internals.functions import Function
from jaxdbg.trees.copies import is_gone

MAX_CALLS = 512
"""How many calls are remembered: the first half of these, and the last half."""

RECENT = 64
"""How many calls are noted before those whose results are gone are forgotten."""

GROWTH = 8
"""Over how many calls of a function growth is reported."""

SMALL = 16
"""Elements of the results that are held for that."""


MAX_GROWING = 32
"""Of how many functions they are held."""


@dataclass(frozen=True, slots=True)
class Made:
    """How an array came to be.

    Attributes:
        call: the call that returned it.
        output: which of its flat outputs it is.
        number: which call of the region that was, of any function, from 1; calls that
            came later have a higher one.
        jaxpr: the closed jaxpr of the call; None for an AOT call, and where it is gone.
        args: its flat arguments; None where one of them is gone since, or may have
            been written to: then the call cannot be evaluated again.
    """

    call: Call
    output: int
    number: int
    jaxpr: Any
    args: tuple[Any, ...] | None

    def __str__(self) -> str:
        """As `Origin.made_by` has it: `init_state (call 1)`."""
        return self.call.short


@dataclass(slots=True)
class _Note:
    """One call; what is dead is dropped when notes are sifted."""

    call: Call
    number: int
    jaxpr: Callable[[], Any]
    args: tuple[Any, ...]
    outs: dict[int, Any] | tuple[Any, ...]

    def living(self) -> dict[int, Any]:
        """References to the outputs that are still there, by index."""
        outs = self.outs
        pairs = outs.items() if isinstance(outs, dict) else enumerate(outs)
        return {i: ref for i, ref in pairs if ref() is not None}


class EarlierCalls:
    """The calls of one region, from the first to the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._early: list[_Note] = []
        self._late: deque[_Note] = deque(maxlen=MAX_CALLS // 2)
        self._recent: list[_Note] = []
        self._count = 0
        self._index: tuple[int, dict[int, tuple[_Note, int]]] = (-1, {})
        self._small: weakref.WeakKeyDictionary[Any, tuple[int, ...]] = (
            weakref.WeakKeyDictionary()
        )
        self._grown: OrderedDict[Function, deque[dict[int, Any]]] = OrderedDict()

    def note(
        self, call: Call, jaxpr: Any, args: Sequence[Any], outs: Sequence[Any]
    ) -> int:
        """Notes a call that ran; does not wait for it, and looks at no value.

        Arguments:
            call: which call it was.
            jaxpr: its closed jaxpr; None where there is none (AOT).
            args: its flat arguments, as they were before it ran.
            outs: its flat outputs, the very objects the user gets.

        Returns:
            Which call of the region it was, from 1.
        """
        traced = _nothing if jaxpr is None else weakref.ref(jaxpr)
        note = _Note(call, 0, traced, _weak(args), _weak(outs))
        small = self._small_outputs(jaxpr) if jaxpr is not None else ()
        with self._lock:
            self._count += 1
            note.number = self._count
            self._recent.append(note)
            if len(self._recent) >= RECENT:
                self._sift()
            if small and call.function.user:
                self._hold(call.function, {i: _shared(outs[i]) for i in small})
        return note.number

    def made(self, array: object) -> Made | None:
        """The latest call that returned this very array, or None where none is known.

        A call that hands an argument on unchanged has made a new array all the same.
        """
        note, output = self._makers().get(id(array), (None, 0))
        if note is None or note.living().get(output, _nothing)() is not array:
            return None
        return Made(note.call, output, note.number, note.jaxpr(), _living(note.args))

    def last(self, function: Function) -> tuple[Call, dict[int, Any]] | None:
        """The last call of a function, with references to its outputs that live.

        None where it is not remembered.
        """
        with self._lock:
            notes = reversed([*self._late, *self._recent])
        found = next((n for n in notes if n.call.function == function), None)
        return None if found is None else (found.call, found.living())

    def growth(self, function: Function) -> dict[int, tuple[float, ...]]:
        """How the small results of a function grew over its last calls.

        Waits for the values, so it is for a failure only.

        Returns:
            For each such output, by index, the largest finite magnitude of each call,
            oldest first; NaN where nothing in it was finite.
        """
        with self._lock:
            calls = list(self._grown.get(function, ()))
        series: dict[int, list[float]] = {}
        for call in calls:
            for i, value in call.items():
                if (magnitude := _magnitude(value)) is not None:
                    series.setdefault(i, []).append(magnitude)
        return {i: tuple(series[i]) for i in sorted(series)}

    def end(self) -> None:
        """The region has ended: lets go of the few results that were held."""
        with self._lock:
            self._grown.clear()

    def _hold(self, function: Function, small: dict[int, Any]) -> None:
        if function not in self._grown:
            self._grown[function] = deque(maxlen=GROWTH)
        self._grown[function].append(small)
        self._grown.move_to_end(function)
        if len(self._grown) > MAX_GROWING:
            self._grown.popitem(last=False)

    def _makers(self) -> dict[int, tuple[_Note, int]]:
        """From the id of an array to the call that made it, and as which output."""
        with self._lock:
            if self._index[0] != self._count:
                makers = {
                    id(ref()): (note, i)
                    for note in self._notes()
                    for i, ref in note.living().items()
                }
                self._index = (self._count, makers)
            return self._index[1]

    def _notes(self) -> list[_Note]:
        return [*self._early, *self._late, *self._recent]

    def _sift(self) -> None:
        """Forgets calls whose results are all gone, and dead references of others.

        So what is remembered of a call is in proportion to what lives of it.
        """
        most = MAX_CALLS // 2
        for note in self._recent:
            if living := note.living():
                note.outs = living
                note.args = tuple(_gone if r() is None else r for r in note.args)
                (self._early if len(self._early) < most else self._late).append(note)
        self._recent = []
        if len(self._early) == most:
            self._early = [n for n in self._early if n.living()]

    def _small_outputs(self, jaxpr: Any) -> tuple[int, ...]:
        small = self._small.get(jaxpr)
        if small is None:
            avals = enumerate(jaxpr.out_avals)
            small = tuple(
                i for i, a in avals if can_be_non_finite(a) and a.size <= SMALL
            )
            self._small[jaxpr] = small
        return small


def _weak(values: Sequence[Any]) -> tuple[Any, ...]:
    """A callable for each value that returns it, or None once it is gone."""
    try:
        return tuple(map(weakref.ref, values))
    except TypeError:  # a number of Python's among them
        return tuple(map(_weak_or_not, values))


def _weak_or_not(value: Any) -> Any:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


def _shared(value: Any) -> Any:
    """The buffer of an array in an object of its own: the user's dies as ever."""
    if value.is_fully_addressable and value.is_fully_replicated:
        return value.addressable_data(0)
    return value


def _nothing() -> None:
    return None


_gone = _nothing
"""The reference to whatever is gone."""


def _living(references: Sequence[Any]) -> tuple[Any, ...] | None:
    values = tuple(ref() for ref in references)
    return None if any(map(_is_lost, values)) else values


def _is_lost(value: Any) -> bool:
    return value is None or isinstance(value, REF) or is_gone(value)


def _magnitude(value: Any) -> float | None:
    """The largest finite magnitude in an array; None for one that cannot be read."""
    try:
        if is_gone(value):
            return None
        host = np.abs(np.asarray(value).astype(np.complex128))
    except Exception:  # it spans processes, or was never computed
        return None
    finite = host[np.isfinite(host)]
    return float(finite.max()) if finite.size else float("nan")
