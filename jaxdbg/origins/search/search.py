"""From non-finite outputs of a call back to where their values were born.

The call is evaluated once more (`evaluate`), then the bad elements of an output are
followed back through the equations, all at once, each only along what it was made from
(`dependence`). A bad element made from no bad one was born there. The ancestors of a
NaN are first the NaNs it was made from; of the earliest NaN then the Infs it was born
from.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np

from jaxdbg.errors import NotOffered
from jaxdbg.jax_internals.jaxprs.effects import replayable
from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.higher_order import Sharded, structure
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.jax_internals.without_mesh import without_devices
from jaxdbg.origins.bad_elements import (
    INF,
    KINDS,
    NAN,
    NEG_INF,
    Codes,
    Mask,
    among,
    codes_of,
    distinct,
    first_element,
)
from jaxdbg.origins.found import Birth, Found
from jaxdbg.origins.search.dependence import links
from jaxdbg.origins.search.evaluate_here import EvaluatedHere
from jaxdbg.origins.search.evaluations import (
    Disagrees,
    Evaluated,
    EvaluatedByCompiler,
    Replay,
    evaluations,
)
from jaxdbg.origins.search.follow_back import (
    DIRECT,
    MIXED,
    BornElements,
    Ends,
    PlacedElements,
    ends_of,
    ends_of_infs,
    ends_of_outputs,
)
from jaxdbg.origins.search.time_limit import OutOfTime, TimeLimit
from jaxdbg.origins.zero_factors import zero_factors
from jaxdbg.views import words

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr

_Any = TypeVar("_Any", Found, Found | None)

Allowed = Callable[[Site, str], bool]
"""Whether the user allows a kind of value at an equation."""


def _nothing(site: Site, kind: str) -> bool:
    return False


MAX_ORIGINS = 8
"""How many origins of one output are looked into."""


def search(
    jaxpr: ClosedJaxpr,
    args: Sequence[Any],
    bad_outputs: Sequence[int],
    time_limit: TimeLimit | None = None,
    seen: Mapping[int, Any] | None = None,
    allowed: Allowed = _nothing,
) -> dict[int, Found]:
    """Where the bad values in some outputs of a call come from.

    Outputs are taken one after the other, the one that is made first first. After the
    first that holds a value that was born, or came in and spread, the others are looked
    at as far as a short time allows.

    Arguments:
        jaxpr: the closed jaxpr of the call.
        args: its flat arguments, as they were before the call.
        bad_outputs: indices of outputs that hold NaN or Inf.
        time_limit: how long this may take; a minute by default.
        seen: by index, the value of an output in the call itself; elements that were
            finite there are left out, and a difference is noted.
        allowed: whether the user allows a kind of value that is born, or placed, at an
            equation. It is passed over for what is not.

    Raises:
        OutOfTime: the time is up.
        NotReplayable: it cannot be evaluated again without the user noticing.
    """
    replayable(jaxpr)
    time_limit = time_limit or TimeLimit()
    first, *rest = by_time(jaxpr, bad_outputs)
    found: dict[int, Found] = {}

    def look(outputs: Sequence[int], limit: TimeLimit) -> None:
        call = Replay(jaxpr, args, outputs, limit)
        ways, compiled = evaluations(call), EvaluatedByCompiler(call)
        common = CommonBirth(outputs, allowed)
        for i in outputs:
            value = None if seen is None else seen.get(i)
            look = functools.partial(_found, i, value, allowed, common=common)
            found[i] = _answer(ways, look)
            if found[i].candidate or found[i].verdict == "not reproduced":
                found[i] = _of_compiled(compiled, look, found[i])

    # The first alone: most often that is enough, and needs but a part of the call.
    look([first], time_limit)
    if not found[first].is_failure:
        look(rest, time_limit)
    else:
        with contextlib.suppress(OutOfTime, KeyboardInterrupt):
            look(rest, time_limit.short())
    return found


def search_here(
    jaxpr: ClosedJaxpr,
    args: Sequence[Any],
    bad_outputs: Sequence[int],
    time_limit: TimeLimit,
    seen: Mapping[int, Any],
    allowed: Allowed = _nothing,
) -> dict[int, Found]:
    """Where bad values come from in a call in several processes, as far as is known.

    Only what the shards of this process prove is there: a value that was born, or came
    in and spread. Other processes may hold more origins, and earlier ones. Arguments
    and errors are those of `search`, and:

    Raises:
        NotOffered: one process alone cannot evaluate it.
    """
    replayable(jaxpr)
    found: dict[int, Found] = {}
    with without_devices():
        evaluated = EvaluatedHere(Replay(jaxpr, args, bad_outputs, time_limit))
        for i in by_time(jaxpr, bad_outputs):
            one = _found(i, seen.get(i), allowed, evaluated)
            if one.is_failure and not one.candidate:
                note = _HERE.format(jax.process_index())
                found[i] = replace(one, notes=(*one.notes, note))
    return found


def first_birth(
    jaxpr: ClosedJaxpr,
    args: Sequence[Any],
    time_limit: TimeLimit | None = None,
    allowed: Allowed = _nothing,
) -> Found | None:
    """The first NaN or +Inf that any operation of a call gives birth to, or None.

    Unlike `search` this also finds what never reaches an output. Arguments and errors
    are those of `search`.
    """
    replayable(jaxpr)
    outputs = range(len(jaxpr.out_avals))
    call = Replay(jaxpr, args, outputs, time_limit or TimeLimit())
    return _answer(evaluations(call), functools.partial(_first, allowed))


def _answer(ways: Sequence[Evaluated], look: Callable[[Evaluated], _Any]) -> _Any:
    """The answer of the first evaluation that reproduces the failure, best in kind."""
    candidate = None
    for evaluated in ways:
        with contextlib.suppress(*((Disagrees,) if evaluated is not ways[-1] else ())):
            found = look(evaluated)
            if found is None or found.verdict == "not reproduced":
                continue
            if not found.candidate:
                return found
            candidate = candidate or found
    return candidate or found


def _of_compiled(
    compiled: EvaluatedByCompiler, look: Callable[[Evaluated], Found], known: Found
) -> Found:
    """What the compiled program's own values say; what is known if they say no more."""
    try:
        found = look(compiled)
    except OutOfTime:
        raise
    except NotOffered:
        return known
    except Exception as error:
        return replace(known, broke=error)
    origins = (found, *found.also)
    births = [f.birth for f in origins if f.birth is not None]
    is_inside = any(structure(b.site.eqn) is not None for b in births)
    if found.candidate or found.verdict == "not reproduced" or is_inside:
        return known
    return replace(found, notes=(*found.notes, _COMPILED))


