"""From what a search has found to `records.Origin`, in steps.

Each step is pure: it takes what is known so far and returns it with one part more. A
step that breaks is reported, and left out; so is all that comes after an interrupt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.primitives import OPERATORS
from jaxdbg.origins import (
    batch_axes,
    batch_rows,
    devices,
    numbers,
    operands,
    producers,
    wider_type,
)
from jaxdbg.origins.causes import of_placed, recognise
from jaxdbg.origins.causes.rules import Cause
from jaxdbg.origins.found import Birth, Element, Found
from jaxdbg.origins.location import source_lines
from jaxdbg.origins.location.dataflow import differentiated, is_written_before
from jaxdbg.origins.location.functions import called_in, functions
from jaxdbg.origins.location.where import Where
from jaxdbg.origins.producers import Variable
from jaxdbg.origins.scene import Moment, Scene
from jaxdbg.origins.zero_factors import zero_factors
from jaxdbg.records import LeafStats, Origin, Passed, Reached, Turn
from jaxdbg.trees.call_names import PassedAs
from jaxdbg.trees.holder import holder
from jaxdbg.trees.paths import element_path
from jaxdbg.views.words import KINDS

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr


MAX_EXPRESSION = 60
"""Characters of an expression that is shown as it is written."""


@dataclass(frozen=True, slots=True)
class OriginCase:
    """A failing call, as far as its origin needs it.

    Attributes:
        jaxpr: its closed jaxpr.
        args: its flat arguments, as they were before it.
        inputs: their names.
        outs: its results.
        locate: where an equation is in the user's program.
        broke: called with what a part of jaxdbg was doing when it broke, and why.
        fails: runs the step again with other arguments, and says whether it fails; None
            if that must not be done.
        why_not: the reason for that.
        passed: what the line of the call passes for their parameters, if it is known.
        growth: largest magnitude of its first small result in the last calls.
        made: what made an argument, as `(text, its origin or None)`; None if unknown.
        is_parameter: whether an argument belongs to a model.
    """

    jaxpr: ClosedJaxpr
    args: Sequence[Any]
    inputs: Sequence[str]
    outs: Sequence[Any]
    locate: Callable[[Site], Where]
    broke: Callable[[str, Exception], None]
    fails: Callable[[Sequence[Any]], bool] | None = None
    why_not: str = ""
    passed: Sequence[PassedAs | None] = ()
    growth: tuple[float, ...] = ()
    made: Callable[[int], tuple[str, Origin | None] | None] = lambda _: None
    is_parameter: Callable[[int], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class _Known:
    """What the steps have found out.

    Attributes:
        found: the result of the search.
        case: the call it is about.
        output: which result of the call was followed; None for a value inside.
        origin: the record, as far as it is known.
        where: of the operation, if the value was born.
        operands: of the operation, as variables of the jaxpr.
    """

    found: Found
    case: OriginCase
    output: int | None
    origin: Origin
    where: Where = field(default_factory=Where)
    operands: tuple[Variable, ...] = ()

    @property
    def birth(self) -> Birth:
        """The operation; only the steps of a birth ask for it."""
        assert self.found.birth is not None
        return self.found.birth

    def having(self, **parts: Any) -> _Known:
        """The same with some attributes of the origin."""
        return replace(self, origin=replace(self.origin, **parts))

    def noting(self, *notes: str) -> _Known:
        """The same with more notes."""
        return self.having(notes=(*self.origin.notes, *notes))


_Step = tuple[str, Callable[[_Known], _Known]]
"""What a step does, as a message says it, and the step."""


def describe(found: Found, case: OriginCase, output: int | None = None) -> Origin:
    """The record of what a search has found.

    Arguments:
        found: the result of the search.
        case: the call it is about.
        output: which result of the call was followed; None for a value inside.
    """
    origin = Origin(
        found.verdict,
        found.kind,
        notes=found.notes,
        element=found.element,
        candidate=found.candidate,
    )
    known = _Known(found, case, output, origin)
    steps = [*_steps(found), ("looking for the device", _device)]
    return _taken(steps, known).origin


def _steps(found: Found) -> list[_Step]:
    turn = "looking for a turn on the way"
    turns: list[_Step] = [(turn, partial(_turn, turn=t)) for t in _turns(found)]
    if found.birth is not None:
        return [
            ("naming the operation", _operation),
            ("looking for a line", _located),
            ("looking for what made the operands", _produced),
            ("describing operands", _described),
            ("trying a wider type", _wider),
            *turns,
            ("looking for a cause", _cause),
            ("looking for the failing rows", _rows_of_birth),
            ("naming what was passed", _passed_to_birth),
        ]
    if found.argument >= 0:
        return [
            ("naming the argument", _argument),
            ("looking for what made it", _made),
            *turns,
            ("looking for a cause", _cause_of_argument),
            ("looking for the failing rows", _rows_of_argument),
            ("naming what was passed", _passed_in),
        ]
    if found.placed_at is not None and found.spread:
        return [
            ("looking for a line", partial(_placed, site=found.placed_at)),
            *turns,
            ("looking for a cause", _cause_of_placed),
            ("looking for the failing rows", _rows_of_placed),
        ]
    return []


def _taken(steps: Sequence[_Step], known: _Known) -> _Known:
    """What is known after some steps; the one place that handles their errors."""
    for doing, step in steps:
        try:
            known = step(known)
        except KeyboardInterrupt:
            return known.noting("interrupted: what comes after was not looked for")
        except Exception as error:
            known.case.broke(doing, error)
    return known


def not_reproduced(kind: str, why: str, device: str = "") -> Origin:
    """The record where the second evaluation gives no answer."""
    return Origin("not reproduced", kind, notes=(why,), device=device)


def reached(leaves: Sequence[LeafStats]) -> tuple[Reached, ...]:
    """The leaves that are bad now, in their order."""
    return tuple(
        Reached(leaf.path, leaf.bad, leaf.size, _kinds(leaf), leaf.first_bad)
        for leaf in leaves
    )


def _kinds(leaf: LeafStats) -> tuple[str, ...]:
    counts = (leaf.nan, leaf.posinf, leaf.neginf)
    return tuple(kind for kind, n in zip(KINDS, counts, strict=True) if n)


# -- a value that was born -------------------------------------------------------------


def _operation(known: _Known) -> _Known:
    birth = known.birth
    return _at(known, birth.site).having(
        element=birth.element, growth=known.case.growth
    )


def _at(known: _Known, site: Site) -> _Known:
    """With the equation, and the loops and branches around it."""
    return known.having(
        primitive=str(site.eqn.primitive.name),
        loop=site.loop,
        branches=site.branches,
    )


def _located(known: _Known) -> _Known:
    return _in_source(known, known.birth.site)


def _in_source(known: _Known, site: Site) -> _Known:
    where = known.case.locate(site)
    located = known.having(
        expression=where.expression,
        source=where.source,
        library_source=where.library_source,
        module=where.module,
        direction=where.direction,
        forward_source=where.forward_source,
    )
    return replace(located.noting(*where.notes), where=where)


def _produced(known: _Known) -> _Known:
    found = producers.operands(known.case.jaxpr, known.birth.site)
    return replace(known, operands=found)


def _described(known: _Known) -> _Known:
    described = operands.describe(
        known.birth,
        known.operands,
        _words(known.where),
        lambda operand: _name_of_argument(operand, known.case),
    )
    return known.having(operands=described)


def _words(where: Where) -> str:
    """The user's expression, where it is the operation itself."""
    if where.source is None or where.direction == "backward":
        return ""
    return source_lines.expression_text(where.source)


