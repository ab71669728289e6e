"""A call that was evaluated again, in NumPy or XLA, and questions to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxdbg.jax_internals.jaxprs.effects import without_callbacks
from jaxdbg.jax_internals.jaxprs.evaluate import Order, bind_equation
from jaxdbg.origins.bad_elements import KINDS, NEG_INF, Mask, codes_of, first_element
from jaxdbg.origins.found import Birth, Element
from jaxdbg.origins.search.compiled import (
    RecorderOfCompiled,
    Values,
    intermediate_results,
)
from jaxdbg.origins.search.dependence import links
from jaxdbg.origins.search.evaluate import Record, Recorder, Run
from jaxdbg.origins.search.evaluate_checks import CheckFailed, RecorderToCheck
from jaxdbg.origins.search.follow_back import BornElements, born_at
from jaxdbg.origins.search.numpy_rules import NumpyEvaluator
from jaxdbg.origins.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr, JaxprEqn


class _Stopped(Exception):
    def __init__(self, births: list[BornElements]):
        super().__init__()
        self.births = births


class Disagrees(Exception):
    """The result of an operation differs between XLA and NumPy."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A call to evaluate again, as far as some outputs depend on it."""

    jaxpr: ClosedJaxpr
    args: Sequence[Any]
    outputs: Collection[int]
    time_limit: TimeLimit


class Evaluated:
    """A call that was evaluated again, and can be again for what was not recorded.

    Arguments:
        call: which.
        numpy: evaluates what it can instead of XLA.
    """

    def __init__(self, call: Replay, numpy: NumpyEvaluator | None = None):
        self._call = call
        self._numpy = numpy
        self._root: Run | None = None
        self._kept: set[Order] = set()
        self._values: Values | None = None

    @property
    def root(self) -> Run:
        """The run of the call; it is evaluated on first use."""
        return self._root or self._record()

    def _record(self, **options: Any) -> Run:
        call = self._call
        self._root = Run(call.jaxpr)
        recorder = Recorder(call.time_limit, numpy=self._numpy, **options)
        recorder.record(self._root, call.args, call.outputs)
        return self._root

    def until_birth(
        self, counts: Callable[[BornElements], bool] = lambda _: True
    ) -> list[BornElements]:
        """Evaluates up to the first birth of a NaN or +Inf; what is born there.

        Arguments:
            counts: whether a birth is one to stop at.
        """

        def stop_at_a_birth(run: Run, n: int) -> None:
            births = [b for b in born_at(run, n) if b.code != NEG_INF and counts(b)]
            if births:
                raise _Stopped(births)

        try:
            self._record(on_non_finite=stop_at_a_birth, step_all=True)
        except _Stopped as stopped:
            return stopped.births
        return []

    def run_at(self, order: Order) -> Run:
        """The run that an equation is in."""
        run = self.root
        for n, iteration in zip(order[:-1:2], order[1:-1:2], strict=True):
            run = run.inner[n].runs[iteration]
        return run

    def keep(self, births: Sequence[BornElements]) -> None:
        """Has the operands of some births; those not recorded are evaluated again."""
        orders = {b.order for b in births if not b.run.records[b.n].whole} - self._kept
        if orders:
            self._kept |= orders
            self._record(keep=self._kept)

    def birth(self, born: BornElements, element: tuple[int, ...]) -> Birth:
        """The birth of one element, with operands and result."""
        self.keep([born])
        run = self.run_at(born.order) if born.order in self._kept else born.run
        record = run.records[born.n]
        eqn, operands = run.eqns[born.n], record.operands
        alone = np.zeros(born.elements.shape, bool)
        alone[element] = True
        return Birth(
            kind=KINDS[born.code],
            site=run.site(born.n),
            operands=tuple(operands),
            result=self._confirmed(eqn, record, born, element),
            element=element,
            operand_elements=_operand_elements(eqn, operands, born.output, alone),
        )

    def _confirmed(
        self,
        eqn: JaxprEqn,
        record: Record,
        born: BornElements,
        element: tuple[int, ...],
    ) -> Any:
        """The result of an equation; computed by XLA if it was found in NumPy."""
        if self._numpy is None:
            return record.outs[born.output]
        result = bind_equation(without_callbacks(eqn), record.operands)[born.output]
        codes = codes_of(result)
        if codes is None or codes[element] != born.code:
            raise Disagrees
        return result


class EvaluatedToCheck(Evaluated):
    """A call that was evaluated again up to the check of the user's that fails in it.

    Arguments:
        call: which.
        text: of the check.
        numpy: evaluates what it can instead of XLA.
    """

    def __init__(self, call: Replay, text: str, numpy: NumpyEvaluator | None = None):
        super().__init__(call, numpy)
        self._text = text
        self.failed: tuple[Run, int] | None = None

    def _record(self, **options: Any) -> Run:
        call = self._call
        self._root = Run(call.jaxpr)
        recorder = RecorderToCheck(
            self._text, call.time_limit, numpy=self._numpy, **options
        )
        try:
            recorder.record(self._root, call.args, ())
            self.failed = None
        except CheckFailed as failed:
            self.failed = failed.run, failed.n
        return self._root


class EvaluatedByCompiler(Evaluated):
    """A call that was compiled once more with its intermediate results as outputs."""

    def _record(self, **options: Any) -> Run:
        call = self._call
        if self._values is None:
            self._values = intermediate_results(call.jaxpr, call.args, call.outputs)
        self._root = Run(call.jaxpr)
        limit = call.time_limit
        recorder = RecorderOfCompiled(self._values, time_limit=limit, **options)
        recorder.record(self._root, call.args, call.outputs)
        return self._root


def _operand_elements(
    eqn: JaxprEqn, operands: Sequence[Any], output: int, alone: Mask
) -> tuple[Element, ...]:
    """For each operand the element the result's was made from, where it is one."""
    elements: list[Element] = []
    for link in links(eqn, operands, output):
        made_from = alone[:0] if link is None else link.backward(alone)
        elements.append(first_element(made_from) if made_from.sum() == 1 else None)
    return tuple(elements)


def evaluations(call: Replay) -> list[Evaluated]:
    """The ways to evaluate a call: in numpy, where that can be, then by XLA alone."""
    return [Evaluated(call, numpy) for numpy in numpy_evaluators(call)]


def evaluations_to_check(call: Replay, text: str) -> list[EvaluatedToCheck]:
    """The same, each up to a check that fails."""
    return [EvaluatedToCheck(call, text, numpy) for numpy in numpy_evaluators(call)]


def numpy_evaluators(call: Replay) -> list[NumpyEvaluator | None]:
    """What to evaluate a call with: numpy, where that can be, then XLA alone."""
    if not _is_on_host(call.args):
        return [None]
    return [NumpyEvaluator((*call.args, *call.jaxpr.consts)), None]


def _is_on_host(args: Sequence[Any]) -> bool:
    arrays = [a for a in args if isinstance(a, jax.Array)]
    platforms = {d.platform for a in arrays for d in a.devices()}
    return (platforms or {jax.default_backend()}) == {"cpu"}
