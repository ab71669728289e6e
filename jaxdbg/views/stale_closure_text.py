"""A value that has changed since a function was traced with it, in one line."""

from __future__ import annotations

from jaxdbg.records import Remark


def text(remark: Remark) -> str:
    """What the function was traced with, what the value is now, and what to do."""
    reason = remark.reason
    return (
        f"{remark.function} was traced with {reason.where} = {reason.before}, which "
        f"is {reason.after} now: the compiled program still uses {reason.before}. "
        f"Pass {reason.where} as an argument."
    )
