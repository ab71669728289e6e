"""The values of markers in one evaluation of a call that nothing is known of before.

What no wanted marker needs is not evaluated, and of loops only those are stepped that
hold one. What Python on the host would return is not known, nor what depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.jaxprs.effects import gets_values_back, without_callbacks
from jaxdbg.jax_internals.jaxprs.evaluate import Frame, Visitor, bind_equation
from jaxdbg.jax_internals.jaxprs.forms import out_avals
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Cond,
    HigherOrder,
    Loop,
    Sharded,
    Solve,
    bodies,
    structure,
)
from jaxdbg.jax_internals.jaxprs.value_markers import (
    has_markers,
    marker_of,
    without_markers,
)
from jaxdbg.origins.frames.peeked_call import PeekedCall
from jaxdbg.origins.search.evaluations import Replay, numpy_evaluators
from jaxdbg.origins.search.numpy_rules import NumpyEvaluator
from jaxdbg.origins.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

UNKNOWN: Final = object()
"""A value that is not known."""

Place = tuple[tuple[int, int], ...]
"""Where in a jaxpr a marker is: see `Frame.path`; the index of the marker follows."""


@dataclass(frozen=True, slots=True)
class Met:
    """A marker that was met in an evaluation.

    Attributes:
        key: of the marker.
        value: the array.
        dims: the axes that vmap has put into it, the innermost vmap first.
        place: where in the jaxpr the marker is.
        loop: the kind, the row and the length of each loop around it.
        branches: how many conds are around it.
        is_recomputed: whether it is in what remat evaluates once more.
    """

    key: int
    value: Any
    dims: tuple[int | None, ...]
    place: Place
    loop: tuple[tuple[str, int, int | None], ...]
    branches: int
    is_recomputed: bool


def evaluate_markers(
    call: PeekedCall,
    wanted: Collection[int],
    note: Callable[[Met], None],
    time_limit: TimeLimit,
) -> None:
    """Evaluates a call as far as some markers need it.

    Arguments:
        call: which.
        wanted: keys of the markers.
        note: called with each of these that is met.
        time_limit: how long this may take.

    Raises:
        OutOfTime: it took longer.
    """
    replay = Replay(call.jaxpr, call.args, (), time_limit)
    numpy = numpy_evaluators(replay)[0]
    visitor = _Markers(frozenset(wanted), note, time_limit, numpy)
    frame = Frame(call.jaxpr)
    visitor.run(frame, call.args, [False] * len(frame.body.outvars))


class _Markers(Visitor[Any]):
    def __init__(
        self,
        wanted: frozenset[int],
        note: Callable[[Met], None],
        time_limit: TimeLimit,
        numpy: NumpyEvaluator | None,
    ):
        self._wanted = wanted
        self._note = note
        self._time_limit = time_limit
        self._numpy = numpy
        self._needed: dict[int, tuple[JaxprEqn, bool]] = {}
        self._unknown: dict[int, tuple[JaxprEqn, bool]] = {}

    def always(self, eqn: JaxprEqn) -> bool:
        known, needed = self._needed.get(id(eqn), (None, False))
        if known is not eqn:
            needed = has_markers(eqn) and self._has_wanted(eqn)
            self._needed[id(eqn)] = eqn, needed
        return needed

    def _has_wanted(self, eqn: JaxprEqn) -> bool:
        marker = marker_of(eqn)
        if marker is not None:
            return marker.key in self._wanted
        inner = structure(eqn)
        if inner is None or not _is_looked_into(inner):
            return False
        return any(self.always(e) for b in bodies(eqn) for e in b.jaxpr.eqns)

    def enters(self, frame: Frame, n: int, inner: HigherOrder) -> bool:
        if not _is_looked_into(inner):
            return False
        return not isinstance(inner, Loop) or self.always(frame.eqns[n])

    def equation(
        self, frame: Frame, n: int, ins: list[Any], wanted: Sequence[bool] | None
    ) -> list[Any]:
        self._time_limit.tick()
        eqn = frame.eqns[n]
        marker = marker_of(eqn)
        if marker is None:
            if self._is_unknown(eqn, ins):
                return [UNKNOWN] * len(eqn.outvars)
            return super().equation(frame, n, ins, wanted)
        if ins[0] is not UNKNOWN:
            place = (*frame.path, (n, 0))
            loop, branches = _loops(frame), len(frame.branches)
            again = any(map(_recomputes, frame.outer))
            at = place, loop, branches, again
            value = _typed(ins[0], eqn.invars[0])
            self._note(Met(marker.key, value, marker.dims, *at))
        return []

    def _is_unknown(self, eqn: JaxprEqn, ins: list[Any]) -> bool:
        """Whether the results of an equation are not known, one and all."""
        inner = structure(eqn)
        is_whole = (
            inner is None or isinstance(inner, Loop) or not _is_looked_into(inner)
        )
        if isinstance(inner, Cond) and ins[0] is UNKNOWN:
            return True
        if not is_whole:
            return False
        return any(v is UNKNOWN for v in ins) or self._gets_values_back(eqn)

    def _gets_values_back(self, eqn: JaxprEqn) -> bool:
        known, unknown = self._unknown.get(id(eqn), (None, False))
        if known is not eqn:
            unknown = gets_values_back(eqn)
            self._unknown[id(eqn)] = eqn, unknown
        return unknown

    def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
        eqn = without_markers(frame.eqns[n])
        outs = self._numpy.evaluate(eqn, ins) if self._numpy else None
        return bind_equation(without_callbacks(eqn), ins) if outs is None else outs


def _typed(value: Any, operand: Any) -> Any:
    """A value with the type of its operand: a literal may be a number of Python's."""
    return value if hasattr(value, "dtype") else np.asarray(value, operand.aval.dtype)


def _is_looked_into(inner: HigherOrder) -> bool:
    """Whether the values in the bodies of an equation are values of the function's.

    Under vmap a while runs until the last row is done; what it computes for the others
    in the meantime is none of theirs.
    """
    if isinstance(inner, Solve | Sharded):
        return False
    test = inner.test if isinstance(inner, Loop) else None
    return test is None or not out_avals(test.jaxpr)[0].shape


def _loops(frame: Frame) -> tuple[tuple[str, int, int | None], ...]:
    """The loops around a body, each of the kind that the user wrote."""
    loops = [e for e in frame.outer if isinstance(structure(e), Loop)]
    return tuple(
        (source_info.loop_function(eqn) or kind, row, length)
        for eqn, (kind, row, length) in zip(loops, frame.loop, strict=True)
    )


def _recomputes(eqn: JaxprEqn) -> bool:
    return bool(eqn.params.get("differentiated"))
