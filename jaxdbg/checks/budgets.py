"""Whether a trace or a compilation is over the budget of a region."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdbg.checks.failure_messages import over_budget
from jaxdbg.checks.session import Session
from jaxdbg.compiles.listener import Phase
from jaxdbg.errors import TraceBudgetError
from jaxdbg.options import Options
from jaxdbg.records.finding_kinds import kind_of_stage


def exceeded(session: Session, phase: Phase, times: int) -> TraceBudgetError | None:
    """The failure of a trace or a compilation that is one too many, or None.

    Arguments:
        session: of the region.
        phase: what begins.
        times: how often it was begun for its function in the region, with this time.
    """
    kind = kind_of_stage(phase.phase)
    function = phase.function
    if kind is None or phase.hidden or not function.user:
        return None
    budget = _budget(session.options, kind.name, function.name)
    if budget is None or times <= budget:
        return None
    return over_budget(
        kind.name, session.next_call(function), times, budget, phase.reason
    )


def _budget(options: Options, kind: str, function: str) -> int | None:
    budget = options.max_traces if kind == "traces" else options.max_compiles
    return budget.get(function) if isinstance(budget, Mapping) else budget