def _first(allowed: Allowed, evaluated: Evaluated) -> Found | None:
    births = evaluated.until_birth(lambda b: not _is_allowed(b, allowed))
    return origins(evaluated, Ends(births=births), allowed)[0] if births else None


def _is_allowed(end: BornElements | PlacedElements, allowed: Allowed) -> bool:
    return end.n >= 0 and allowed(end.run.site(end.n), KINDS[end.code])


def by_time(jaxpr: ClosedJaxpr, outputs: Sequence[int]) -> list[int]:
    """Outputs in the order in which they are made."""
    inside = body(jaxpr)
    made = {v: n for n, eqn in enumerate(inside.eqns) for v in eqn.outvars}

    def when(output: int) -> tuple[int, int]:
        atom = inside.outvars[output]
        return (-1 if is_literal(atom) else made.get(atom, -1)), output

    return sorted(outputs, key=when)


def depends(jaxpr: ClosedJaxpr, origin: Found) -> set[int]:
    """Outputs that are computed from what an origin gave, by the equations alone."""
    inside = body(jaxpr)
    site = origin.birth.site if origin.birth is not None else origin.placed_at
    if site is not None:
        start = site.path[0][0]
        from_it = set(inside.eqns[start].outvars)
    else:
        start = -1
        from_it = {inside.invars[origin.argument]} if origin.argument >= 0 else set()
    for eqn in inside.eqns[start + 1 :]:
        if any(not is_literal(v) and v in from_it for v in eqn.invars):
            from_it.update(eqn.outvars)
    ends = enumerate(inside.outvars)
    return {i for i, v in ends if not is_literal(v) and v in from_it}


# -- what is found --------------------------------------------------------------------


FEW = 16
"""So many outputs are followed back one by one, each to its own element."""


