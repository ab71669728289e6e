"""Notes when the calls of a region ran, in bounded memory.

When the log is full, of two neighbours the slower one stays, and from then on one
of twice as many calls is kept: slow steps are what one looks for in a timeline.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxdbg.records import CallTimes

MOST = 1024
"""How many calls are kept at most."""

MOST_FAILED = 64
"""How many failing calls are kept besides."""


class _Call(NamedTuple):
    seconds: float
    start: float
    function: str
    number: int


class CallLog:
    """The calls of a region; whoever adds to it holds a lock."""

    def __init__(self) -> None:
        self._kept: list[_Call] = []
        self._failed: list[_Call] = []
        self._latest: _Call | None = None
        self._slowest: _Call | None = None
        self._met = 0
        self._share = 1

    def add(self, function: str, number: int, start: float, seconds: float) -> None:
        """Notes a call.

        Arguments:
            function: its name.
            number: which call of the function it is, from 1.
            start: when it began, in seconds after the region has begun.
            seconds: how long it took.
        """
        call = self._latest = _Call(seconds, start, function, number)
        if self._slowest is None or seconds > self._slowest.seconds:
            self._slowest = call
        self._met += 1
        if self._met < self._share:
            return
        self._kept.append(self._slowest)
        self._slowest, self._met = None, 0
        if len(self._kept) == MOST:
            pairs = zip(self._kept[::2], self._kept[1::2], strict=True)
            self._kept = [max(pair) for pair in pairs]
            self._share *= 2

    def failed(self, function: str, number: int) -> None:
        """Keeps a call that has failed, if it is the one that was noted last."""
        call = self._latest
        if call is not None and (call.function, call.number) == (function, number):
            self._failed = [*self._failed, call][:MOST_FAILED]

    def frozen(self) -> CallTimes:
        """What was kept, in the order in which the calls have ended."""
        calls = [*self._kept, *([self._slowest] if self._slowest else [])]
        failed = [call for call in self._failed if call not in calls]
        if failed:
            calls = sorted([*calls, *failed], key=lambda call: call.start)
        functions = tuple(dict.fromkeys(call.function for call in calls))
        place = {name: i for i, name in enumerate(functions)}
        return CallTimes(
            functions,
            tuple(place[call.function] for call in calls),
            tuple(call.number for call in calls),
            tuple(round(call.start, 6) for call in calls),
            tuple(round(call.seconds, 6) for call in calls),
            self._share,
        )
