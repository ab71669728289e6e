"""When the calls of a region ran, for a timeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallTimes:
    """When calls of the user's functions ran, call by call, as columns.

    Attributes:
        functions: names of the functions.
        which: for each recorded call, whose it is, as an index into `functions`.
        numbers: which call of the function it is, counted from 1.
        starts: when it began, in seconds after the region has begun.
        seconds: how long it took, with tracing and compiling where it did that, until
            what it gives was computed; under `--async`, until it returned.
        share: of each group of this many calls in a row, the slowest is recorded.
    """

    functions: tuple[str, ...] = ()
    which: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    starts: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    share: int = 1

    def __len__(self) -> int:
        return len(self.numbers)
