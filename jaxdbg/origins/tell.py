"""From what a search has found to the story that is told: fills in `records.Origin`.

Each part is told for itself. A part that breaks, or that the user does not want to wait
for, is left out, and the rest still stands.
"""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import jax

from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.origins import (
    batch_rows as rows,
    causes,
    numbers,
    operands,
    producers as lineage,
    wider_type as wider,
)
from jaxdbg.origins.found import Birth, Element, Found
from jaxdbg.origins.location import source_lines as lines
from jaxdbg.origins.location.where import Where
from jaxdbg.origins.producers import Operand as Atom
from jaxdbg.records import KINDS, LeafStats, Operand, Origin, Reached, SourceFrame, Turn
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.paths import element_path

_T = TypeVar("_T")

_NO_OPERANDS: tuple[Operand, ...] = ()

_DEF = re.compile(r"\s*(async )?def |\s*@")

MAX_FUNCTION = 200
"""Lines of the user's function that are read for a cause."""


@dataclass(slots=True)
class Case:
    """A failing call, as far as the story needs it.

    Attributes:
        jaxpr: its closed jaxpr.
        args: its flat arguments, as they were before it.
        inputs: their names.
        outs: its results.
        locate: where an equation stands in the user's program.
        broke: told of a part of jaxdbg that breaks, with what it was doing.
        fails: runs the step again with other arguments, and says whether it fails; None
            where that must not be done.
        why_not: the reason for that.
        growth: largest magnitude of its first small result in the last calls.
        made: what made an argument, as `(text, story of it or None)`; None if unknown.
        is_parameter: whether an argument belongs to a model.
    """

    jaxpr: Any
    args: Sequence[Any]
    inputs: Sequence[str]
    outs: Sequence[Any]
    locate: Callable[[Any], Where]
    broke: Callable[[str, Exception], None]
    fails: Callable[[Sequence[Any]], bool] | None = None
    why_not: str = ""
    growth: tuple[float, ...] = ()
    made: Callable[[int], tuple[str, Origin | None] | None] = lambda _: None
    is_parameter: Callable[[int], bool] = lambda _: False
    stopped: bool = field(default=False, init=False)


def tell(found: Found, case: Case, output: int | None = None) -> Origin:
    """The story of what a search has found.

    Arguments:
        found: the result of the search.
        case: the call it is about.
        output: which result of the call was followed; None for a value inside.
    """
    origin = Origin(found.verdict, found.kind, notes=found.notes, element=found.element)
    if found.birth is not None:
        origin = _born(origin, found, found.birth, case)
    elif found.argument >= 0:
        origin = _came_in(origin, found, case)
    origin = replace(origin, device=_device(found, case, output))
    if case.stopped:
        note = "interrupted: what comes after was not looked for"
        origin = replace(origin, notes=(*origin.notes, note))
    return origin


def not_reproduced(kind: str, why: str) -> Origin:
    """The story where the second evaluation gives no answer."""
    return Origin("not reproduced", kind, notes=(why,))


def reached(leaves: Sequence[LeafStats]) -> tuple[Reached, ...]:
    """The leaves that are bad now, in their order."""
    return tuple(
        Reached(leaf.path, leaf.bad, leaf.size, _kinds(leaf), leaf.first_bad)
        for leaf in leaves
    )


def _kinds(leaf: LeafStats) -> tuple[str, ...]:
    counts = (leaf.nan, leaf.posinf, leaf.neginf)
    return tuple(kind for kind, n in zip(KINDS, counts, strict=True) if n)


# -- born ------------------------------------------------------------------------------


def _born(origin: Origin, found: Found, birth: Birth, case: Case) -> Origin:
    where = _part(case, "looking for a line", Where(), lambda: case.locate(birth.site))
    atoms = _atoms(case, birth)
    ins = _part(
        case,
        "describing operands",
        _NO_OPERANDS,
        lambda: operands.describe(
            birth, atoms, _words(where), lambda a: _argument(a, case)
        ),
    )
    origin = replace(
        origin,
        primitive=str(birth.site.eqn.primitive.name),
        expression=where.expression,
        source=where.source,
        library_source=where.library_source,
        module=where.module,
        direction=where.direction,
        forward_source=where.forward_source,
        loop=birth.site.loop,
        branches=birth.site.branches,
        operands=ins,
        element=birth.element,
        growth=case.growth,
        notes=(*origin.notes, *where.notes),
        wider=_part(case, "trying a wider type", "", lambda: wider.wider(birth)),
    )
    origin = replace(origin, steps=_turns(found, case))
    cause = _part(
        case,
        "looking for a cause",
        None,
        lambda: causes.recognise(_scene(origin, found, birth, where, atoms, case)),
    )
    if cause is not None:
        origin = replace(
            origin, cause=cause.name, advice=cause.advice, likely=cause.likely
        )
    return _part(
        case,
        "looking for the rows to blame",
        origin,
        lambda: _with_rows(origin, birth.element, birth.result, case),
    )


def _atoms(case: Case, birth: Birth) -> tuple[Atom, ...]:
    return _part(
        case,
        "looking for what made the operands",
        (),
        lambda: lineage.operands(case.jaxpr, birth.site),
    )


def _words(where: Where) -> str:
    """The user's expression, where it is the operation itself."""
    if where.source is None or where.direction == "backward":
        return ""
    return lines.marked(where.source)


