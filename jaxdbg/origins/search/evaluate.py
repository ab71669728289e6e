"""The second evaluation of a call, and what of it is recorded to follow values back.

One equation after the other is evaluated. Of finite values nothing is recorded. Of a
non-finite value its codes are, and where a kind of non-finite value is new the operands
of its equation, too: enough to follow it back, for about a byte per bad element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import REF, can_be_non_finite
from jaxdbg.jax_internals.jaxprs.effects import without_callbacks
from jaxdbg.jax_internals.jaxprs.evaluate import Frame, Order, Visitor, bind_equation
from jaxdbg.jax_internals.jaxprs.fori import loop_name
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Body,
    Call,
    HigherOrder,
    Loop,
    Sharded,
    count,
    structure,
)
from jaxdbg.jax_internals.jaxprs.pallas import grid, interpreted, is_interpreted
from jaxdbg.jax_internals.jaxprs.shard_map import unsharded
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.names import is_literal, is_write
from jaxdbg.jax_internals.primitives import PLACES
from jaxdbg.origins.bad_elements import Codes, codes_of, distinct
from jaxdbg.origins.search.numpy_rules import NumpyEvaluator
from jaxdbg.origins.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Atom, JaxprEqn, Var

MAX_STEPPED = 20_000
"""A loop of fewer equations in all is evaluated step by step at once; a longer one
first as a whole, and step by step only if a result of it is non-finite."""


LoopStep = tuple[str, int, int | None]
"""The kind of a loop, the step it is at, and how many there are if that is known."""


@dataclass(frozen=True, slots=True)
class Record:
    """What went into an equation, and what came out.

    Of operands only those of integers are there, unless `whole`.
    """

    operands: list[Any]
    codes: list[Codes | None]
    outs: list[Any]
    whole: bool


@dataclass(slots=True)
class Run(Frame):
    """One evaluation of one body.

    Attributes:
        bad: the codes of its variables that hold non-finite values.
        records: by the index of an equation with a non-finite result.
        inner: by the index of an equation, the runs of its body.
    """

    bad: dict[Var, Codes] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)
    inner: dict[int, Inner] = field(default_factory=dict)

    def site(self, n: int) -> Site:
        """Where the equation of this index is."""
        path = (*self.path, (n, 0))
        loops = tuple(self._loops())
        return Site(self.eqns[n], self.outer, path, loops, self.branches)

    def _loops(self) -> Iterator[LoopStep]:
        """The loops around it, each of the kind that the user wrote."""
        steps = iter(self.loop)
        size: int | None = None
        for eqn in self.outer:
            if is_interpreted(eqn):
                size = math.prod(grid(eqn))
            elif isinstance(structure(eqn), Loop):
                kind, step, length = next(steps)
                if size is None:
                    yield loop_name(eqn, kind), step, length
                elif size > 1:
                    yield "grid", step, size
                size = None

    def codes(self, atom: Atom) -> Codes | None:
        """The codes of an operand or result."""
        return codes_of(atom.val) if is_literal(atom) else self.bad.get(atom)


@dataclass(frozen=True, slots=True)
class Inner:
    """The runs of the body of one equation, in the order they ran.

    Attributes:
        structure: of the equation, as it was evaluated.
        runs: without those of a loop's test.
    """

    structure: HigherOrder
    runs: list[Run] = field(default_factory=list)


@dataclass(slots=True)
class Value:
    """An array, and the codes of its elements."""

    array: Any
    codes: Codes | None


class Recorder(Visitor[Value]):
    """Evaluates jaxprs, and records what was non-finite.

    Arguments:
        time_limit: how long this may take.
        keep: orders of equations whose operands are to be recorded in any case.
        on_non_finite: called after each equation with a non-finite result.
        step_all: go into loops even if all their results are finite.
        numpy: evaluates what it can instead of XLA.
    """

    def __init__(
        self,
        time_limit: TimeLimit,
        keep: Collection[Order] = (),
        on_non_finite: Callable[[Run, int], None] | None = None,
        step_all: bool = False,
        numpy: NumpyEvaluator | None = None,
    ):
        self._time_limit = time_limit
        self._keep = keep
        self._on_non_finite = on_non_finite
        self._numpy = numpy
        self.everything = step_all

    looks_into_kernels = True
    """Whether kernels of pallas are evaluated operation by operation."""

    def record(self, run: Run, args: Sequence[Any], outputs: Collection[int]) -> None:
        """Fills in the run of a call, as far as some outputs depend on it."""
        wanted = [i in outputs for i in range(len(run.body.outvars))]
        self.run(run, list(map(self.lift, args)), wanted)

    # -- values ------------------------------------------------------------------------

    def lift(self, array: Any) -> Value:
        return Value(array, codes_of(array))

    def array(self, value: Value) -> Any:
        return value.array

    def wrote(
        self, frame: Run, variables: Sequence[Var], values: Sequence[Value]
    ) -> None:
        for var, value in zip(variables, values, strict=True):
            if value is not None and value.codes is not None:
                frame.bad[var] = value.codes

    # -- bodies ------------------------------------------------------------------------

    def enters(self, frame: Run, n: int, inner: HigherOrder) -> bool:
        return True

    def enter(
        self, frame: Run, n: int, inner: HigherOrder, which: int = 0, iteration: int = 0
    ) -> Run:
        run: Run = super().enter(frame, n, inner, which, iteration)
        if which == len(inner.bodies) - 1 or not isinstance(inner, Loop):
            frame.inner.setdefault(n, Inner(inner)).runs.append(run)
        return run

    def equation(
        self, frame: Run, n: int, ins: list[Value], wanted: Sequence[bool] | None
    ) -> list[Value]:
        self._time_limit.tick()
        eqn = frame.eqns[n]
        if self.looks_into_kernels and is_interpreted(eqn):
            kernel = Call(Body(interpreted(eqn), range(len(eqn.invars))))
            return super().call(frame, n, kernel, ins, wanted)
        return super().equation(frame, n, ins, wanted)

    def call(
        self,
        frame: Run,
        n: int,
        inner: Call,
        ins: list[Value],
        wanted: Sequence[bool] | None,
    ) -> list[Value]:
        if isinstance(inner, Sharded):
            try:
                jaxpr = unsharded(frame.eqns[n], inner).jaxpr
            except NotImplementedError:  # vmap has no rule for it: the whole is opaque
                return self.bind(frame, n, ins)
            inner = Call(Body(jaxpr, inner.body.operands))
            ins = [replace(v, array=on_host(v.array)) for v in ins]
        return super().call(frame, n, inner, ins, wanted)

    def loop(self, frame: Run, n: int, inner: Loop, ins: list[Value]) -> list[Value]:
        if inner.length == 0:
            return self.bind(frame, n, ins)
        eqn = frame.eqns[n]
        writes = any(map(is_write, eqn.effects))  # must not be done twice
        stepped = self.everything or writes or self.always(eqn)
        if not stepped and _size(inner) > MAX_STEPPED:
            outs = self._outputs(eqn, ins)
            if all(out.codes is None for out in outs):
                return outs
        return self.step_by_step(frame, n, inner, ins)

    def step_by_step(
        self, frame: Run, n: int, inner: Loop, ins: list[Value]
    ) -> list[Value]:
        """The results of a loop whose steps are recorded."""
        frame.inner[n] = Inner(inner)
        return super().loop(frame, n, inner, ins)

    # -- operations --------------------------------------------------------------------

    def bind(self, frame: Run, n: int, ins: list[Value]) -> list[Value]:
        eqn = frame.eqns[n]
        arrays = [v.array for v in ins]
        codes = [v.codes for v in ins]
        outs = self.results(frame, n, ins)
        self._look_at_refs(frame, eqn, ins)
        if any(out.codes is not None for out in outs):
            results = [out.array for out in outs]
            frame.records[n] = Record(arrays, codes, results, whole=True)
        return outs

    def results(self, frame: Run, n: int, ins: list[Value]) -> list[Value]:
        """The results of an equation that is evaluated as one operation."""
        eqn = frame.eqns[n]
        arrays = [v.array for v in ins]
        return self._outputs_of_numpy(eqn, arrays) or self._outputs(eqn, ins)

    def done(self, frame: Run, n: int) -> None:
        record = frame.records.get(n)
        if record is None:
            return
        if self._on_non_finite is not None:
            self._on_non_finite(frame, n)
        after = list(map(frame.codes, frame.eqns[n].outvars))
        if not _is_new(record.codes, after) and (*frame.order, n) not in self._keep:
            frame.records[n] = _without_floats(record)

    def _outputs_of_numpy(self, eqn: JaxprEqn, arrays: list[Any]) -> list[Value] | None:
        outs = self._numpy.evaluate(eqn, arrays) if self._numpy else None
        return None if outs is None else list(map(self.lift, outs))

    def _outputs(self, eqn: JaxprEqn, ins: list[Value]) -> list[Value]:
        if eqn.primitive.name in PLACES:
            return ins  # what jit takes need not fit the mesh: it may be uneven
        arrays = [v.array for v in ins]
        return list(map(self.lift, bind_equation(without_callbacks(eqn), arrays)))

    def _look_at_refs(self, run: Run, eqn: JaxprEqn, ins: list[Value]) -> None:
        for var, value in zip(eqn.invars, ins, strict=True):
            # It may have been written to.
            if isinstance(value.array, REF) and not is_literal(var):
                value.codes = codes_of(value.array)
                self.wrote(run, [var], [value])


def on_host(array: Any) -> Any:
    """An array in one piece, away from the mesh; keys of random numbers stay."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return np.asarray(array)
    data: Any = np.asarray(jax.random.key_data(array))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))


def _without_floats(record: Record) -> Record:
    operands = [None if can_be_non_finite(a) else a for a in record.operands]
    return Record(operands, record.codes, [], False)


def _is_new(before: Sequence[Codes | None], after: Sequence[Codes | None]) -> bool:
    """Whether there is a code in the results that is not in the operands."""
    known = frozenset().union(*map(distinct, before))
    return any(not distinct(codes) <= known for codes in after)


def _size(loop: Loop) -> float:
    """How many equations a loop evaluates in all; infinite if that is not known."""
    if loop.length is None:
        return math.inf
    return float(loop.length * count(loop.step.jaxpr))
