"""How the calls of one jaxpr are run and checked: worked out once for each jaxpr."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from jaxdbg.checks import every_op
from jaxdbg.checks.calls.call import Layout, Run, UserPlace
from jaxdbg.checks.known_failures import Failures
from jaxdbg.checks.known_masks import Masks
from jaxdbg.jax_internals.arrays import REF, can_be_non_finite
from jaxdbg.jax_internals.chex.functionalise import (
    Functionalised,
    functionalise,
    with_outputs,
)
from jaxdbg.jax_internals.chex.under_vmap import has_checks
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.interpose import Invocation, our_own_work
from jaxdbg.jax_internals.jaxprs.effects import replayable
from jaxdbg.jax_internals.jaxprs.in_several import runs_in_several
from jaxdbg.options import Options
from jaxdbg.trees import finiteness
from jaxdbg.trees.copies import copied_at


class Outcome(NamedTuple):
    """What a call returned: the user's outputs, and those that were added."""

    outs: list[Any]
    error: Any
    ops: Any


@dataclass(slots=True)
class Plan:
    """How calls of one jaxpr are run, and what has been learnt from them.

    Attributes:
        layout: which arguments and outputs need a look.
        checked: the jaxpr with its checks as outputs, where there are any.
        every_op: the jaxpr with an output that flags each operation, if asked for.
        in_several: whether the calls run in several processes. Then the program must be
            the same in all of them, and nothing is added to it.
        masks: bad elements of the outputs that have proved to be no failure.
        failures: those that have been looked into often enough.
        benign: operations with bad results that have proved to be no failure.
        doubt: why of some of these masks it is not known whether they are a failure.
        allowed_seconds: how long calls were looked into that gave what is allowed.
    """

    layout: Layout
    checked: Functionalised | None = None
    every_op: every_op.Instrumented | None = None
    in_several: bool = False
    masks: Masks = field(default_factory=Masks)
    failures: Failures = field(default_factory=Failures)
    benign: set[tuple[int, ...]] = field(default_factory=set)
    doubt: str = ""
    allowed_seconds: float = 0.0

    def execute(self, invocation: Invocation, args: tuple[Any, ...]) -> Outcome:
        """Runs a call, and separates the user's outputs from those we added."""
        if self.checked is None and self.every_op is None:
            return Outcome(invocation.execute(args), None, None)
        changed = self._changed(invocation.params)
        outs = invocation.execute_changed(args, changed, self._users)
        error = ops = None
        if self.every_op is not None:
            outs, ops = outs[:-1], outs[-1]
        if self.checked is not None:
            error, outs = self.checked.split(outs)
        return Outcome(outs, error, ops)

    def again(self, run: Run, args: Sequence[Any]) -> list[Any]:
        """The outputs of the same program for other arguments, or for these again."""
        ours = [i for i in self.layout.donated if args[i] is run.args[i]]
        given = copied_at(args, ours)
        return self.execute(Invocation(given, run.params or {}), given).outs

    @property
    def _users(self) -> slice:
        """Which of all outputs are the user's."""
        before = 0 if self.checked is None else self.checked.extra
        return slice(before, None if self.every_op is None else -1)

    def _changed(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters that follow from the outputs we add."""
        changed: dict[str, Any] = {}
        if self.checked is not None:
            changed = self.checked.changed(params)
        if self.every_op is not None:
            params = {**params, **changed}
            changed = with_outputs(self.every_op.jaxpr, params, before=0, after=1)
        return changed


def without_checks(invocation: Invocation) -> list[Any]:
    """The outputs of a call whose jaxpr has checks, which nobody looks at."""
    with our_own_work():
        checked = functionalise(invocation.params["jaxpr"], ())
    changed = checked.changed(invocation.params)
    users = slice(checked.extra, None)
    outs = invocation.execute_changed(invocation.args, changed, users)
    return checked.split(outs)[1]


def outputs_again(run: Run) -> list[Any]:
    """The outputs of a call, some of which were donated to a later call."""
    args = copied_at(run.args, run.layout.donated)
    params = {**(run.params or {}), "jaxpr": replayable(run.jaxpr)}
    return Invocation(args, params).execute(args)


@dataclass(frozen=True, slots=True)
class Ran:
    """A call that ran by a plan, to be judged.

    Attributes:
        place: where the user made it, under `--async`; else the user is still there.
        flags: which of its results are bad, asked under `--async` before it is judged.
    """

    plan: Plan
    run: Run
    place: UserPlace | None = None
    flags: finiteness.Pending | None = None

    @property
    def suspects(self) -> list[int]:
        """Indices of the results that hold NaN or Inf; waits for them."""
        results, indices = self.run.results, self.run.can_be_bad
        if self.flags is not None:
            found = self.flags.suspects()
        else:
            found = finiteness.suspects([results[i] for i in indices])
        return [indices[i] for i in found]


_PLANS: weakref.WeakKeyDictionary[Any, dict[Any, Plan]] = weakref.WeakKeyDictionary()
"""By jaxpr, then by what is asked for: regions share what was compiled for a jaxpr."""


def plan_of(invocation: Invocation, function: Function, options: Options) -> Plan:
    """The plan for the calls of a jaxpr, under these options."""
    params = invocation.params
    in_several = runs_in_several(invocation.args, params)
    if in_several:
        options = replace(options, every_op=False, errors=())
    key = (options.errors, options.every_op, params["donated_invars"], in_several)
    plans = _PLANS.setdefault(params["jaxpr"], {})
    if key not in plans:
        with our_own_work():
            layout = _layout(params, invocation.args)
            plans[key] = _new_plan(layout, params["jaxpr"], function, options)
            plans[key].in_several = in_several
    return plans[key]


def _new_plan(layout: Layout, jaxpr: Any, function: Function, options: Options) -> Plan:
    plan = Plan(layout)
    if has_checks(jaxpr) or (options.errors and function.user):
        plan.checked = functionalise(jaxpr, options.errors)
    if options.every_op and function.user:
        base = plan.checked.jaxpr if plan.checked else jaxpr
        plan.every_op = every_op.instrument(base)
    return plan


def _layout(params: dict[str, Any], args: Sequence[Any]) -> Layout:
    jaxpr, donated = params["jaxpr"], params["donated_invars"]
    paths = jaxpr.jaxpr.debug_info.result_paths or ()
    # What checkify's own errors carry is no result of the user's.
    payloads = {i for i, path in enumerate(paths) if "ErrorEffect(" in str(path)}
    floats = (i for i, aval in enumerate(jaxpr.out_avals) if can_be_non_finite(aval))
    return Layout(
        floats=tuple(i for i in floats if i not in payloads),
        donated=tuple(i for i, is_donated in enumerate(donated) if is_donated),
        refs=tuple(i for i, arg in enumerate(args) if isinstance(arg, REF)),
    )
