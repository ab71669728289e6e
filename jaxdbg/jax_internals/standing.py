"""Where the user's program stands while one of its calls is looked at."""

from __future__ import annotations

import itertools
from types import FrameType

from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.source_info import Frame


def functions_below(frame: FrameType | None) -> tuple[str, ...]:
    """Names of the libraries' functions that run below the user's, from inside out."""
    names = []
    while frame is not None and not is_user_file(frame.f_code.co_filename):
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return tuple(names)


def user_frame(frame: FrameType | None) -> Frame | None:
    """The innermost frame of the user's, with the expression that runs in it.

    Arguments:
        frame: where to begin to look, from inside out.
    """
    while frame is not None:
        code = frame.f_code
        if is_user_file(code.co_filename):
            at = next(itertools.islice(code.co_positions(), frame.f_lasti // 2, None))
            line, end_line, column, end_column = (n or 0 for n in at)
            return Frame(
                code.co_filename,
                code.co_qualname,
                line or frame.f_lineno,
                column,
                end_line,
                end_column,
            )
        frame = frame.f_back
    return None
