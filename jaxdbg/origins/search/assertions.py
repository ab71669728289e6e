"""Where an assertion fails, and the origin of the value that it finds not finite.

An assertion inside jitted code is a `check` equation. What it checks was made of the
values by a few equations that compare, reduce and combine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.jaxprs.effects import replayable
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.origins.found import Found
from jaxdbg.origins.search.evaluate import Run
from jaxdbg.origins.search.evaluations import Replay, evaluations_to_check
from jaxdbg.origins.search.follow_back import ends_of_value
from jaxdbg.origins.search.search import origins
from jaxdbg.origins.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Atom, ClosedJaxpr, JaxprEqn, Var

MAX_STEPS = 200_000
"""How many equations are looked at, back from an assertion."""


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that fails again.

    Attributes:
        site: the check.
        found: the origin of the first value it is about that is not finite; None where
            there is no such value.
    """

    site: Site
    found: Found | None = None


def failed_check(
    jaxpr: ClosedJaxpr, args: Sequence[Any], text: str, time_limit: TimeLimit
) -> FailedCheck | None:
    """The check that fails in a call; None where none does when it is evaluated again.

    Arguments:
        jaxpr: of the call, with its checks.
        args: its flat arguments, as they were before the call.
        text: of the check that failed in the call.
        time_limit: how long this may take.

    Raises:
        OutOfTime: the time is up.
        NotReplayable: it cannot be evaluated again without the user noticing.
    """
    replayable(jaxpr)
    for evaluated in evaluations_to_check(Replay(jaxpr, args, (), time_limit), text):
        root = evaluated.root
        if evaluated.failed is None:
            continue
        run, n = evaluated.failed
        site, var = run.site(n), _not_finite(run, n)
        if var is None:
            return FailedCheck(site)
        sweep = ends_of_value(run, n, var, root)
        return FailedCheck(site, origins(evaluated, sweep)[0])
    return None


def _not_finite(run: Run, n: int) -> Var | None:
    """The first value that a check tests for finiteness, and that is not finite."""
    makers = {id(v): (k, e) for k, e in enumerate(run.eqns[:n]) for v in e.outvars}
    tested = _tested(run.eqns[n], makers)
    return next((tested[k] for k in sorted(tested) if tested[k] in run.bad), None)


def _tested(check: JaxprEqn, makers: dict[int, tuple[int, JaxprEqn]]) -> dict[int, Var]:
    found: dict[int, Var] = {}
    seen: set[int] = set()
    left = [v for v in check.invars[:1] if not is_literal(v)]
    while left and len(seen) < MAX_STEPS:
        var = left.pop()
        if id(var) not in makers or id(var) in seen:
            continue
        seen.add(id(var))
        n, eqn = makers[id(var)]
        operands = [v for v in eqn.invars if not is_literal(v)]
        if eqn.primitive.name != "is_finite":
            left += operands
        elif operands and not _is_verdict(operands[0], makers):
            found[n] = operands[0]
    return found


def _is_verdict(var: Atom, makers: dict[int, tuple[int, JaxprEqn]]) -> bool:
    """Whether this is chex's own vector: NaN or 0 for each leaf it looked at."""
    return id(var) in makers and makers[id(var)][1].primitive.name == "concatenate"
