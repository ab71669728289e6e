"""Where failures are raised: at the call, unless the region records them."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.session import Session
from jaxdbg.origins.frames.tracebacks import traceback_of

_NOT_NOTED = "a failure could not be noted"
"""Why a region is not clean whose findings are not all there."""


def raise_unless_recorded(session: Session, judgements: Sequence[Judgement]) -> None:
    """Adds failures to the session; raises the first, with notes of the others."""
    first, *others = judgements
    try:
        session.failed(judgements)
        for judgement in judgements:
            session.peers.post(judgement)
        for other in others:
            first.failure.add_note(f"and {_note(other)}")
        first.failure.report = session.report()
    except (Exception, KeyboardInterrupt) as error:
        # What failed is to note the failure, and it is a failure all the same.
        session.broke("noting a failure", error)
        session.unchecked(_NOT_NOTED, calls=0)
    if not session.options.record:
        raise first.failure.with_traceback(_inside(session, first))


def _inside(session: Session, judgement: Judgement) -> TracebackType | None:
    """The frames of the user's below the call, where a debugger then stands."""
    if judgement.inside is None:
        return None
    try:
        return traceback_of(judgement.inside.frames)
    except Exception as error:
        session.broke("making a traceback of the frames inside a call", error)
        return None


def _note(judgement: Judgement) -> str:
    """A failure as a note of another; in short if it only follows from one."""
    finding = judgement.failure.finding
    origin = finding.origin
    if not judgement.follows or origin is None:
        return finding.message
    return (
        f"{origin.headline}\n"
        f"  it only follows: came in through {origin.argument}, from {origin.made_by}"
    )