def _name_of_argument(operand: Variable, case: OriginCase) -> str:
    """The name of an operand that is an argument of the call."""
    i = _argument_of(operand, case)
    return case.inputs[i] if 0 <= i < len(case.inputs) else ""


def _wider(known: _Known) -> _Known:
    return known.having(wider=wider_type.wider(known.birth))


def turn_of(birth: Birth, where: Where, text: str) -> Turn:
    """The record of an operation that makes a bad value.

    Arguments:
        birth: the operation.
        where: its place in the user's program.
        text: what it makes, in words.
    """
    return Turn(
        kind=birth.kind,
        primitive=str(birth.site.eqn.primitive.name),
        source=where.source,
        module=where.module,
        direction=where.direction,
        loop=birth.site.loop,
        text=text,
    )


def _turn(known: _Known, turn: Birth) -> _Known:
    where = known.case.locate(turn.site)
    record = turn_of(turn, where, f"{KINDS[turn.kind]} at {_sum(turn)}")
    return known.having(steps=(*known.origin.steps, record))


def _turns(found: Found) -> tuple[Birth, ...]:
    """What the value became, and where a 0 did not hold it back."""
    product = found.product
    if product is None or not zero_factors(product):
        return found.turns
    return (*found.turns, product)


def _sum(turn: Birth) -> str:
    """The operation in numbers: `0 * Inf`."""
    name = str(turn.site.eqn.primitive.name)
    values = []
    elements = turn.operand_elements or (None,) * len(turn.operands)
    for value, element in zip(turn.operands, elements, strict=True):
        array = numbers.host(value)
        at = None if array is None else numbers.at(array, element)
        if array is not None and array.ndim == 0:
            at = array[()]
        if at is None:
            return f"`{name}`"
        values.append(numbers.said(at))
    if name in OPERATORS and len(values) == 2:
        return f" {OPERATORS[name]} ".join(values)
    return f"{name}({', '.join(values)})"


