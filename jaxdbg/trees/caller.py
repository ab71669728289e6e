"""The source text of an argument, as the caller of a function of ours wrote it."""

from __future__ import annotations

import ast
import linecache
from itertools import islice
from types import FrameType

MAX_LENGTH = 60
"""Longest text that is still a name."""


def first_argument(frame: FrameType | None, parameter: str) -> str | None:
    """The source text of the first argument of the call that a frame is making.

    Arguments:
        frame: whose call it is.
        parameter: name of the parameter, for an argument passed by name.

    Returns:
        `model`, `state.params["net"]`, `nnx.state(model)`; None where there is no
        source, or where the argument is no path to which one would add steps.
    """
    try:
        source = _running_source(frame) if frame else ""
        call = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(call, ast.Call):
        return None
    named = [k.value for k in call.keywords if k.arg == parameter]
    argument = next(iter((*call.args, *named)), None)
    if argument is None or not _is_path(argument):
        return None
    text = ast.get_source_segment(source, argument) or ""
    text = ast.unparse(argument) if "\n" in text else text
    return text if 0 < len(text) <= MAX_LENGTH else None


def _is_path(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call)


def _running_source(frame: FrameType) -> str:
    """The text of the expression that a frame is evaluating."""
    code = frame.f_code
    where = next(islice(code.co_positions(), frame.f_lasti // 2, None))
    line, end_line, column, end_column = where
    if line is None or end_line is None or column is None or end_column is None:
        raise ValueError("compiled without columns")
    lines = linecache.getlines(code.co_filename, frame.f_globals)[line - 1 : end_line]
    encoded = [text.encode() for text in lines]  # columns count bytes
    if not encoded:
        raise ValueError("no source")
    encoded[-1] = encoded[-1][:end_column]
    encoded[0] = encoded[0][column:]
    return b"".join(encoded).decode().strip()
