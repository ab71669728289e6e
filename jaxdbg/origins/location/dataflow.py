"""What an equation feeds, and what it is near to, in the flow of data."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from typing import Any

from jaxdbg.jax_internals import source_info as provenance
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.origins.found import Site


def is_first_of_its_frames(site: Site, jaxpr: Any) -> bool:
    """Whether no equation before a site, in its body, has the same frames."""
    body, eqn = _levels(site, jaxpr)[-1]
    mine = list(provenance.frames(eqn))
    return not mine or eqn is next(
        e for e in body.eqns if list(provenance.frames(e)) == mine
    )


def feeds_results(site: Site, jaxpr: Any) -> bool:
    """Whether a result of the call depends on a site by other ways than derivatives.

    Arguments:
        site: an equation of the forward pass.
        jaxpr: the closed jaxpr of the call.
    """
    levels = _levels(site, jaxpr)
    reached = set(levels[-1][1].outvars)
    for depth in range(len(levels) - 1, -1, -1):
        body, eqn = levels[depth]
        for later in body.eqns[_index(body, eqn) + 1 :]:
            if "transpose" not in provenance.transforms(later) and any(
                not is_literal(v) and v in reached for v in later.invars
            ):
                reached |= set(later.outvars)
        results = [
            i for i, v in enumerate(body.outvars) if not is_literal(v) and v in reached
        ]
        if depth == 0:
            return bool(results)
        around = levels[depth - 1][1]
        reached = {around.outvars[i] for i in results if i < len(around.outvars)}
    return False


def nearest_argument(site: Site, jaxpr: Any, among: Collection[int]) -> int | None:
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
        body, eqn = levels[depth]
        invars = {v: i for i, v in enumerate(body.invars)}
        order = [invars[v] for v in _by_distance(body, eqn, near) if v in invars]
        if depth == 0:
            return next((i for i in order if i in among), None)
        # The operands of what is around it, the nearest first.
        offset = len(levels[depth - 1][1].invars) - len(body.invars)
        near = [i + offset for i in order if i + offset >= 0]
    return None


def _by_distance(body: Any, eqn: Any, first: Collection[int]) -> Iterator[Any]:
    """Variables of a body in the order of their distance from an equation."""
    users = defaultdict(list)
    for other in body.eqns:
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


def _levels(site: Site, jaxpr: Any) -> list[tuple[Any, Any]]:
    """From outside in, each body on the way to a site and its equation there.

    A body that was rewritten to be evaluated is not to be found again: there the
    equation around it is the last.
    """
    body, levels = getattr(jaxpr, "jaxpr", jaxpr), []
    for n, eqn in enumerate((*site.outer, site.eqn)):
        if n > 0:
            body = _body_with(site.outer[n - 1], eqn)
        if body is None:
            break
        levels.append((body, eqn))
    return levels


def _body_with(around: Any, eqn: Any) -> Any:
    for value in around.params.values():
        for jaxpr in value if isinstance(value, tuple) else (value,):
            body: Any = getattr(jaxpr, "jaxpr", jaxpr)
            if hasattr(body, "eqns") and any(e is eqn for e in body.eqns):
                return body
    return None


def _index(body: Any, eqn: Any) -> int:
    return next(i for i, e in enumerate(body.eqns) if e is eqn)
