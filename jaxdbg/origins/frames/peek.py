"""`peek`: the named values inside a jitted call, without a failure."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jaxdbg.errors import UsageError, did_you_mean
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.origins.frames.bound_names import BoundName
from jaxdbg.origins.frames.evaluated import same
from jaxdbg.origins.frames.occurrences import Occurrence, Places
from jaxdbg.origins.frames.peeked_arrays import Iterations, PeekedArray
from jaxdbg.origins.frames.peeked_call import PeekedCall, check_there, peeked_call
from jaxdbg.origins.frames.peeked_numbers import Measured, measured
from jaxdbg.origins.frames.peeked_values import Met, evaluate_markers
from jaxdbg.origins.search.time_limit import OutOfTime, TimeLimit
from jaxdbg.records.peeked import Peeked, PeekedValue
from jaxdbg.records.shown import Printed
from jaxdbg.records.source import SourceFrame, cell_number, source_line
from jaxdbg.views.words import listed, place, size

MOST_BYTES = 1_000_000_000
"""Bytes of values that are kept while one name is asked for."""

MOST_SECONDS = 120.0
"""Seconds of an evaluation."""

MAX_NAMED = 6


def peek(function: Any, /, *args: Any, **kwargs: Any) -> Peek:
    """The named values inside of a jitted call, without running it.

        p = jaxdbg.peek(train_step, model, opt, batch)
        print(p)                     # each name: type, range, bad elements
        p["scores"]                  # the array of a name
        p["attention"]["scores"]     # of a function, or of the method of a module
        p.at("model.py", 17)["weights"]

    The function is traced with these arguments, and what is asked for is evaluated,
    operation by operation: nothing is updated, donated or printed, and no callback is
    called. The compiled program may round otherwise.

    Arguments:
        function: jitted by `jax.jit`, `nnx.jit` or `eqx.filter_jit`; any other function
            is peeked as if it were.
        args, kwargs: what to call it with.

    Raises:
        UsageError: it cannot be traced with these.
    """
    return Peek(peeked_call(function, args, kwargs))


class Peek(Printed):
    """The named values inside of a call, or of a part of it; see `peek`."""

    def __init__(self, call: PeekedCall, names: Sequence[BoundName] | None = None):
        self._call = call
        self._names = call.names if names is None else names

    @functools.cached_property
    def values(self) -> Peeked:
        """What is in each value, as plain data; evaluated when it is first asked for.

        Raises:
            UsageError: the evaluation takes too long.
        """
        places: Places[Measured] = Places()
        self._evaluate(self._names, lambda met: places.at(met, Measured()).note(met))
        known = places.occurrences(self._names)
        values = tuple(_values(known, places))
        return Peeked(
            self._call.function, values, _left_out(self._names, known), self._call.notes
        )

    def __str__(self) -> str:
        return str(self.values)

    def __getitem__(self, asked: str | tuple[str, int]) -> Any:
        """The array of a name, or the part in a function or module.

        A value in a loop has a leading axis of its iterations, in the order of the
        rows.

        Arguments:
            asked: a name as the listing has it; with a number, from 0, where it is
                bound more than once. Or the name of a function, or the path of a
                module.

        Raises:
            UsageError: there is no such name, it is bound more than once, its value is
                not known, or too large.
        """
        name, number = asked if isinstance(asked, tuple) else (asked, None)
        names = [n for n in self._names if n.name == name]
        if names:
            return self._array(name, names, number)
        inside = [n for n in self._names if name in _scopes(n)]
        if not inside:
            raise UsageError(self._unknown(name))
        return Peek(self._call, inside)

    def at(self, file: str, line: int) -> Peek:
        """The names that a line binds.

        Arguments:
            file: the end of the path of a file, or a cell as in "cell 3".
            line: its number.
        """
        names = [n for n in self._names if n.line == line and _is_of(n, file)]
        if not names:
            lines = dict.fromkeys(place(_source(n)) for n in self._names)
            some = listed(list(lines), MAX_NAMED)
            raise UsageError(
                f"No name is bound in {file}, line {line}. Bound in: {some}."
            )
        return Peek(self._call, names)

    def __iter__(self) -> Any:
        return iter(self.values.values)

    def _ipython_key_completions_(self) -> list[str]:
        scopes = (s for n in self._names for s in _scopes(n))
        return list(dict.fromkeys([*(n.name for n in self._names), *scopes]))

    def _array(self, name: str, names: Sequence[BoundName], number: int | None) -> Any:
        places: Places[Iterations] = Places()
        nbytes = 0

        def note(met: Met) -> None:
            nonlocal nbytes
            nbytes += int(getattr(met.value, "nbytes", 0))
            if nbytes > MOST_BYTES:
                raise UsageError(_TOO_LARGE.format(name=name, most=size(MOST_BYTES)))
            places.at(met, Iterations()).met.append(met)

        self._evaluate(names, note)
        known = places.occurrences(names)
        if not known:
            raise UsageError(_NOT_KNOWN.format(name=name))
        arrays = {o.array: _array_of(o, places) for o in known}
        if number is None and _are_same(list(arrays.values())):
            return arrays[known[0].array]
        return arrays[_chosen(name, known, number).array]

    def _evaluate(
        self, names: Iterable[BoundName], note: Callable[[Met], None]
    ) -> None:
        keys = {n.key for n in names if n.key is not None}
        check_there(self._call)
        try:
            with our_own_work():
                evaluate_markers(self._call, keys, note, TimeLimit(MOST_SECONDS))
        except OutOfTime:
            said = _TOO_LONG.format(function=self._call.function, most=MOST_SECONDS)
            raise UsageError(said) from None

    def _unknown(self, name: str) -> str:
        known = self._ipython_key_completions_()
        some = f" Expected one of: {listed(known, MAX_NAMED)}." if known else ""
        return _NO_NAME.format(name=name, function=self._call.function) + (
            did_you_mean(name, known) + some
        )


_NO_NAME = "No name {name!r} is bound in the call of {function}."
_NOT_KNOWN = (
    "The value of {name} is not known: it is bound in a branch that is not taken, in "
    "what vmap evaluates for rows that it is not of, from what a callback returns, or "
    "in a part that is not looked into (shard_map, a kernel)."
)
_TOO_LARGE = "The values of {name} take more than {most}."
_TOO_LONG = (
    "The evaluation of {function} takes longer than {most:.0f} s. One name, as in "
    'p["scores"], may be quicker.'
)
_SEVERAL = (
    "{name} is bound {count} times: {places}. Ask for one by its number, as in "
    "p[{name!r}, 0], or in a function, module or line: p[{scope!r}][{name!r}], "
    "p.at({file!r}, {line})[{name!r}]."
)


def _array_of(occurrence: Occurrence, places: Places[Iterations]) -> Any:
    name = occurrence.bound.name
    if occurrence.place is None:
        return PeekedArray.of(occurrence.bound.constant, name)
    return places.kept(occurrence).array(name)


def _are_same(arrays: Sequence[Any]) -> bool:
    """Whether some arrays are the same bit by bit: what returns one binds it again."""
    return all(same(array, arrays[0]) for array in arrays[1:])


def _chosen(name: str, known: Sequence[Occurrence], number: int | None) -> Occurrence:
    if number is not None:
        if not -len(known) <= number < len(known):
            raise UsageError(
                f"{name} is bound {len(known)} times: there is no {number}."
            )
        return known[number]
    places = listed([_where(o) for o in known], MAX_NAMED)
    first = known[0]
    raise UsageError(
        _SEVERAL.format(
            name=name,
            count=len(known),
            places=places,
            scope=_scopes(first.bound)[-1],
            file=_short_file(first.bound),
            line=first.bound.line,
        )
    )


def _where(occurrence: Occurrence) -> str:
    bound = occurrence.bound
    inside = occurrence.module or bound.code.co_qualname
    return f"{inside}, line {bound.line}"


def _values(known: Sequence[Occurrence], places: Places[Measured]) -> Iterable[Any]:
    calls: Counter[object] = Counter()
    for occurrence in known:
        bound, module = occurrence.bound, occurrence.module
        same = bound.code, bound.line, bound.name
        call, source = calls[same], _source(bound)
        calls[same] += 1
        if occurrence.place is None:
            array = measured(bound.constant)
            yield PeekedValue(bound.name, source, array, module, call=call)
            continue
        kept = places.kept(occurrence)
        loops, axes = kept.loops, kept.batch_axes
        steps = kept.steps
        yield PeekedValue(
            bound.name, source, kept.all, module, loops, steps, axes, call
        )


def _left_out(
    names: Iterable[BoundName], known: Iterable[Occurrence]
) -> tuple[str, ...]:
    """The names that have no value; a loop may be traced twice, and evaluated once."""
    seen = {(o.bound.code, o.bound.line, o.bound.name) for o in known}
    unseen = (n for n in names if (n.code, n.line, n.name) not in seen)
    return tuple(dict.fromkeys(n.name for n in unseen))


def _scopes(bound: BoundName) -> list[str]:
    """What a function is called by who looks into it."""
    qualified = bound.code.co_qualname
    own = qualified.rpartition("<locals>.")[2]
    names = [qualified, own, bound.code.co_name, bound.module]
    return list(dict.fromkeys(filter(None, names)))


def _is_of(bound: BoundName, file: str) -> bool:
    known = bound.code.co_filename.replace("\\", "/")
    if known == file or known.endswith(f"/{file}"):
        return True
    cell = cell_number(bound.code.co_filename)
    return cell is not None and file.split() == ["cell", str(cell)]


def _short_file(bound: BoundName) -> str:
    cell = cell_number(bound.code.co_filename)
    name = bound.code.co_filename.replace("\\", "/").rpartition("/")[2]
    return name if cell is None else f"cell {cell}"


def _source(bound: BoundName) -> SourceFrame:
    file = bound.code.co_filename
    return SourceFrame(
        file,
        bound.line,
        bound.code.co_qualname,
        source_line(file, bound.line),
        cell_number(file),
    )
