"""What an equation feeds, and what it is near to, in the flow of data."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.higher_order import body_around
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.jax_internals.primitives import MOVES, ROUNDS

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr, Jaxpr, JaxprEqn


def is_first_of_its_frames(site: Site, jaxpr: ClosedJaxpr) -> bool:
    """Whether no equation before a site, in its body, has the same frames."""
    eqn, *_ = (*_of_the_same_frames(site, jaxpr), site.eqn)
    return eqn is _levels(site, jaxpr)[-1][1]


def differentiated(site: Site, jaxpr: ClosedJaxpr) -> str:
    """The primitive that a derivative is of, in the same body; empty if not known.

    Its equation has the frames of the derivative, and comes before it.
    """
    before = itertools.takewhile(
        lambda eqn: eqn is not site.eqn, _of_the_same_frames(site, jaxpr)
    )
    names = (str(eqn.primitive.name) for eqn in before)
    return next((name for name in names if name not in MOVES | ROUNDS), "")


def is_written_before(eqns: Sequence[JaxprEqn], site: Site, jaxpr: ClosedJaxpr) -> bool:
    """Whether what equations of the backward pass are of comes before a site.

    False where that is not found.

    Arguments:
        eqns: an equation, and those it is inside of, from inside out.
        site: an equation of the forward pass.
        jaxpr: the closed jaxpr of the call.
    """
    places = set(filter(None, map(source_info.first_outside_of_jax, eqns)))
    before = False
    for inside, eqn in _levels(site, jaxpr):
        at = _index(inside, eqn)
        for n, other in enumerate(inside.eqns):
            is_forward = "transpose" not in source_info.transforms(other)
            if is_forward and source_info.first_outside_of_jax(other) in places:
                if n >= at:
                    return False
                before = True
    return before


def _of_the_same_frames(site: Site, jaxpr: ClosedJaxpr) -> Iterator[JaxprEqn]:
    """The equations with the frames of a site, in its body; none if it has none."""
    inside, eqn = _levels(site, jaxpr)[-1]
    mine = list(source_info.frames(eqn))
    if mine:
        yield from (e for e in inside.eqns if list(source_info.frames(e)) == mine)


def feeds_results(site: Site, jaxpr: ClosedJaxpr) -> bool:
    """Whether a result of the call depends on a site by other ways than derivatives.

    Arguments:
        site: an equation of the forward pass.
        jaxpr: the closed jaxpr of the call.
    """
    levels = _levels(site, jaxpr)
    reached = set(levels[-1][1].outvars)
    for depth in range(len(levels) - 1, -1, -1):
        inside, eqn = levels[depth]
        for later in inside.eqns[_index(inside, eqn) + 1 :]:
            if "transpose" not in source_info.transforms(later) and any(
                not is_literal(v) and v in reached for v in later.invars
            ):
                reached |= set(later.outvars)
        results = [
            i
            for i, v in enumerate(inside.outvars)
            if not is_literal(v) and v in reached
        ]
        if depth == 0:
            return bool(results)
        around = levels[depth - 1][1]
        reached = {around.outvars[i] for i in results if i < len(around.outvars)}
    return False


def nearest_argument(
    site: Site, jaxpr: ClosedJaxpr, among: Collection[int]
) -> int | None:
    """The argument of the call that is the fewest equations away from a site.

    Arguments:
        site: where to begin; both what an equation is made of and what is made of it
            count as near.
        jaxpr: the closed jaxpr of the call.
        among: indices of the arguments to choose from.
    """
    near: Collection[int] = ()
    levels = _levels(site, jaxpr)
    for depth in range(len(levels) - 1, -1, -1):
        inside, eqn = levels[depth]
        invars = {v: i for i, v in enumerate(inside.invars)}
        order = [invars[v] for v in _by_distance(inside, eqn, near) if v in invars]
        if depth == 0:
            return next((i for i in order if i in among), None)
        # The operands of what is around it, the nearest first.
        entered = body_around(levels[depth - 1][1], eqn)
        near = [entered.operands[i] for i in order] if entered else ()
    return None


def _by_distance(inside: Jaxpr, eqn: JaxprEqn, first: Collection[int]) -> Iterator[Any]:
    """Variables of a body in the order of their distance from an equation."""
    users = defaultdict(list)
    for other in inside.eqns:
        for v in (*other.invars, *other.outvars):
            if not is_literal(v):
                users[v].append(other)
    start = [eqn.invars[i] for i in first] or [*eqn.invars, *eqn.outvars]
    queue, seen, passed = deque[Any](), set(), {id(eqn)}
    queue.extend(v for v in start if not is_literal(v))
    while queue:
        var = queue.popleft()
        if var in seen:
            continue
        seen.add(var)
        yield var
        for other in users[var]:
            if id(other) not in passed:
                passed.add(id(other))
                both = (*other.invars, *other.outvars)
                queue.extend(v for v in both if not is_literal(v))


def _levels(site: Site, jaxpr: ClosedJaxpr) -> list[tuple[Jaxpr, JaxprEqn]]:
    """From outside in, each body on the way to a site and its equation there.

    A body that was rewritten to be evaluated is not to be found again: there the
    equation around it is the last.
    """
    eqns = (*site.outer, site.eqn)
    levels = [(body(jaxpr), eqns[0])]
    for call, eqn in itertools.pairwise(eqns):
        entered = body_around(call, eqn)
        if entered is None:
            break
        levels.append((body(entered.jaxpr), eqn))
    return levels


def _index(inside: Jaxpr, eqn: JaxprEqn) -> int:
    return next(i for i, e in enumerate(inside.eqns) if e is eqn)
