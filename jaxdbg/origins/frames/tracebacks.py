"""A traceback of the user's frames inside a jitted call, for a debugger to stand in.

The frames that traced the function are gone, and held tracers. For each a code object
is made that does nothing but raise, at the line and with the name of the real one; the
frame that runs it has the globals of the real one, and its variables as they were.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from types import CodeType, FrameType, TracebackType

from jaxdbg.origins.frames.inside import InsideFrame

_RAISED = "__jaxdbg_raised__"


class _Raised(Exception):
    """Ends the code of a frame."""


def traceback_of(frames: Iterable[InsideFrame]) -> TracebackType | None:
    """The traceback of some frames.

    Arguments:
        frames: from outside in.
    """
    made: TracebackType | None = None
    for frame in reversed(list(frames)):
        tb = _ran(frame)
        made = TracebackType(made, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    return made


def _ran(frame: InsideFrame) -> TracebackType:
    """The traceback of a frame that has raised in its line."""
    names = dict(frame.locals)
    names[_RAISED] = _Raised
    try:
        exec(_code(frame), frame.globals, names)
    except _Raised as raised:
        here = raised.__traceback__
    del names[_RAISED]
    below = here.tb_next if here is not None else None
    assert below is not None  # its code does nothing but raise
    return below


def _code(frame: InsideFrame) -> CodeType:
    """Code that raises at the expression that runs in a frame."""
    code, place = frame.code, frame.place
    before = code.co_firstlineno - 1  # compiled alone it begins at line 1
    known = place.end_line >= place.line and place.end_column > 0
    where = {
        "lineno": max(place.line - before, 1),
        "col_offset": place.column if known else 0,
        "end_lineno": max((place.end_line if known else place.line) - before, 1),
        "end_col_offset": place.end_column if known else 0,
    }
    name = ast.Name(_RAISED, ast.Load(), **where)
    raising = ast.Module([ast.Raise(name, None, **where)], [])
    made: CodeType = compile(raising, code.co_filename, "exec", dont_inherit=True)
    return made.replace(
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
    )


def is_inside(frame: FrameType) -> bool:
    """Whether a frame is one of those that are made here."""
    return _RAISED in frame.f_code.co_names
