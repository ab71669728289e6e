"""Whether a trace or a compilation is over a budget of a region: times, or seconds."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdbg.checks.failure_messages import over_budget, over_seconds
from jaxdbg.checks.session import Session
from jaxdbg.compiles.listener import Phase
from jaxdbg.errors import TraceBudgetError
from jaxdbg.jax_internals.functions import Function
from jaxdbg.options import Options
from jaxdbg.records import Compilations
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
    budget = _budget(session.options, kind.name, function)
    if budget is None or times <= budget:
        return None
    return over_budget(kind.name, session.asked_by(phase), times, budget, phase.reason)


def too_long(session: Session, phase: Phase) -> TraceBudgetError | None:
    """The failure of compiling that has taken longer than it may, once for each budget.

    Arguments:
        session: of the region.
        phase: what begins now, or the compilation that has ended.
    """
    budget, function = session.options.max_compile_seconds, phase.function
    name, most = "", budget
    if isinstance(budget, Mapping):
        name = function.title if function.title in budget else function.name
        most = budget.get(name)
    if most is None or isinstance(most, Mapping):
        return None
    spent = session.compiling(name)
    if spent <= most or not session.goes_over(name):
        return None
    events = Compilations(session.phases())
    events = events.of(name) if name else events
    return over_seconds(session.asked_by(phase), name, spent, most, events)


def _budget(options: Options, kind: str, function: Function) -> int | None:
    budget = options.max_traces if kind == "traces" else options.max_compiles
    if not isinstance(budget, Mapping):
        return budget
    return budget.get(function.title, budget.get(function.name))
