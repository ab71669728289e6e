"""Faults in jaxdbg itself: a function of it that raises each time it is called.

By a trace function, so that nothing is patched: a function that others have imported by
name, a method and a closure raise alike.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType

import jaxdbg

PACKAGE = str(Path(jaxdbg.__file__).parent)

WANTED = os.environ.get("JAXDBG_FAULTS", "")
"""Which functions tests break: `all`, or of what files (`origins/,checks/judge`)."""


class Bug(Exception):
    """What a part that is broken raises."""


@contextlib.contextmanager
def _at_each_start(function: Callable[[CodeType], None]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, arg: object) -> None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            try:
                function(frame.f_code)
            except BaseException:
                # Python drops a trace function that raises; the next event brings it
                # back. Only for that, since a function for all events takes its time.
                sys.setprofile(trace_again)
                raise

    def trace_again(frame: FrameType, event: str, arg: object) -> None:
        sys.settrace(trace)
        sys.setprofile(before[1])

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])


def called_by(program: Callable[[], object]) -> dict[str, CodeType]:
    """The functions of jaxdbg that a program calls, by name, in the order of calls."""
    found: dict[str, CodeType] = {}

    def note(code: CodeType) -> None:
        found.setdefault(name_of(code), code)

    with _at_each_start(note):
        program()
    return found


@contextlib.contextmanager
def broken(code: CodeType, error: Callable[[], BaseException] = Bug) -> Iterator[None]:
    """While this is open, a function raises each time it is called."""

    def fault(started: CodeType) -> None:
        if started is code:
            raise error()

    with _at_each_start(fault):
        yield


def sample(names: Sequence[str], each: int, first: int = 0) -> list[str]:
    """Those of some functions that a test breaks: all of those that are wanted.

    Arguments:
        each: where none are, every so many.
        first: at which of them to begin.
    """
    if not WANTED:
        return list(names[first % each :: each])
    wanted = "" if WANTED == "all" else tuple(WANTED.split(","))
    return [name for name in names if name.startswith(wanted)]


@functools.cache
def name_of(code: CodeType) -> str:
    """`checks/judge.py:Judge.judged`."""
    file = Path(code.co_filename).relative_to(PACKAGE)
    return f"{file}:{code.co_qualname}"