def _argument(atom: Atom, case: Case) -> str:
    """The name of an operand that is an argument of the call."""
    at = lineage.source(atom)
    body = forms.body(case.jaxpr)
    for i, var in enumerate(body.invars):
        if var is at.atom and i < len(case.inputs):
            return case.inputs[i]
    return ""


def _turns(found: Found, case: Case) -> tuple[Turn, ...]:
    doing = "looking for a turn on the way"

    def told(turn: Birth) -> Turn | None:
        return _part(case, doing, None, lambda: _turn(turn, case))

    return tuple(t for t in map(told, found.turns) if t is not None)


def _turn(turn: Birth, case: Case) -> Turn:
    where = case.locate(turn.site)
    return Turn(
        kind=turn.kind,
        primitive=str(turn.site.eqn.primitive.name),
        source=where.source,
        module=where.module,
        direction=where.direction,
        loop=turn.site.loop,
        text=f"{KINDS[turn.kind]} at {_sum(turn)}",
    )


_SIGNS = {"mul": "*", "div": "/", "sub": "-", "add": "+", "add_any": "+", "rem": "%"}


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
    if name in _SIGNS and len(values) == 2:
        return f"{values[0]} {_SIGNS[name]} {values[1]}"
    return f"{name}({', '.join(values)})"


def _scene(
    origin: Origin,
    found: Found,
    birth: Birth,
    where: Where,
    atoms: tuple[Atom, ...],
    case: Case,
) -> causes.Scene:
    library = where.library_source.function if where.library_source else ""
    forward = where.forward_source.code if where.forward_source else ""
    return causes.Scene(
        birth=birth,
        atoms=atoms,
        line=_code(where.source),
        function=_function(where.source),
        library=library,
        backward=where.direction == "backward",
        forward_line=forward,
        turns=found.turns,
        turn_atoms=tuple(_atoms(case, t) for t in found.turns),
        wider=origin.wider,
        growth=case.growth,
    )


def _code(frame: SourceFrame | None) -> str:
    return frame.code if frame is not None else ""


def _function(frame: SourceFrame | None) -> str:
    """Source of the user's function around a line, as far as it can be had."""
    if frame is None:
        return ""
    text = linecache.getlines(frame.file)
    start = min(frame.line, len(text)) - 1
    while start > 0 and not _DEF.match(text[start]):
        if frame.line - start > MAX_FUNCTION:
            return ""
        start -= 1
    block = inspect.getblock(text[start:]) if start < len(text) else []
    return "".join(block[:MAX_FUNCTION])


# -- came in ---------------------------------------------------------------------------


def _came_in(origin: Origin, found: Found, case: Case) -> Origin:
    name = case.inputs[found.argument]
    path = element_path(name, found.element or ())
    made = _part(
        case, "looking for what made it", None, lambda: case.made(found.argument)
    )
    text, story = made or ("", None)
    cause = causes.came_in(case.is_parameter(found.argument), text)
    origin = replace(
        origin,
        argument=path,
        made_by=text,
        made_at=story,
        growth=case.growth,
        steps=_turns(found, case),
        cause=cause.name if cause else None,
        advice=cause.advice if cause else "",
    )
    batch = _batch(case)
    if batch is None or found.argument not in batch.arguments:
        return origin
    guilty = case.args[found.argument]
    return _with_rows(origin, found.element, guilty, case)


# -- rows and devices ------------------------------------------------------------------


def _batch(case: Case) -> rows.Batch | None:
    doing = "looking for the batch"
    return _part(
        case, doing, None, lambda: rows.batch_of(case.args, case.inputs, case.outs)
    )


def _with_rows(origin: Origin, element: Element, of: Any, case: Case) -> Origin:
    batch = _batch(case)
    if batch is None:
        return origin
    if case.fails is None:
        return replace(origin, rows_note=case.why_not)
    fails, hint = case.fails, None
    if element and getattr(of, "shape", ())[:1] == (batch.size,):
        hint = element[0]
    found = _part(
        case,
        "looking for the rows to blame",
        rows.Rows(),
        lambda: rows.guilty_rows(batch, case.args, fails, hint),
    )
    named = tuple((batch.name, row) for row in found.rows)
    return replace(origin, rows=named, rows_note=found.note)


def _device(found: Found, case: Case, output: int | None) -> str:
    """The device that holds the bad element, where there are several that do not."""
    if output is None or output >= len(case.outs) or found.output_element is None:
        return ""
    array = case.outs[output]
    if not isinstance(array, jax.Array) or is_gone(array):
        return ""
    if len(array.sharding.device_set) < 2 or array.is_fully_replicated:
        return ""
    return _part(
        case, "looking for the device", "", lambda: _holder(array, found.output_element)
    )


def _holder(array: Any, element: Element) -> str:
    where = array.sharding.devices_indices_map(array.shape)
    for device, index in where.items():
        inside = all(
            (s.start or 0) <= i < (n if s.stop is None else s.stop)
            for s, i, n in zip(index, element or (), array.shape, strict=True)
        )
        if inside:
            return str(device)
    return ""


def _part(case: Case, doing: str, without: _T, tell: Callable[[], _T]) -> _T:
    """A part of the story, or what stands for it where it cannot be told."""
    if case.stopped:
        return without
    try:
        return tell()
    except KeyboardInterrupt:
        case.stopped = True
    except Exception as error:
        case.broke(doing, error)
    return without
