"""The user's frames at some equations, with what their variables held, as snapshots.

The function is traced once more. Where it binds what is asked for, each tracer that the
frames hold is marked; the values are those of the markers when the jaxpr is evaluated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.binds import Binds
from jaxdbg.jax_internals.jaxprs.value_markers import is_value, mark
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.jax_internals.traced_frames import TracedFrame, traced_frames
from jaxdbg.trees.snapshot import Snapshot, snapshots

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr
    from jaxdbg.origins.location.trace_afresh import FreshTrace


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A frame of the user's at an equation.

    Attributes:
        activation: number of the call of its function; the same for the same frame.
        code: what runs in it.
        place: the line and expression that run.
        globals: of its module.
        locals: its variables.
        is_beyond: see `TracedFrame`.
    """

    activation: int
    code: CodeType
    place: Frame
    globals: dict[str, Any]
    locals: Mapping[str, Snapshot]
    is_beyond: bool


@dataclass(frozen=True, slots=True)
class Captured:
    """A function traced again, with the frames at some of its equations.

    Attributes:
        jaxpr: closed, with markers.
        binds: what it bound, in order.
        frames: by the number of an equation, the frames at it, from inside out.
    """

    jaxpr: ClosedJaxpr
    binds: Binds
    frames: Mapping[int, list[CapturedFrame]]


def captured(trace: FreshTrace, wanted: Collection[int]) -> Captured:
    """Traces a function once more, for its frames.

    Arguments:
        trace: the function, traced afresh.
        wanted: the numbers of equations in that trace.
    """
    capture = _Capture()
    binds = Binds(wanted, capture.at)
    new = trace.again(binds)
    return Captured(new.jaxpr, binds, capture.frames)


class _Capture:
    """Takes frames while a function is traced."""

    def __init__(self) -> None:
        self.frames: dict[int, list[CapturedFrame]] = {}
        self._next_key = 0
        self._activations: dict[FrameType, int] = {}

    def at(self, number: int, frame: FrameType, root: CodeType) -> None:
        keys: dict[int, int | None] = {}

        def key_of(tracer: Any) -> int | None:
            if id(tracer) not in keys:
                keys[id(tracer)] = self._marked(tracer)
            return keys[id(tracer)]

        frames = traced_frames(frame, root)
        self.frames[number] = [self._captured(f, key_of) for f in frames]

    def _captured(self, frame: TracedFrame, key_of: Any) -> CapturedFrame:
        number = self._activations.setdefault(frame.frame, len(self._activations))
        return CapturedFrame(
            number,
            frame.code,
            frame.place,
            frame.globals,
            snapshots(frame.locals, key_of),
            frame.is_beyond,
        )

    def _marked(self, tracer: Any) -> int | None:
        """The key of a tracer; None where it stands for no array, or is of the past."""
        if not is_value(tracer):
            return None
        self._next_key += 1
        try:
            mark(tracer, self._next_key)
        except Exception:
            return None  # its trace is over: the user has kept it from elsewhere
        return self._next_key
