"""The values of markers in the evaluation of a call, up to one operation of it.

The operation is the one that the search has found: bound at the same place, in the same
step of the same loops, with the same operands bit by bit. Where none is, the evaluation
is not that of the search, and nothing of it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxdbg.jax_internals.arrays import Host
from jaxdbg.jax_internals.jaxprs.evaluate import Order, is_key
from jaxdbg.jax_internals.jaxprs.higher_order import Sharded, bodies, structure
from jaxdbg.jax_internals.jaxprs.value_markers import has_markers, marker_of
from jaxdbg.origins.search.evaluate import LoopStep, Recorder, Run, Value
from jaxdbg.origins.search.evaluations import Replay, numpy_evaluators

if TYPE_CHECKING:
    from jaxdbg.jax_internals.binds import Binds
    from jaxdbg.jax_internals.types import JaxprEqn
    from jaxdbg.origins.found import Birth


@dataclass(frozen=True, slots=True)
class Target:
    """The operation to stop at.

    Attributes:
        birth: it, with its operands, from the search.
        numbers: where it was bound, and the equations around it, from inside out.
    """

    birth: Birth
    numbers: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A value of a marker.

    Attributes:
        value: the array.
        dims: the axes that vmap has put into it, the innermost first; none inside of
            `shard_map`.
        loop: the steps of the loops around the marker.
        order: of the body that it is in.
        place: which marker of those with this key.
    """

    value: Any
    dims: tuple[int | None, ...]
    loop: tuple[LoopStep, ...]
    order: Order
    place: tuple[Any, ...]


@dataclass(slots=True)
class Values:
    """What the markers were up to the target.

    Attributes:
        order: of the body that the target is in.
        loop: the steps of the loops around it.
        seen: by key; in the order of evaluation.
    """

    order: Order = ()
    loop: tuple[LoopStep, ...] = ()
    seen: dict[int, list[Seen]] = field(default_factory=dict)

    def of(self, key: int) -> Seen | None:
        """The value of a marker at the target; None where it is not certain.

        That of the same step of the loops around the target. Where the target is of the
        backward pass, the function that holds the marker may have run more than once:
        then all values must be the same.
        """
        matching = [
            s for s in self.seen.get(key, ()) if s.loop == self.loop[: len(s.loop)]
        ]
        around = [s for s in matching if s.order == self.order[: len(s.order)]]
        if around:
            return around[-1]
        if not matching or any(not same(s.value, matching[0].value) for s in matching):
            return None
        return matching[0]

    def places(self, keys: Sequence[int]) -> int:
        """In how many places markers of some keys were met, the most for one key."""
        return max(
            (len({s.place for s in self.seen.get(k, ())}) for k in keys), default=0
        )


class _Reached(Exception):
    """The target is about to be evaluated."""


class _RecorderOfMarkers(Recorder):
    """Evaluates what markers need, up to a target."""

    def __init__(self, target: Target, binds: Binds, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._target = target
        self._binds = binds
        self.values = Values(loop=target.birth.site.loop)
        self._needed: dict[int, tuple[JaxprEqn, bool]] = {}

    def always(self, eqn: JaxprEqn) -> bool:
        known, needed = self._needed.get(id(eqn), (None, False))
        if known is not eqn:
            needed = self._has_target(eqn) or has_markers(eqn)
            self._needed[id(eqn)] = eqn, needed
        return needed

    def _has_target(self, eqn: JaxprEqn) -> bool:
        return self._is_bound_there(eqn) or any(
            self._has_target(e) for b in bodies(eqn) for e in b.jaxpr.eqns
        )

    def _is_bound_there(self, eqn: JaxprEqn) -> bool:
        site = self._target.birth.site
        return (
            eqn.primitive.name == site.eqn.primitive.name
            and self._binds.number(eqn) == self._target.numbers[0]
        )

    def equation(
        self, frame: Run, n: int, ins: list[Value], wanted: Sequence[bool] | None
    ) -> list[Value]:
        eqn = frame.eqns[n]
        marker = marker_of(eqn)
        if marker is not None:
            (value,) = ins
            place = (*frame.path, n)
            loop = frame.site(n).loop
            dims = () if _is_on_a_mesh(frame) else marker.dims
            seen = Seen(value.array, dims, loop, frame.order, place)
            self._note(marker.key, seen)
            return []
        if self._is_bound_there(eqn) and self._is_target(frame, n, ins):
            self.values.order = frame.order
            raise _Reached
        return super().equation(frame, n, ins, wanted)

    def _note(self, key: int, seen: Seen) -> None:
        if seen.loop == self.values.loop[: len(seen.loop)]:
            self.values.seen.setdefault(key, []).append(seen)

    def _is_target(self, frame: Run, n: int, ins: list[Value]) -> bool:
        birth, numbers = self._target.birth, self._target.numbers
        site = frame.site(n)
        around = tuple(self._binds.number(e) for e in reversed(frame.outer))
        return (
            site.loop == birth.site.loop
            and site.branches == birth.site.branches
            and around == numbers[1:]
            and len(ins) == len(birth.operands)
            and all(
                same(v.array, known)
                for v, known in zip(ins, birth.operands, strict=True)
            )
        )


def _is_on_a_mesh(frame: Run) -> bool:
    """Whether vmap evaluates the devices of a mesh: its axes are not the user's."""
    return any(isinstance(structure(eqn), Sharded) for eqn in frame.outer)


def values_at(call: Replay, target: Target, binds: Binds) -> Values | None:
    """What the markers of a call are where it evaluates an operation.

    Arguments:
        call: with markers.
        target: the operation.
        binds: of the trace that its jaxpr is from.

    Returns:
        None where no operation is the target.

    Raises:
        OutOfTime: the time is up.
    """
    for numpy in numpy_evaluators(call):
        recorder = _RecorderOfMarkers(target, binds, call.time_limit, numpy=numpy)
        try:
            recorder.record(Run(call.jaxpr), call.args, call.outputs)
        except _Reached:
            return recorder.values
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two arrays are the same, bit by bit."""
    if one is other:
        return True
    a, b = _plain(one), _plain(other)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _plain(value: Any) -> Host:
    if isinstance(value, jax.Array) and is_key(value):
        value = jax.random.key_data(value)
    return np.asarray(value)
