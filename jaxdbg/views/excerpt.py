"""Lines of the user's code, with the expression underlined."""

from __future__ import annotations

from jaxdbg.records import SourceFrame

MAX_LINES = 4
"""How many lines of one expression are shown."""

MAX_WIDTH = 100
"""A longer line of code is cut down to what is around the expression."""


def excerpt(frame: SourceFrame | None) -> list[str]:
    """The lines of a frame, the expression underlined by `^`, without indent."""
    if frame is None or not frame.code:
        return []
    lines = frame.code.splitlines()
    margin = min((_margin(x) for x in lines if x.strip()), default=0)
    shown = [line[margin:].rstrip() for line in lines]
    if not frame.end_line:
        return _cut(shown)
    if len(lines) > 1:
        return _cut(shown)  # all of it is the expression
    start, end = frame.column - margin, frame.end_column - margin
    if not 0 <= start < end <= len(shown[0]):
        return shown
    line, start, end = _window(shown[0], start, end)
    return [line, " " * start + "^" * (end - start)]


def _window(line: str, start: int, end: int) -> tuple[str, int, int]:
    """A long line cut down to what is around the expression."""
    if len(line) <= MAX_WIDTH:
        return line, start, end
    left = max(0, min(start - 16, len(line) - MAX_WIDTH))
    right = min(len(line), max(left + MAX_WIDTH, end))
    before, after = "… " * (left > 0), " …" * (right < len(line))
    shift = len(before) - left
    return before + line[left:right] + after, start + shift, end + shift


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _cut(lines: list[str]) -> list[str]:
    return [*lines[:MAX_LINES], "..."] if len(lines) > MAX_LINES else lines
