"""The user's frames while a function is traced, from inside out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.source_info import Frame, is_tracing
from jaxdbg.jax_internals.user_frames import outward, place_of


@dataclass(frozen=True, slots=True)
class TracedFrame:
    """A running frame of the user's.

    Attributes:
        frame: the frame itself; it lives no longer than the trace.
        code: what runs in it.
        place: the line and expression that run.
        globals: of its module.
        locals: by name, as they are now: most are tracers.
        is_beyond: whether a jaxpr is traced between it and the innermost frame. JAX
            may use this jaxpr again where other frames call for it.
    """

    frame: FrameType
    code: CodeType
    place: Frame
    globals: dict[str, Any]
    locals: Mapping[str, Any]
    is_beyond: bool


def traced_frames(frame: FrameType, root: CodeType) -> list[TracedFrame]:
    """The user's frames inside of a trace.

    Arguments:
        frame: from where to look, from inside out.
        root: code of the function that is traced first.
    """
    found = []
    is_beyond = False
    for one in outward(frame):
        if one.f_code is root:
            break
        is_beyond = is_beyond or is_tracing(one.f_code)
        if is_user_file(one.f_code.co_filename):
            found.append(_taken(one, is_beyond))
    return found


def _taken(frame: FrameType, is_beyond: bool) -> TracedFrame:
    return TracedFrame(
        frame,
        frame.f_code,
        place_of(frame),
        frame.f_globals,
        {name: v for name, v in variables_of(frame).items() if name.isidentifier()},
        is_beyond,
    )