def _cause(known: _Known) -> _Known:
    return _with_cause(known, recognise.of_birth(_scene(known)))


def _with_cause(known: _Known, cause: Cause | None) -> _Known:
    if cause is None:
        return known
    likely = cause.likely or known.found.candidate
    return known.having(
        cause=cause.name, advice=cause.advice, likely=likely, checked=cause.checked
    )


def _scene(known: _Known) -> Scene:
    where = known.where
    called = called_in(where.source) if where.source else ""
    library = where.library_source
    moment = _moment(known.birth, known.case)
    return Scene(
        moment.birth,
        moment.operands,
        moment.functions,
        called=called,
        within=called if library and source_lines.is_of_jax(library) else "",
        backward=where.direction == "backward",
        turns=_moments(known),
        wider=known.origin.wider,
        growth=known.case.growth,
        number=partial(_number, case=known.case),
        follows=lambda step: is_written_before(
            step.eqns, known.birth.site, known.case.jaxpr
        ),
    )


def _number(operand: Variable, case: OriginCase) -> float | None:
    argument = _argument_of(operand, case)
    if argument < 0:
        return producers.number(operand)
    value = numbers.host(case.args[argument])
    return None if value is None or value.ndim else float(np.real(value))


def _moment(birth: Birth, case: OriginCase) -> Moment:
    site = birth.site
    around = functions([site.eqn, *reversed(site.outer)])
    if of := differentiated(site, case.jaxpr):
        around = (*around, of)
    return Moment(birth, producers.operands(case.jaxpr, site), around)


def _moments(known: _Known) -> tuple[Moment, ...]:
    return tuple(_moment(turn, known.case) for turn in _turns(known.found))


# -- a value that came in --------------------------------------------------------------


def _argument(known: _Known) -> _Known:
    name = known.case.inputs[known.found.argument]
    path = element_path(name, known.found.element or ())
    return known.having(argument=path, argument_leaf=name, growth=known.case.growth)


def _made(known: _Known) -> _Known:
    text, origin = known.case.made(known.found.argument) or ("", None)
    return known.having(made_by=text, made_at=origin)


def _cause_of_argument(known: _Known) -> _Known:
    is_parameter = known.case.is_parameter(known.found.argument)
    name, made_by = known.origin.argument_leaf, known.origin.made_by
    cause = recognise.of_argument(name, is_parameter, made_by, _moments(known))
    return _with_cause(known, cause)


# -- a value that was placed, and spread ----------------------------------------------


def _placed(known: _Known, site: Site) -> _Known:
    """With the line that places it, and the call in it as it is written."""
    placed = _in_source(_at(known, site), site)
    library = placed.where.library_source
    if library is not None and source_lines.is_of_jax(library):
        placed = placed.having(library_source=None)  # its literal explains nothing
    text = _words(placed.where)
    if text and "\n" not in text and len(text) <= MAX_EXPRESSION:
        placed = placed.having(expression=text)
    return placed


def _cause_of_placed(known: _Known) -> _Known:
    return _with_cause(known, of_placed.recognise(_words(known.where)))


def _rows_of_placed(known: _Known) -> _Known:
    return _with_rows(known, _batch(known.case), None, None)


# -- rows and devices ------------------------------------------------------------------


def _rows_of_birth(known: _Known) -> _Known:
    birth = known.birth
    return _with_rows(known, _batch(known.case), birth.element, birth.result)


def _rows_of_argument(known: _Known) -> _Known:
    found, batch = known.found, _batch(known.case)
    if batch is None or found.argument not in batch.arguments:
        return known
    return _with_rows(known, batch, found.element, known.case.args[found.argument])


