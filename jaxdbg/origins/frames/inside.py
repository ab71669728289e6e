"""The user's frames inside a jitted call where a value is born, with their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.jax_internals.jaxprs.higher_order import Sharded, structure
from jaxdbg.jax_internals.jaxprs.refs import without_refs
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.origins.frames.captured import Captured, CapturedFrame, captured
from jaxdbg.origins.frames.evaluated import Target, Values, values_at
from jaxdbg.origins.location.on_a_mesh import as_written
from jaxdbg.origins.location.same_program import equation_at
from jaxdbg.origins.location.trace_afresh import FreshTrace, NotTraced
from jaxdbg.origins.location.where import Context
from jaxdbg.origins.search.evaluations import Replay
from jaxdbg.origins.search.time_limit import OutOfTime, TimeLimit
from jaxdbg.trees.snapshot import Unfilled

if TYPE_CHECKING:
    from jaxdbg.origins.found import Birth

MOST_BYTES = 256_000_000
"""Bytes of values in the frames of one finding, beyond what the call was given."""

_USED_AGAIN = "frames around {function} are left out: it is traced once, and used again"
_OTHER = "evaluated once more, no operation has the operands that the search found"
MOST_SECONDS = 5.0
"""A function whose trace takes longer is not traced once more for its frames."""

_SLOW = "tracing {function} once more takes longer than {seconds:.0f} s"
_OF_DEVICES = "inside shard_map its operations take part with other devices"
_NOT_BOUND = "which Python frames bound the operation is not known"


class NotInside(Exception):
    """The frames of a birth cannot be given; says why."""


@dataclass(frozen=True, slots=True)
class InsideFrame:
    """A frame of the user's inside a jitted call.

    Attributes:
        code: what runs in it.
        place: the line and expression that run.
        globals: of its module.
        locals: its variables, with arrays where tracers were.
        batch_axes: by name of a variable that is an array, the axes that vmap has put
            into it.
        left_out: the variables whose values are not certain, or take too many bytes.
    """

    code: CodeType
    place: Frame
    globals: dict[str, Any]
    locals: Mapping[str, Any]
    batch_axes: Mapping[str, tuple[int, ...]]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """The user's frames where a value is born.

    Attributes:
        frames: from outside in; the last has the line of birth.
        notes: what is left out, and why.
    """

    frames: tuple[InsideFrame, ...]
    notes: tuple[str, ...] = ()


def inside(birth: Birth, context: Context, time_limit: TimeLimit) -> Inside:
    """The user's frames at a birth, from the same fresh trace as its location.

    Nothing of the user's is executed but the tracing of the function.

    Arguments:
        birth: the operation, as the search has found it.
        context: the call that it is in.
        time_limit: how long this may take.

    Raises:
        NotInside: they cannot be given; says why.
    """
    trace = context.afresh()
    if not isinstance(trace, FreshTrace):
        raise NotInside(str(trace))
    if trace.seconds > MOST_SECONDS:
        function = context.function
        raise NotInside(_SLOW.format(function=function, seconds=MOST_SECONDS))
    numbers = _numbers(birth, context, trace)
    wanted = [n for n in numbers if n is not None]
    try:
        again = captured(trace, wanted)
    except NotTraced as reason:
        raise NotInside(str(reason)) from None
    values = _values(birth, context, again, numbers, time_limit)
    chosen, notes = _frames(again, wanted, values)
    if not chosen:
        raise NotInside(_NOT_BOUND)
    with our_own_work():
        fill = _Fill(values, context.args)
        return Inside(tuple(map(fill.frame, chosen))[::-1], notes)


def _numbers(
    birth: Birth, context: Context, trace: FreshTrace
) -> tuple[int | None, ...]:
    """Where the operation and the equations around it were bound, from inside out."""
    new = without_refs(trace.jaxpr)
    found = equation_at(as_written(birth.site), context.evaluated, new)
    if found is None:
        raise NotInside("traced again it is another program")
    eqn, outer = found
    numbers = tuple(trace.binds.number(e) for e in (eqn, *reversed(outer)))
    if numbers[0] is None:
        raise NotInside(_NOT_BOUND)
    return numbers


def _values(
    birth: Birth,
    context: Context,
    again: Captured,
    numbers: tuple[int | None, ...],
    time_limit: TimeLimit,
) -> Values:
    jaxpr = without_refs(again.jaxpr)
    call = Replay(jaxpr, context.args, (), time_limit)
    try:
        values = values_at(call, Target(birth, numbers), again.binds)
    except OutOfTime as reason:
        raise NotInside(str(reason)) from None
    except ValueError:
        if not any(isinstance(structure(e), Sharded) for e in birth.site.outer):
            raise
        raise NotInside(_OF_DEVICES) from None
    if values is None:
        raise NotInside(_OTHER)
    return values


def _frames(
    again: Captured, numbers: Sequence[int], values: Values
) -> tuple[list[CapturedFrame], tuple[str, ...]]:
    """The frames that are known to be those of the operation, from inside out.

    At each equation around it the frames are those up to where its jaxpr was traced.
    What is beyond for the outermost one was inlined; if that was done only once, the
    frames that called for it are those that were there when it was traced.
    """
    found: list[CapturedFrame] = []
    beyond: list[CapturedFrame] = []
    known: set[int] = set()
    for number in numbers:
        at = [f for f in again.frames.get(number, ()) if f.activation not in known]
        near = [f for f in at if not f.is_beyond]
        beyond = [f for f in at if f.is_beyond]
        known.update(f.activation for f in near)
        found += near
    if not beyond:
        return found, ()
    if not found or values.places(_keys(found[-1:])) != 1:
        function = found[-1].place.function if found else "a function"
        return found, (_USED_AGAIN.format(function=function),)
    return [*found, *beyond], ()


def _keys(frames: Sequence[CapturedFrame]) -> list[int]:
    return [k for f in frames for s in f.locals.values() for k in s.keys]


@dataclass(slots=True)
class _Fill:
    """Puts arrays where the tracers were, innermost frame first."""

    values: Values
    args: Sequence[Any]
    arrays: dict[int, Any] = field(default_factory=dict)
    bytes_left: int = field(default_factory=lambda: MOST_BYTES)

    def frame(self, frame: CapturedFrame) -> InsideFrame:
        made: dict[int, Any] = {}
        filled: dict[str, Any] = {}
        axes: dict[str, tuple[int, ...]] = {}
        for name, snapshot in frame.locals.items():
            keys = snapshot.keys
            try:
                arrays = {key: self._array(key) for key in keys}
                filled[name] = snapshot.filled(arrays, made)
            except Unfilled:
                continue
            if isinstance(filled[name], jax.Array) and len(keys) == 1:
                axes[name] = self._batch_axes(*keys)
        left_out = tuple(n for n in frame.locals if n not in filled)
        return InsideFrame(
            frame.code, frame.place, frame.globals, filled, axes, left_out
        )

    def _array(self, key: int) -> Any:
        if key not in self.arrays:
            seen = self.values.of(key)
            if seen is None:
                raise Unfilled
            if not any(seen.value is a for a in self.args):
                self.bytes_left -= int(getattr(seen.value, "nbytes", 0))
            if self.bytes_left < 0:
                raise Unfilled
            self.arrays[key] = jnp.asarray(seen.value)
        return self.arrays[key]

    def _batch_axes(self, key: int) -> tuple[int, ...]:
        seen = self.values.of(key)
        return () if seen is None else axes_of_batch(seen.dims)


def axes_of_batch(dims: Sequence[int | None]) -> tuple[int, ...]:
    """The axes of an array that vmap has put in one after the other, as it is now."""
    axes: list[int] = []
    for dim in dims:
        if dim is not None:
            axes = [*(a + (a >= dim) for a in axes), dim]
    return tuple(sorted(axes))
