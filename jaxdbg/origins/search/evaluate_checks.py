"""The second evaluation of a call in which a check of the user's fails, up to there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.chex.under_vmap import failing_text, has_checks
from jaxdbg.jax_internals.jaxprs.higher_order import structure
from jaxdbg.origins.search.evaluate import Recorder, Run, Value
from jaxdbg.origins.search.time_limit import TimeLimit

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn


class CheckFailed(Exception):
    """A check fails, at an equation of a run."""

    def __init__(self, run: Run, n: int):
        super().__init__()
        self.run = run
        self.n = n


class RecorderToCheck(Recorder):
    """Evaluates what the checks of a call need, until one fails.

    Arguments:
        text: of that check.
        time_limit, options: of a recorder.
    """

    def __init__(self, text: str, time_limit: TimeLimit, **options: Any):
        super().__init__(time_limit, **options)
        self._text = text

    def always(self, eqn: JaxprEqn) -> bool:
        return has_checks(eqn)

    def bind(self, frame: Run, n: int, ins: list[Value]) -> list[Value]:
        eqn = frame.eqns[n]
        if not has_checks(eqn) or structure(eqn) is not None:
            return super().bind(frame, n, ins)
        if failing_text(eqn, [v.array for v in ins]) == self._text:
            raise CheckFailed(frame, n)
        return []
