"""Faults in jaxdbg itself: a function of it that raises each time it is called.

By a trace function, so that nothing is patched: a function that others have imported by
name, a method and a closure raise alike.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType

import jaxdbg

PACKAGE = str(Path(jaxdbg.__file__).parent)


class Bug(Exception):
    """What a part that is broken raises."""


@contextlib.contextmanager
def _at_each_start(function: Callable[[CodeType], None]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, arg: object) -> None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            function(frame.f_code)

    def profile(frame: FrameType, event: str, arg: object) -> None:
        # Python drops a trace function that raises; the next event brings it back.
        if sys.gettrace() is not trace:
            sys.settrace(trace)

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
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


@functools.cache
def name_of(code: CodeType) -> str:
    """`checks/judge.py:Judge.judged`."""
    file = Path(code.co_filename).relative_to(PACKAGE)
    return f"{file}:{code.co_qualname}"
