"""The variables of a running frame, read without a trace of it.

Before Python 3.13 `frame.f_locals` of a function writes into the one dict that
`locals()` returned there, has the frame keep it, with all that the function deletes
later, and has a debugger's trace function write it back. So the frame's reference to
that dict is put aside while the variables are read, where CPython's frames are laid out
as known. Elsewhere (a debug build of 3.11 or 3.12) they are read with these effects.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple


class _Layout(NamedTuple):
    """Offsets in what CPython runs of a frame, in bytes."""

    code: int
    globals: int
    locals: int
    frame: int


_LAYOUTS = {
    (3, 11): _Layout(code=32, globals=8, locals=24, frame=40),
    (3, 12): _Layout(code=0, globals=24, locals=40, frame=48),
}
"""Fixed since these versions were released, in `pycore_frame.h`."""

_RUNS, _WRITES_BACK = 24, 46
"""Offsets in a frame object: what runs, and whether a tracer writes the dict back."""


def variables_of(frame: FrameType) -> Mapping[str, Any]:
    """The local variables of a frame by name; the global ones of a module."""
    if sys.version_info >= (3, 13) or not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return frame.f_locals
    layout = _layout()
    return dict(frame.f_locals) if layout is None else _read_apart(frame, layout)


def _read_apart(frame: FrameType, layout: _Layout) -> Mapping[str, Any]:
    known = _pointer(_pointer(id(frame) + _RUNS).value + layout.locals)
    writes_back = ctypes.c_byte.from_address(id(frame) + _WRITES_BACK)
    before, wrote_back = known.value, writes_back.value
    try:
        known.value = None
        return frame.f_locals
    finally:
        made = known.value
        known.value, writes_back.value = before, wrote_back
        if made is not None:
            _let_go(made)


@functools.cache
def _layout() -> _Layout | None:
    """How frames are laid out here; None where that is not known."""
    debug_build = hasattr(sys, "gettotalrefcount")
    if sys.implementation.name != "cpython" or debug_build or sys.maxsize < 1 << 32:
        return None
    layout = _LAYOUTS.get(sys.version_info[:2])
    return layout if layout is not None and _fits(layout, sys._getframe()) else None


def _fits(layout: _Layout, frame: FrameType) -> bool:
    runs = _pointer(id(frame) + _RUNS).value
    return runs is not None and all(
        _pointer(runs + offset).value == id(value)
        for offset, value in (
            (layout.code, frame.f_code),
            (layout.globals, frame.f_globals),
            (layout.frame, frame),
        )
    )


def _let_go(address: int) -> None:
    ctypes.pythonapi.Py_DecRef(ctypes.c_void_p(address))


_pointer: Any = ctypes.c_void_p.from_address
