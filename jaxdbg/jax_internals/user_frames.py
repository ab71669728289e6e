"""The user's frames on the Python stack: lines, and what their names stand for."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any

from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.records.source import SourceFrame, cell_number, source_line


def outward(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and its callers, from inside out."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def functions_below(frame: FrameType | None) -> tuple[str, ...]:
    """Names of the libraries' functions that run below the user's, from inside out."""
    below = itertools.takewhile(lambda f: not _is_users(f), outward(frame))
    return tuple(f.f_code.co_name for f in below)


def user_frame(frame: FrameType | None) -> Frame | None:
    """The innermost frame of the user's, with the expression that runs in it.

    Arguments:
        frame: where to begin to look, from inside out.
    """
    found = next((f for f in outward(frame) if _is_users(f)), None)
    return None if found is None else place_of(found)


def place_of(frame: FrameType) -> Frame:
    """A running frame, with the expression that runs in it."""
    code = frame.f_code
    return Frame(code.co_filename, code.co_qualname, *_position(frame))


def source_frame(frame: FrameType) -> SourceFrame:
    """The line of source code that runs in a frame."""
    code, file = frame.f_code, frame.f_code.co_filename
    line, column, end_line, end_column = _position(frame)
    return SourceFrame(
        file=file,
        line=line,
        function=code.co_qualname,
        code=source_line(file, line),
        cell=cell_number(file),
        column=column,
        end_line=end_line,
        end_column=end_column,
    )


def _is_users(frame: FrameType) -> bool:
    return is_user_file(frame.f_code.co_filename)


def _position(frame: FrameType) -> tuple[int, int, int, int]:
    """First line, column, last line and end column of what runs; 0 for unknown."""
    positions = frame.f_code.co_positions()
    at = next(itertools.islice(positions, frame.f_lasti // 2, None), None)
    line, end_line, column, end_column = (n or 0 for n in at or (0, 0, 0, 0))
    return line or frame.f_lineno or 0, column, end_line, end_column


# -- what the user's names stand for -------------------------------------------------


def user_namespaces(frame: FrameType | None) -> list[Mapping[str, object]]:
    """What the user's running frames can name, the innermost frame first."""
    namespaces: list[Mapping[str, object]] = []
    for one in outward(frame):
        if _is_users(one):
            namespaces += _namespaces_of(one, namespaces)
    return namespaces


def _namespaces_of(
    frame: FrameType, known: Sequence[Mapping[str, object]] = ()
) -> list[Mapping[str, object]]:
    """The local and the global names of a frame, without globals that are known."""
    found: list[Mapping[str, object]] = []
    local = variables_of(frame)
    if local is not frame.f_globals:
        found.append(_own_names(frame.f_code, local))
    if not any(frame.f_globals is k for k in known):
        found.append(frame.f_globals)
    return found


def local_names(frame: FrameType) -> Mapping[str, Any]:
    """The local names of a frame; the global ones for a module."""
    return variables_of(frame)


def _own_names(code: CodeType, local: Mapping[str, Any]) -> dict[str, object]:
    flags = (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)
    stars = sum(bool(code.co_flags & flag) for flag in flags)
    first = code.co_argcount + code.co_kwonlyargcount
    # A wrapper's `args[0]` has a better name where the wrapper was called.
    passed_on = code.co_varnames[first : first + stars]
    return {k: v for k, v in local.items() if k not in passed_on}