class CommonBirth:
    """The one operation that all bad outputs of a call come from, where there is one.

    A birth in a model reaches each of its leaves, its optimizer's, and the loss: they
    are followed back together, once, since one by one takes longer than compiling.

    Arguments:
        outputs: the outputs that are bad.
        allowed: whether the user allows a kind of value at an equation.
    """

    def __init__(self, outputs: Sequence[int], allowed: Allowed):
        self._outputs = outputs
        self._allowed = allowed
        self._known: list[tuple[Evaluated, Found | None]] = []

    def of(self, evaluated: Evaluated, kind: str) -> Found | None:
        """What bad elements of that kind come from, if all come from one birth."""
        if not self.are_many or kind != "nan":
            return None
        for known, found in self._known:
            if known is evaluated:
                return found
        self._known.append((evaluated, self._look(evaluated)))
        return self._known[-1][1]

    @property
    def are_many(self) -> bool:
        """Whether it would take long to follow back each output to its own element."""
        return len(self._outputs) > FEW

    def _look(self, evaluated: Evaluated) -> Found | None:
        root = evaluated.root
        outputs = ((i, root.codes(root.body.outvars[i])) for i in self._outputs)
        bad = {i: (c != 0) & (c != NEG_INF) for i, c in outputs if c is not None}
        sweep = ends_of_outputs(root, bad)
        others = sweep.came or sweep.placed or sweep.opaque
        births = {(b.run.path, *b.order, b.output, b.code) for b in sweep.births}
        if others or len(births) != 1:
            return None
        found, *also = origins(evaluated, sweep, self._allowed)
        if found.verdict != "born" or also:
            return None
        # A product on the way is told of an output whose way it is on.
        is_on_each_way = found.turns or found.kind != "nan" or sweep.product is None
        return found if is_on_each_way else None


def _found(
    output: int,
    seen: Any,
    allowed: Allowed,
    evaluated: Evaluated,
    common: CommonBirth | None = None,
) -> Found:
    root = evaluated.root
    codes = root.codes(root.body.outvars[output])
    before = codes_of(seen) if seen is not None else codes
    if codes is None or before is None:
        return Found("not reproduced", _worst(before), notes=(_FINITE,))
    bad = (codes != 0) & (before != 0)
    if not bad.any():
        return Found("not reproduced", _worst(before), notes=(_ELSEWHERE,))
    notes = _differences(codes, before, bad)
    alike = bad & (codes == before)
    bad = alike if alike.any() else bad
    # -Inf alone is a mask or the log of zero; beside others it is not what counts, but
    # where these are masks.
    counts = bad & (codes != NEG_INF)
    followed = counts if counts.any() else bad
    kind = _worst(before * followed)
    found = common.of(evaluated, kind) if common else None
    if found is None:
        exact = common is None or not common.are_many
        found = _followed(output, followed, kind, allowed, evaluated, exact)
    if not found.is_failure and (others := bad & ~followed).any():
        of_others = _followed(output, others, KINDS[NEG_INF], allowed, evaluated)
        if of_others.is_failure or found.verdict == "allowed":
            found = of_others
    notes = (*notes, *found.notes, *_on_a_mesh(found.birth))
    return replace(found, notes=notes, candidate=not alike.any())


def _followed(
    output: int,
    followed: Mask,
    wanted: str,
    allowed: Allowed,
    evaluated: Evaluated,
    exact: bool = True,
) -> Found:
    """What some bad elements of an output come from.

    Arguments:
        output: its index.
        followed: the elements.
        wanted: the kind of value that they are.
        allowed: what the user allows.
        evaluated: the call, evaluated again.
        exact: whether to find out which of them comes from the first origin.
    """
    root = evaluated.root
    codes = root.codes(root.body.outvars[output])
    assert codes is not None
    sweep, tests = ends_of(root, output, followed), False
    if not sweep.births and not sweep.came:
        # Placed, it seems; unless something that is bad has led to that.
        led, tests = ends_of(root, output, followed, tests=True), True
        sweep = led if led.births or led.came else sweep
    found, *also = origins(evaluated, sweep, allowed, wanted)
    if found.verdict == "allowed":
        return found
    if not exact:
        return replace(found, also=tuple(also))
    ends = functools.partial(ends_of, evaluated.root, output, tests=tests)
    element = _descendant(ends, followed, codes, found)
    return replace(found, output_element=element, also=tuple(also))


_COMPILED = (
    "these are the values of the compiled program; run one by one, its operations give "
    "others"
)
_HERE = (
    "found in the shards of process {} alone; what the other processes hold was not "
    "looked at"
)
_FINITE = "evaluated again, operation by operation, it is finite"
_ELSEWHERE = "evaluated again, operation by operation, other elements are bad"


