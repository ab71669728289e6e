"""The user's frames inside a call as plain records."""

from __future__ import annotations

import reprlib
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxdbg.origins import numbers, operands
from jaxdbg.origins.frames.inside import Inside, InsideFrame
from jaxdbg.origins.location.source_lines import source_frame
from jaxdbg.records import CallFrame, LocalValue, Origin

MOST_VALUES = 200
"""Variables of a frame that are described."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SAID: Any = (bool, int, float, complex, str, type(None))


def described(origin: Origin, inside: Inside) -> Origin:
    """An origin with the frames inside the call."""
    frames = tuple(map(_frame, inside.frames))
    return replace(origin, frames=frames, frames_note="; ".join(inside.notes))


def _frame(frame: InsideFrame) -> CallFrame:
    names = list(frame.locals)
    values = tuple(_value(n, frame) for n in names[:MOST_VALUES])
    left_out = (*frame.left_out, *names[MOST_VALUES:])
    return CallFrame(source_frame(frame.place), values, left_out)


def _value(name: str, frame: InsideFrame) -> LocalValue:
    value = frame.locals[name]
    kind = type(value).__name__
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        array = numbers.host(value)
        if array is not None:
            element = () if array.ndim == 0 else None
            stats = operands.stats(array, element, name, dtype=str(value.dtype))
            axes = frame.batch_axes.get(name, ())
            return LocalValue(name, kind, array=stats, batch_axes=axes)
    text = _SHORT.repr(value) if isinstance(value, _SAID) else ""
    return LocalValue(name, kind, text)
