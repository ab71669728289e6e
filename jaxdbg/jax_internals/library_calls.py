"""The user's call of a library, of which an eager operation is a part.

What the operation gives may be thrown away inside of the library. Where it is returned
straight to the user's line (`jnp.sum`, `x / y`) there is no inside.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from types import FrameType

from jaxdbg.jax_internals.functions import is_between, is_user_file
from jaxdbg.jax_internals.names import is_jax_file
from jaxdbg.jax_internals.source_info import Frame, is_composed
from jaxdbg.jax_internals.user_frames import outward, user_frame

Position = tuple[int, int]
"""A running frame of the user's, by id, and the instruction it is at. It changes when
the call that runs there has returned."""

_RETURN = dis.opmap["RETURN_VALUE"]

_BACKWARD = "backward_pass"
"""How the functions of JAX begin that run an eager backward pass, where much is made
that nobody asked for."""


@dataclass(frozen=True, slots=True)
class LibraryCall:
    """A call of a library in the user's code.

    Attributes:
        position: where it runs.
        outer: the same; in a function that JAX differentiates, where the user's code
            has called JAX, which holds what is made inside until that call returns.
        line: the user's expression.
        returns: whether it returns what runs now, and does no more with it.
    """

    position: Position
    outer: Position
    line: Frame
    returns: bool


def library_call(frame: FrameType) -> LibraryCall | None:
    """The user's call of a library that an operation is a part of.

    None where there is none, or where all of it is one function of JAX that returns the
    result straight to the user.
    """
    user = (f for f in outward(frame) if is_user_file(f.f_code.co_filename))
    innermost, line = next(user, None), user_frame(frame)
    if innermost is None or line is None:
        return None
    below = list(takewhile(lambda f: f is not innermost, outward(frame)))
    has_more = any(map(_has_more_to_do, below))
    if not has_more and all(is_between(f.f_code.co_filename) for f in below):
        return None
    outer = _differentiates(innermost)
    return LibraryCall(_position(innermost), _position(outer), line, not has_more)


def _differentiates(frame: FrameType) -> FrameType:
    """The outermost frame of the user's with JAX between it and this one."""
    found, between = frame, False
    for outer in outward(frame):
        between = between or is_jax_file(outer.f_code.co_filename)
        if between and is_user_file(outer.f_code.co_filename):
            found, between = outer, False
    return found


def positions(frame: FrameType | None) -> Iterator[Position]:
    """Where the user's frames are, from inside out."""
    return (_position(f) for f in outward(frame) if is_user_file(f.f_code.co_filename))


def _position(frame: FrameType) -> Position:
    return id(frame), frame.f_lasti


def _has_more_to_do(frame: FrameType) -> bool:
    code = frame.f_code
    if code.co_name.startswith(_BACKWARD):
        return True
    return not _passes_on(code.co_filename) and not _returns_next(frame)


def _passes_on(file: str) -> bool:
    """Whether code of a file only brings a call from a function to its operation."""
    return is_between(file) and not is_composed(file)


def _returns_next(frame: FrameType) -> bool:
    """Whether a frame returns what it has called, and does nothing else."""
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while at < len(code) and code[at] == 0:  # caches
        at += 2
    return at < len(code) and code[at] == _RETURN
