"""From bad outputs of a call back to where their badness was born.

The call is evaluated once more (`recording`), then the bad elements of an output are
followed back through the equations, all at once, each only along what it was made from
(`links`). A bad element made from none that is bad was born there. The ancestors of a
NaN are first the NaNs it was made from; of the earliest NaN then the Infs it was born
from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
import numpy as np

from jaxdbg.hooks._compat import is_literal
from jaxdbg.jaxprs import bind_equation, replayable, without_callbacks
from jaxdbg.origins.badness import (
    INF,
    KINDS,
    NAN,
    NEG_INF,
    Codes,
    Mask,
    codes_of,
    distinct,
    first_element,
)
from jaxdbg.origins.births import Birth, Element, Found
from jaxdbg.origins.host import Host
from jaxdbg.origins.links import links
from jaxdbg.origins.lookback import (
    DIRECT,
    MIXED,
    Born,
    Ends,
    born_at,
    ends_of,
    ends_of_infs,
)
from jaxdbg.origins.patience import Patience
from jaxdbg.origins.recording import Kept, Order, Recorder, Run

_Any = TypeVar("_Any", Found, Found | None)


def search(
    jaxpr: Any,
    args: Sequence[Any],
    bad_outputs: Sequence[int],
    patience: Patience | None = None,
    seen: Mapping[int, Any] | None = None,
) -> dict[int, Found]:
    """Where the bad values in some outputs of a call come from.

    Outputs are taken one after the other, the one that is made first first, and the
    search ends with the first that holds a value that was born.

    Arguments:
        jaxpr: the closed jaxpr of the call.
        args: its flat arguments, as they were before the call.
        bad_outputs: indices of outputs that hold NaN or Inf.
        patience: how long this may take; a minute by default.
        seen: by index, what the call gave for an output; what was good there is not
            blamed, and a difference is noted.

    Raises:
        OutOfTime: the patience is at its end.
        NotReplayable: it cannot be evaluated again without the user noticing.
    """
    replayable(jaxpr)
    patience = patience or Patience()
    found: dict[int, Found] = {}
    for i in _by_time(jaxpr, bad_outputs):
        call = _Call(jaxpr, args, [i], patience)
        gave = None if seen is None else seen.get(i)
        found[i] = _in_numpy_or_xla(call, functools.partial(_found, i, gave))
        if found[i].verdict == "born":
            break
    return found


def first_birth(
    jaxpr: Any, args: Sequence[Any], patience: Patience | None = None
) -> Found | None:
    """The first NaN or +Inf that any operation of a call gives birth to, or None.

    Unlike `search` this also finds what never reaches an output. Arguments and errors
    are those of `search`.
    """
    replayable(jaxpr)
    outputs = range(len(jaxpr.out_avals))
    call = _Call(jaxpr, args, outputs, patience or Patience())
    return _in_numpy_or_xla(call, _first)


def _in_numpy_or_xla(call: _Call, look: Callable[[_Evaluated], _Any]) -> _Any:
    """What a look gives at values from numpy, if XLA agrees; or else from XLA."""
    if _is_on_host(call.args):
        try:
            found = look(_Evaluated(call, Host((*call.args, *call.jaxpr.consts))))
        except _Disagrees:
            pass
        else:
            if found is not None and found.verdict != "not reproduced":
                return found
    return look(_Evaluated(call))


def _is_on_host(args: Sequence[Any]) -> bool:
    arrays = [a for a in args if isinstance(a, jax.Array)]
    platforms = {d.platform for a in arrays for d in a.devices()}
    return (platforms or {jax.default_backend()}) == {"cpu"}


def _first(evaluated: _Evaluated) -> Found | None:
    births = evaluated.until_birth()
    return _story(evaluated, births, Ends()) if births else None


def _by_time(jaxpr: Any, outputs: Sequence[int]) -> list[int]:
    """Outputs in the order in which they are made."""
    body = jaxpr.jaxpr
    made = {v: n for n, eqn in enumerate(body.eqns) for v in eqn.outvars}

    def when(output: int) -> tuple[int, int]:
        atom = body.outvars[output]
        return (-1 if is_literal(atom) else made.get(atom, -1)), output

    return sorted(outputs, key=when)


# -- what is found --------------------------------------------------------------------


class _Stopped(Exception):
    def __init__(self, births: list[Born]):
        super().__init__()
        self.births = births


class _Disagrees(Exception):
    """An operation does not give in XLA what it gave in numpy."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What is evaluated again, as far as some outputs depend on it."""

    jaxpr: Any
    args: Sequence[Any]
    outputs: Collection[int]
    patience: Patience


