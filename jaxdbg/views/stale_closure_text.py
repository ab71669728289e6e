"""A value, or a body, that has changed since a function was traced, in one line."""

from __future__ import annotations

from jaxdbg.records import Remark
from jaxdbg.records.retrace_causes import cause_named


def text(remark: Remark) -> str:
    """What the function was traced with, what the value is now, and what to do."""
    reason = remark.reason
    if reason.cause == "replaced body":
        return (
            f"{remark.function} was traced before its body was replaced: the compiled "
            f"program still runs the old one. {cause_named(reason.cause).fix}."
        )
    return (
        f"{remark.function} was traced with {reason.where} = {reason.before}, which "
        f"is {reason.after} now: the compiled program still uses {reason.before}. "
        f"Pass {reason.where} as an argument."
    )