def _batch(case: OriginCase) -> batch_rows.Batch | None:
    try:
        roles = batch_axes.roles(case.jaxpr)
    except Exception as error:
        case.broke("looking for the rows of the batch", error)
        roles = batch_axes.NO_ROLES
    return batch_rows.batch_of(case.args, case.inputs, case.outs, roles)


def _with_rows(
    known: _Known, batch: batch_rows.Batch | None, element: Element, array: Any
) -> _Known:
    """With the rows of the batch that make the step fail.

    Arguments:
        known: what is known.
        batch: the arguments that hold the rows; None if there is none.
        element: the bad one.
        array: which it is an element of.
    """
    case = known.case
    if batch is None:
        return known
    if case.fails is None:
        return known.having(rows_note=case.why_not)
    hint = None
    if element and getattr(array, "shape", ())[:1] == (batch.size,):
        hint = element[0]
    rows = batch_rows.failing_rows(batch, case.args, case.fails, hint)
    named = tuple((batch.name, row) for row in rows.rows)
    return known.having(rows=named, rows_note=rows.note)


# -- what the user's line passes -------------------------------------------------------


def _passed_to_birth(known: _Known) -> _Known:
    pairs = zip(known.operands, known.origin.operands, strict=False)
    arguments = [(_argument_of(v, known.case), operand.name) for v, operand in pairs]
    found = [
        passed
        for i, name in arguments
        if (passed := _passed(known.case, i)) is not None and name == passed.parameter
    ]
    return _with_passed(known, [Passed(p.parameter, p.expression) for p in found])


def _passed_in(known: _Known) -> _Known:
    found, batch = known.found, _batch(known.case)
    passed = _passed(known.case, found.argument)
    if passed is None or not passed.is_named_so:
        return _with_passed(known, [])
    is_row = batch is not None and found.argument in batch.arguments and found.element
    row = found.element[0] if is_row and found.element else None
    one = Passed(passed.parameter, passed.expression, row)
    return _with_passed(known, [_in_the_data(one, known.case, found.argument)])


def _with_passed(known: _Known, found: Sequence[Passed]) -> _Known:
    """With these, and what is passed for the batch whose rows are named."""
    batch = _batch(known.case) if known.origin.rows else None
    of_batch = _passed(known.case, batch.arguments[0]) if batch is not None else None
    by_name = {one.parameter: one for one in found}
    if of_batch is not None and of_batch.is_named_so:
        rows = [row for _, row in known.origin.rows]
        one = Passed(of_batch.parameter, of_batch.expression)
        if len(rows) == 1 and batch is not None:
            in_data = _in_the_data(
                replace(one, row=rows[0]), known.case, batch.arguments[0]
            )
            one = in_data if in_data.data else one
        by_name.setdefault(of_batch.parameter, one)
    return known.having(passed=tuple(by_name.values()))


def _in_the_data(one: Passed, case: OriginCase, argument: int) -> Passed:
    """With the row of the user's data that a row of an argument is, where it is one."""
    passed = _passed(case, argument)
    if passed is None or passed.taken is None or one.row is None:
        return one
    try:
        row = passed.taken.row_of(case.args[argument], one.row)
    except Exception as error:
        case.broke("looking for a row in the user's data", error)
        return one
    if row is None:
        return one
    return replace(one, data=passed.taken.name, data_row=row)


def _passed(case: OriginCase, argument: int) -> PassedAs | None:
    return case.passed[argument] if 0 <= argument < len(case.passed) else None


def _argument_of(operand: Variable, case: OriginCase) -> int:
    """Which argument of the call an operand is, moved or not; -1 for none."""
    atom, arguments = producers.source(operand).atom, forms.body(case.jaxpr).invars
    return next((i for i, var in enumerate(arguments) if var is atom), -1)


def _device(known: _Known) -> _Known:
    """With the devices that have the bad value, where not all of them do."""
    found, args = known.found, known.case.args
    if found.birth is not None and devices.is_mapped(found.birth):
        return known.having(device=devices.of_birth(found.birth, args))
    if found.argument >= 0:
        return known.having(device=holder(args[found.argument], found.element or ()))
    output, element = known.output, found.output_element
    if output is None or output >= len(known.case.outs) or element is None:
        return known
    result = known.case.outs[output]
    if found.birth is not None and not _is_element(found.birth, result, element):
        return known  # it may have been moved between devices
    return known.having(device=holder(result, element))


def _is_element(birth: Birth, result: Any, element: Element) -> bool:
    same_shape = getattr(birth.result, "shape", None) == getattr(result, "shape", ())
    return same_shape and birth.element == element
