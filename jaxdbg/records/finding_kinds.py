"""One table: the kinds of finding, what each is about, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FindingKind:
    """One row of the table.

    Attributes:
        name: `Finding.kind`.
        about: what such a finding is about, in words.
        subject: a value that is not finite, a check that failed, or a budget that is
            spent. A spent budget cannot be reproduced from the arrays of a call.
        error: the class of checkify's error for it; empty for a value and a budget.
        optional: whether it is looked for only where `errors` names it.
        stage: the stage of JAX that a budget limits: "trace" or "compile".
        verb: what JAX does in that stage, in the past tense.
    """

    name: str
    about: str
    subject: Literal["value", "check", "budget"]
    error: str = ""
    optional: bool = False
    stage: str = ""
    verb: str = ""


_ROWS = (
    FindingKind("nan", "a NaN", "value"),
    FindingKind("inf", "an Inf", "value"),
    FindingKind("check", "a check", "check", "FailedCheckError"),
    FindingKind("index", "an index", "check", "OOBError", optional=True),
    FindingKind(
        "div",
        "a division of integers",
        "check",
        "DivisionByZeroError",
        optional=True,
    ),
    FindingKind("traces", "tracing", "budget", stage="trace", verb="traced"),
    FindingKind("compiles", "compiling", "budget", stage="compile", verb="compiled"),
    FindingKind("compile_seconds", "the time of compiling", "budget"),
)

FINDING_KINDS = {kind.name: kind for kind in _ROWS}
"""The table, by `Finding.kind`."""


def kind_of(name: str) -> FindingKind:
    """The row of a `Finding.kind`; for one that only a newer jaxdbg knows, a check."""
    return FINDING_KINDS.get(name, FINDING_KINDS["check"])


def kind_of_error(error: str) -> FindingKind:
    """The kind of finding for a class of checkify's errors; of any other, a check."""
    kinds = (kind for kind in _ROWS if kind.error == error)
    return next(kinds, FINDING_KINDS["check"])


def kind_of_stage(stage: str) -> FindingKind | None:
    """The kind of finding for a budget of a stage; None where there is no budget."""
    return next((kind for kind in _ROWS if stage and kind.stage == stage), None)