class _Evaluated:
    """A call that was evaluated again, and can be again for what was not kept.

    Attributes:
        root: the run of the call.
    """

    def __init__(self, call: _Call, host: Host | None = None):
        self._call = call
        self._host = host
        self.root = Run(call.jaxpr)

    def _record(self, **options: Any) -> None:
        call = self._call
        recorder = Recorder(call.patience, host=self._host, **options)
        recorder.record(self.root, call.args, call.outputs)

    def evaluate(self, keep: Collection[Order] = ()) -> None:
        """Evaluates all, and keeps the operands of some equations in any case."""
        self.root = Run(self._call.jaxpr)
        self._record(keep=keep)

    def until_birth(self) -> list[Born]:
        """Evaluates up to the first birth of a NaN or +Inf; what is born there."""

        def told(run: Run, n: int) -> None:
            births = [b for b in born_at(run, n) if b.code != NEG_INF]
            if births:
                raise _Stopped(births)

        try:
            self._record(told=told, step_all=True)
        except _Stopped as stopped:
            return stopped.births
        return []

    def run_at(self, order: Order) -> Run:
        """The run that an equation is in."""
        run = self.root
        for n, iteration in zip(order[:-1:2], order[1:-1:2], strict=True):
            run = run.inner[n].runs[iteration]
        return run

    def birth(self, born: Born, element: tuple[int, ...]) -> Birth:
        """The birth of one element, with operands and result."""
        run = born.run
        if not run.kept[born.n].whole:
            self.evaluate(keep={born.order})
            run = self.run_at(born.order)
        kept = run.kept[born.n]
        eqn = run.body.eqns[born.n]
        alone = np.zeros(born.elements.shape, bool)
        alone[element] = True
        return Birth(
            kind=KINDS[born.code],
            site=run.site(born.n),
            operands=tuple(kept.operands),
            result=self._confirmed(eqn, kept, born, element),
            element=element,
            operand_elements=_operand_elements(eqn, kept.operands, born.output, alone),
        )

    def _confirmed(
        self, eqn: Any, kept: Kept, born: Born, element: tuple[int, ...]
    ) -> Any:
        """What an equation gave; if numpy said so, then what XLA gives."""
        if self._host is None:
            return kept.outs[born.output]
        result = bind_equation(without_callbacks(eqn), kept.operands)[born.output]
        codes = codes_of(result)
        if codes is None or codes[element] != born.code:
            raise _Disagrees
        return result


def _operand_elements(
    eqn: Any, operands: Sequence[Any], output: int, alone: Mask
) -> tuple[Element, ...]:
    """For each operand the element the result's was made from, where it is one."""
    elements: list[Element] = []
    for link in links(eqn, operands, output):
        made_from = alone[:0] if link is None else link.backward(alone)
        elements.append(first_element(made_from) if made_from.sum() == 1 else None)
    return tuple(elements)


def _found(output: int, seen: Any, evaluated: _Evaluated) -> Found:
    evaluated.evaluate()
    root = evaluated.root
    codes = root.codes(root.body.outvars[output])
    before = codes_of(seen) if seen is not None else codes
    if codes is None or before is None:
        return Found("not reproduced", _worst(before), notes=(_FINITE,))
    bad = (codes != 0) & (before != 0)
    if not bad.any():
        return Found("not reproduced", _worst(before), notes=(_ELSEWHERE,))
    notes = _differences(codes, before, bad)
    # -Inf alone is a mask or the log of zero; beside others it is not what counts.
    counts = bad & (codes != NEG_INF)
    followed = counts if counts.any() else bad
    sweep = ends_of(root, output, followed)
    found = _story(evaluated, sweep.births, sweep)
    element = _descendant(root, output, followed, codes, found)
    notes = (*notes, *found.notes, *_on_a_mesh(found.birth))
    return replace(found, output_element=element, notes=notes)


_FINITE = "evaluated again, operation by operation, it is finite"
_ELSEWHERE = "evaluated again, operation by operation, other elements are bad"


