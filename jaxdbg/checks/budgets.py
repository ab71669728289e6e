"""Whether a trace or a compilation is over a budget of a region: times, or seconds."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdbg.checks.failure_messages import over_budget, over_seconds
from jaxdbg.checks.session import Session
from jaxdbg.compiles.listener import Phase
from jaxdbg.compiles.recorder import recorder
from jaxdbg.errors import TraceBudgetError, did_you_mean
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


def of_nobody(session: Session) -> list[str]:
    """What to say of budgets for names that no function has, here or earlier.

    Nothing where the region has run no function of the user's: it may be to come.
    """
    seen = session.seen()
    if not seen:
        return []
    known = {*seen, *recorder().names()}
    options = session.options
    budgets = {
        "max_traces": options.max_traces,
        "max_compiles": options.max_compiles,
        "max_compile_seconds": options.max_compile_seconds,
    }
    return [
        f"{option} names {name}, and no function of that name was traced or compiled, "
        f"nor called outside of jit.{did_you_mean(name, seen)}"
        for option, budget in budgets.items()
        for name in (budget if isinstance(budget, Mapping) else ())
        if name not in known
    ]
