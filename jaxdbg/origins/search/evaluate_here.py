"""The evaluation of a call in several processes with the shards of this one alone.

Such a call cannot be run again: that is for all processes, or for none. But its
operations are known, and what they make of the shards that are here can be computed
here, on one device and without the others. So arrays have their global shapes, and
beside each stands which of its elements are not known. An element is known if all that
it is made from is: it is then the one that the call has, up to rounding. Of one that is
not known nothing is said, except that a NaN which is part of a sum makes the sum NaN,
whatever the other parts are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from jaxdbg.errors import NotOffered
from jaxdbg.jax_internals.arrays import REF, spans_processes
from jaxdbg.jax_internals.jaxprs.evaluate import Order, Wanted
from jaxdbg.jax_internals.jaxprs.higher_order import Cond, Loop
from jaxdbg.jax_internals.jaxprs.in_several import is_written_for_several
from jaxdbg.jax_internals.jaxprs.pallas import is_interpreted
from jaxdbg.jax_internals.primitives import PLACES
from jaxdbg.origins.bad_elements import GOOD, NAN, Mask, codes_of
from jaxdbg.origins.search.dependence import absorbs, has_part
from jaxdbg.origins.search.evaluate import Recorder, Run, Value, on_host
from jaxdbg.origins.search.evaluations import Evaluated
from jaxdbg.origins.search.follow_back import BornElements
from jaxdbg.origins.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn
    from jaxdbg.origins.found import Birth

MAX_BYTES = 2**29
"""Of the arrays that are in several processes, as a whole."""

TOO_LARGE = "it ran in several processes, and is too large to be evaluated in one"
EXPLICIT = "it ran in several processes, and its mesh has explicit axes"
PLACED = "it ran in several processes, and `{}` in it is written for all of them"
OF_A_REF = "it ran in several processes, and a Ref in it is not followed there"
OF_KEYS = "it ran in several processes, and random keys in it are sharded"


@dataclass(slots=True)
class PartlyKnown(Value):
    """An array of which some elements are not known in this process."""

    unknown: Mask | None = None


class _LengthUnknown(Exception):
    """How often a loop runs is not known."""


class RecorderHere(Recorder):
    """Records what was non-finite among the elements that are known.

    Attributes:
        unknown: by the order of an equation, what is not known of its operands.
    """

    def __init__(self, time_limit: TimeLimit, **options: Any):
        super().__init__(time_limit, **options)
        self.unknown: dict[Order, list[Mask | None]] = {}
        self._nbytes = 0

    # -- values ------------------------------------------------------------------------

    def lift(self, array: Any) -> PartlyKnown:
        if not spans_processes(array):
            is_array = isinstance(array, jax.Array) and not isinstance(array, REF)
            return self._value(on_host(array) if is_array else array)
        if array.is_fully_replicated:
            return self._value(on_host(array.addressable_shards[0].data))
        return self._value(*self._here(array))

    def _here(self, array: Any) -> tuple[Any, Mask]:
        """A sharded array with the shards of this process, and what is missing."""
        self._nbytes += array.nbytes
        if self._nbytes > MAX_BYTES:
            raise NotOffered(TOO_LARGE)
        whole = _blank(array.shape, array.dtype)
        unknown = np.ones(array.shape, bool)
        for shard in array.addressable_shards:
            whole[shard.index] = np.asarray(shard.data)
            unknown[shard.index] = False
        return whole, unknown

    def _value(
        self, array: Any, unknown: Mask | None = None, sure: Mask | None = None
    ) -> PartlyKnown:
        """A value.

        Arguments:
            array: what it holds.
            unknown: the elements that are not known.
            sure: of these, those that are NaN for certain.
        """
        codes = codes_of(array)
        if unknown is None or not unknown.any():
            return PartlyKnown(array, codes)
        known = np.where(unknown, GOOD, 0 if codes is None else codes)
        if sure is not None:
            known = np.where(unknown & sure, NAN, known)
        some = known.astype(np.uint8) if known.any() else None
        return PartlyKnown(array, some, unknown)

    def rows(self, value: Value) -> Callable[[int], Value]:
        codes, unknown = value.codes, _unknown(value)
        if unknown is None:
            return super().rows(value)
        array = np.asarray(value.array)

        def row(i: int) -> PartlyKnown:
            return PartlyKnown(
                array[i], None if codes is None else codes[i], unknown[i]
            )

        return row

    def stacked(self, rows: Sequence[Value]) -> Value:
        whole = super().stacked(rows)
        if all(_unknown(row) is None for row in rows):
            return whole
        masks = [_or_none_of(_unknown(row), row, bool) for row in rows]
        codes = [_or_none_of(row.codes, row, np.uint8) for row in rows]
        return PartlyKnown(whole.array, np.stack(codes), np.stack(masks))

    # -- equations ---------------------------------------------------------------------

    def equation(
        self, frame: Run, n: int, ins: list[Value], wanted: Wanted
    ) -> list[Value]:
        eqn = frame.eqns[n]
        if is_interpreted(eqn) and _are_in_doubt(ins):
            return self._all_unknown(eqn)
        return super().equation(frame, n, ins, wanted)

    def cond(
        self, frame: Run, n: int, inner: Cond, ins: list[Value], wanted: Wanted
    ) -> list[Value]:
        if _unknown(ins[0]) is not None:
            return self._all_unknown(frame.eqns[n])
        return super().cond(frame, n, inner, ins, wanted)

    def loop(self, frame: Run, n: int, inner: Loop, ins: list[Value]) -> list[Value]:
        if not _are_in_doubt(ins):
            return super().loop(frame, n, inner, ins)
        try:
            return self.step_by_step(frame, n, inner, ins)
        except _LengthUnknown:
            frame.inner.pop(n, None)
            return self._all_unknown(frame.eqns[n])

    def running(self, test: Value) -> Any:
        if _unknown(test) is not None:
            raise _LengthUnknown
        return super().running(test)

    def carried(self, running: Any, new: list[Value], old: list[Value]) -> list[Value]:
        if running is not None and running.ndim and _are_in_doubt([*new, *old]):
            raise _LengthUnknown
        return super().carried(running, new, old)

    def results(self, frame: Run, n: int, ins: list[Value]) -> list[Value]:
        eqn = frame.eqns[n]
        if eqn.primitive.name in (*PLACES, "device_put"):
            return ins
        _refuse(eqn, ins)
        outs = super().results(frame, n, ins)
        if not _are_in_doubt(ins):
            return outs
        self.unknown[*frame.order, n] = list(map(_unknown, ins))
        return [self._result(eqn, ins, i, out) for i, out in enumerate(outs)]

    def _result(self, eqn: JaxprEqn, ins: list[Value], i: int, out: Value) -> Value:
        arrays, unknown = [v.array for v in ins], list(map(_unknown, ins))
        in_doubt = has_part(eqn, arrays, unknown, i)
        if in_doubt is None or not in_doubt.any():
            return out
        nans = [None if v.codes is None else v.codes == NAN for v in ins]
        sure = absorbs(eqn, arrays, nans, unknown, i)
        return self._value(out.array, in_doubt, sure)

    def _all_unknown(self, eqn: JaxprEqn) -> list[Value]:
        """Results of which nothing is known; nothing is computed for them."""
        avals: list[Any] = [v.aval for v in eqn.outvars]
        return [
            PartlyKnown(_blank(a.shape, a.dtype), None, np.ones(a.shape, bool))
            for a in avals
        ]


class EvaluatedHere(Evaluated):
    """A call in several processes, as far as the shards of this one say."""

    def _record(self, **options: Any) -> Run:
        call = self._call
        self._root = Run(call.jaxpr)
        self._recorder = RecorderHere(call.time_limit, **options)
        self._recorder.record(self._root, call.args, call.outputs)
        return self._root

    def birth(self, born: BornElements, element: tuple[int, ...]) -> Birth:
        birth = super().birth(born, element)
        unknown = self._recorder.unknown.get(born.order, ())
        return replace(birth, unknown=tuple(unknown))


def _unknown(value: Value) -> Mask | None:
    return value.unknown if isinstance(value, PartlyKnown) else None


def _are_in_doubt(values: Sequence[Value]) -> bool:
    """Whether something is not known of one of some values."""
    return any(_unknown(v) is not None for v in values)


def _or_none_of(marks: Any, row: Value, dtype: Any) -> Any:
    return np.zeros(np.shape(row.array), dtype) if marks is None else marks


def _blank(shape: tuple[int, ...], dtype: Any) -> Any:
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        raise NotOffered(OF_KEYS)
    return np.zeros(shape, dtype)


def _refuse(eqn: JaxprEqn, ins: Sequence[Value]) -> None:
    """Has no equation evaluated that this process could not evaluate alone."""
    if is_written_for_several(eqn):
        raise NotOffered(PLACED.format(eqn.primitive.name))
    if any(isinstance(v.array, REF) for v in ins):
        raise NotOffered(OF_A_REF)
    if any(map(_is_explicit, (*eqn.invars, *eqn.outvars))):
        raise NotOffered(EXPLICIT)


def _is_explicit(atom: Any) -> bool:
    mesh = getattr(getattr(atom.aval, "sharding", None), "mesh", None)
    return AxisType.Explicit in (getattr(mesh, "axis_types", None) or ())