def _differences(codes: Codes, before: Codes, bad: Mask) -> tuple[str, ...]:
    differ = bad & (codes != before)
    if not differ.any():
        return ()
    at = first_element(differ)
    was, now = _WORDS[int(before[at])], _WORDS[int(codes[at])]
    return (
        f"the compiled program gave {was} where the operations one by one give {now}",
    )


_WORDS = {NAN: "NaN", INF: "Inf", NEG_INF: "-Inf"}


def _on_a_mesh(birth: Birth | None) -> tuple[str, ...]:
    maps = (
        [e for e in birth.site.outer if e.primitive.name == "shard_map"]
        if birth
        else []
    )
    if not maps:
        return ()
    axes = ", ".join(f"{k} ({n})" for k, n in maps[-1].params["mesh"].shape.items())
    return (
        f"inside shard_map arrays are shown with the axes of the mesh in front: {axes}",
    )


def _worst(codes: Codes | None) -> str:
    if codes is None:
        return "nan"
    return KINDS[min(distinct(codes))]


def _story(evaluated: _Evaluated, births: Sequence[Born], sweep: Ends) -> Found:
    """The origin among what a look back has met: the earliest birth, if any."""
    if not births:
        return _not_born(sweep)
    first = min(births, key=lambda b: (b.code != NAN, b.order))
    element = first_element(first.elements)
    birth = evaluated.birth(first, element)
    if first.code != NAN:
        return Found("born", birth.kind, birth, notes=_notes(sweep))
    before = ends_of_infs(evaluated.root, first, element)
    notes = _notes(before) or _notes(sweep)
    if before.births:
        earliest = min(before.births, key=lambda b: b.order)
        inf = evaluated.birth(earliest, first_element(earliest.elements))
        return Found("born", inf.kind, inf, turns=(birth,), notes=notes)
    if before.came:
        return replace(_not_born(before), spread=True, turns=(birth,))
    return Found("born", birth.kind, birth, notes=notes)


def _not_born(sweep: Ends) -> Found:
    if not sweep.came:
        return Found("placed", KINDS[min(sweep.placed, default=NAN)])
    spread = {n: (w & MIXED).any() for n, (w, _) in sweep.came.items()}
    argument = max(sweep.came, key=lambda n: (spread[n], -n))
    wanted, codes = sweep.came[argument]
    element = first_element(wanted >= (MIXED if spread[argument] else DIRECT))
    return Found(
        "came in",
        KINDS[int(codes[element])],
        argument=argument,
        element=element,
        spread=bool(spread[argument]),
        notes=_notes(sweep),
    )


def _notes(sweep: Ends) -> tuple[str, ...]:
    if not sweep.opaque:
        return ()
    names = ", ".join(sorted(sweep.opaque))
    return (f"through {names} only whole arrays were followed, not elements",)


def _descendant(
    root: Run, output: int, followed: Mask, codes: Codes, found: Found
) -> tuple[int, ...]:
    """The first element of the output that comes from the origin that was found.

    Most often it is the first bad one; else halves are tried.
    """
    first = first_element(followed & (codes == codes[followed].min()))
    candidates = np.argwhere(followed)
    alone = _only(followed.shape, [first])
    if len(candidates) == 1 or _leads_to(ends_of(root, output, alone), found):
        return first
    while len(candidates) > 1:
        half = candidates[: len(candidates) // 2]
        fits = _leads_to(ends_of(root, output, _only(followed.shape, half)), found)
        candidates = half if fits else candidates[len(candidates) // 2 :]
    return tuple(int(i) for i in candidates[0])


def _only(shape: tuple[int, ...], elements: Iterable[Any]) -> Mask:
    mask = np.zeros(shape, bool)
    for element in elements:
        mask[tuple(element)] = True
    return mask


def _leads_to(sweep: Ends, found: Found) -> bool:
    if found.verdict == "born":
        birth = found.turns[0] if found.turns else found.birth
        assert birth is not None
        return any(
            b.run.site(b.n).path == birth.site.path
            and b.run.loop == birth.site.loop
            and b.elements[birth.element]
            for b in sweep.births
        )
    if found.turns:
        return bool(sweep.births)
    if found.argument >= 0:
        came = sweep.came.get(found.argument)
        return came is not None and bool(came[0][found.element])
    return True
