"""The lines of source code that an equation comes from: the user's, and a library's."""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Iterable, Iterator
from typing import Any

from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.names import is_jax_file
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.records.source import SourceFrame, cell_number, path_in_packages

MAX_LINES = 12
"""Of a longer expression only the first line is shown."""


def frames_outward(eqns: Iterable[Any]) -> Iterator[Frame]:
    """Frames of an equation and of those around it, from inside out.

    Arguments:
        eqns: the equation, and those it is inside of, from inside out. A jitted helper
            of a library has no frame of its caller, but the equation that calls it has.
    """
    for eqn in eqns:
        yield from source_info.frames(eqn)


def users(frames: Iterable[Frame]) -> SourceFrame | None:
    """The innermost of the frames that is the user's."""
    return next((source_frame(f) for f in frames if is_user_file(f.file)), None)


def called(frames: Iterable[Frame]) -> frozenset[str]:
    """The names of the functions of libraries that run below the user's line."""
    inside = itertools.takewhile(lambda f: not is_user_file(f.file), frames)
    return public_names(f.function.rpartition(".")[2] for f in inside)


def public_names(functions: Iterable[str]) -> frozenset[str]:
    """What functions are called by who uses them: `std` is written in `_std`."""
    return frozenset(name for f in functions for name in (f, f.lstrip("_")))


def librarys(frames: Iterable[Frame]) -> SourceFrame | None:
    """The library's line below the user's, where there is one worth reading.

    A frame of flax, optax or another installed package comes before one of
    `jax.numpy`, and of several the innermost counts.
    """
    composed = None
    for frame in frames:
        if is_user_file(frame.file):
            break
        if path_in_packages(frame.file) and not is_jax_file(frame.file):
            return source_frame(frame)
        if composed is None and source_info.is_composed(frame.file):
            composed = frame
    return source_frame(composed) if composed else None


def source_frame(frame: Frame) -> SourceFrame:
    """A frame with its text, its columns in characters."""
    last = frame.end_line if frame.end_line >= frame.line else frame.line
    whole = last - frame.line < MAX_LINES
    if not whole:
        last = frame.line
    lines = [linecache.getline(frame.file, n) for n in range(frame.line, last + 1)]
    known = whole and frame.end_column > 0 and all(lines)
    return SourceFrame(
        file=frame.file,
        line=frame.line,
        function=frame.function,
        code="".join(lines).rstrip("\n"),
        cell=cell_number(frame.file),
        column=_characters(lines[0], frame.column) if known else 0,
        end_line=last if known else 0,
        end_column=_characters(lines[-1], frame.end_column) if known else 0,
    )


def _characters(line: str, column: int) -> int:
    return len(line.encode()[:column].decode(errors="ignore"))


def expression_text(source: SourceFrame) -> str:
    """The text of the exact expression; empty where only the line is known."""
    lines = source.code.splitlines()
    if not source.end_line or not lines:
        return ""
    lines[-1] = lines[-1][: source.end_column]
    lines[0] = lines[0][source.column :]
    return "\n".join(lines)


def is_of_jax(source: SourceFrame) -> bool:
    """Whether a line is one of JAX itself."""
    return is_jax_file(source.file)