def _differences(codes: Codes, before: Codes, bad: Mask) -> tuple[str, ...]:
    differ = bad & (codes != before)
    if not differ.any():
        return ()
    at = first_element(differ)
    was, now = (words.KINDS[KINDS[int(c[at])]] for c in (before, codes))
    return (
        f"the compiled program gave {was} where the operations one by one give {now}",
    )


def _on_a_mesh(birth: Birth | None) -> tuple[str, ...]:
    outer = map(structure, birth.site.outer) if birth else ()
    maps = [around for around in outer if isinstance(around, Sharded)]
    if not maps:
        return ()
    axes = ", ".join(f"{_axis(name)} ({n})" for name, n in maps[-1].sizes.items())
    return (f"inside shard_map and pmap, arrays have axes of the mesh: {axes}",)


def _axis(name: str) -> str:
    """The name of an axis; pmap makes one up where the user has none."""
    return "devices" if str(name).startswith(("<", "_internal")) else name


def _worst(codes: Codes | None) -> str:
    if codes is None:
        return "nan"
    return KINDS[min(distinct(codes))]


def _meant(sweep: Ends, allowed: Allowed) -> tuple[Ends, Found | None]:
    """The ends that the user does not allow; if there are none, what was allowed."""
    ends: list[BornElements | PlacedElements] = [*sweep.births, *sweep.placed]
    meant = [end for end in ends if _is_allowed(end, allowed)]
    if not meant:
        return sweep, None
    births = [b for b in sweep.births if b not in meant]
    placed = [p for p in sweep.placed if p not in meant]
    if births or sweep.came or any(p.mixed for p in placed):
        return replace(sweep, births=births, placed=placed), None
    sites = tuple(end.run.site(end.n) for end in meant)
    return sweep, Found("allowed", KINDS[meant[0].code], allowed=sites)


def origins(
    evaluated: Evaluated,
    sweep: Ends,
    allowed: Allowed = _nothing,
    wanted: str = "nan",
) -> list[Found]:
    """The origins among the ends of a search, by the order of evaluation.

    Arguments:
        evaluated: the evaluation that was searched.
        sweep: all that was found.
        allowed: what the user allows.
        wanted: the kind of the value in the call. What gave an Inf there was hardly a
            NaN on the way: births of Infs come first.
    """
    sweep, meant = _meant(sweep, allowed)
    if meant is not None:
        return [meant]
    if not sweep.births:
        return [_with_product(evaluated, sweep, _not_born(sweep))]
    found: list[Found] = []
    different = _one_of_each(sweep.births)
    evaluated.keep(different)
    for born in itertools.chain(*map(_apart, different)):
        origin = _origin(evaluated, born, sweep, allowed, wanted)
        if not any(map(origin.same, found)):
            found.append(origin)
    if len(found) == 1:
        return [_with_product(evaluated, sweep, found[0])]
    of_infs = wanted != "nan"
    return sorted(found, key=lambda f: (of_infs and f.kind == "nan", f.order))


def _one_of_each(births: Sequence[BornElements]) -> list[BornElements]:
    """The first birth at each equation, and of these the first ones."""
    of_each: dict[Any, BornElements] = {}
    for born in sorted(births, key=lambda b: b.order):
        of_each.setdefault((born.run.path, born.n), born)
    return list(of_each.values())[:MAX_ORIGINS]


def _apart(born: BornElements) -> list[BornElements]:
    """The NaNs of an operation that are made of an Inf, apart from those that are not.

    The Inf has an origin of its own, which is earlier.
    """
    if born.code != NAN:
        return [born]
    record, eqn = born.run.records[born.n], born.run.eqns[born.n]
    of_inf = np.zeros(born.elements.shape, bool)
    of_each = links(eqn, record.operands, born.output)
    for link, codes in zip(of_each, record.codes, strict=True):
        if link is not None and codes is not None:
            of_inf = of_inf | link.forward(among(codes, (INF, NEG_INF)))
    parts = [born.elements & of_inf, born.elements & ~of_inf]
    parts = sorted((p for p in parts if p.any()), key=first_element)
    return [replace(born, elements=part) for part in parts]


def _origin(
    evaluated: Evaluated,
    born: BornElements,
    sweep: Ends,
    allowed: Allowed,
    wanted: str,
) -> Found:
    """The origin of what was born: itself, or the Inf that it was born from."""
    element = first_element(born.elements)
    birth = evaluated.birth(born, element)
    itself = Found("born", birth.kind, birth, notes=_notes(sweep), order=born.order)
    if born.code != NAN:
        return itself
    before = ends_of_infs(evaluated.root, born, element)
    notes = _notes(before) or _notes(sweep)
    infs = [b for b in before.births if not _is_allowed(b, allowed)]
    if infs:
        first = min(infs, key=lambda b: (KINDS[b.code] != wanted, b.order))
        if wanted == "nan":
            first = min(infs, key=lambda b: b.order)
        inf = evaluated.birth(first, first_element(first.elements))
        turns = (birth,)
        return Found("born", inf.kind, inf, turns=turns, notes=notes, order=first.order)
    if before.came and not before.births:
        return replace(_not_born(before), spread=True, turns=(birth,))
    if before.placed and _mixes(birth, born.output):
        return replace(_placed(before), spread=True, turns=(birth,))
    return replace(itself, notes=notes)


def _mixes(birth: Birth, output: int) -> bool:
    """Whether an operation mixes elements: a dot, a sum."""
    found = links(birth.site.eqn, birth.operands, output)
    return any(link is not None and NAN in link.mixes for link in found)


def _with_product(evaluated: Evaluated, sweep: Ends, found: Found) -> Found:
    """What was found, with the product that made more of a NaN than there was."""
    product = sweep.product
    if found.turns or found.kind != "nan":
        return found
    if product is None:
        came = found.verdict == "came in" and found.spread
        return replace(found, product=_masked(evaluated, sweep)) if came else found
    if found.birth is not None and product.is_at(found.birth.site):
        return found
    element = first_element(product.elements)
    return replace(found, product=evaluated.birth(product, element))


def _masked(evaluated: Evaluated, sweep: Ends) -> Birth | None:
    """The first product that a NaN went through for which the other factor is 0."""
    factors = sweep.factors[::-1]
    evaluated.keep(factors)
    products = (evaluated.birth(f, first_element(f.elements)) for f in factors)
    return next((product for product in products if zero_factors(product)), None)


def _not_born(sweep: Ends) -> Found:
    spread = {n: (w & MIXED).any() for n, (w, _) in sweep.came.items()}
    placed = _placed(sweep)
    if not sweep.came or (placed.spread and not any(spread.values())):
        return placed
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


def _placed(sweep: Ends) -> Found:
    """What a literal or a constant is; the first that was mixed, if any was."""
    placed = sweep.placed
    if not placed:
        return Found("placed", KINDS[NAN])
    # Where only arrays could be followed, it is not known that it was mixed.
    mixed = [p for p in placed if p.mixed] if not sweep.opaque else []
    first = min(mixed or placed, key=lambda p: (p.code, p.order))
    return Found(
        "placed",
        KINDS[first.code],
        spread=bool(mixed),
        notes=_notes(sweep),
        placed_at=first.run.site(first.n) if first.n >= 0 else None,
        order=first.order,
    )


def _notes(sweep: Ends) -> tuple[str, ...]:
    if not sweep.opaque:
        return ()
    names = ", ".join(sorted(sweep.opaque))
    return (f"through {names} only whole arrays were followed, not elements",)


def _descendant(
    ends: Callable[[Mask], Ends], followed: Mask, codes: Codes, found: Found
) -> tuple[int, ...]:
    """The first element of the output that comes from the origin that was found.

    Most often it is the first bad one; else halves are tried.
    """
    first = first_element(followed & (codes == codes[followed].min()))
    candidates = np.argwhere(followed)
    alone = _only(followed.shape, [first])
    if len(candidates) == 1 or _leads_to(ends(alone), found):
        return first
    while len(candidates) > 1:
        half = candidates[: len(candidates) // 2]
        fits = _leads_to(ends(_only(followed.shape, half)), found)
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
            b.is_at(birth.site) and b.elements[birth.element] for b in sweep.births
        )
    if found.turns:
        return bool(sweep.births)
    if found.argument >= 0:
        came = sweep.came.get(found.argument)
        return came is not None and bool(came[0][found.element])
    if found.placed_at is not None:
        path = found.placed_at.path
        return any(p.n >= 0 and p.run.site(p.n).path == path for p in sweep.placed)
    return True
