"""What jaxdbg adds to an exception of the user's that leaves a region, as notes.

The exception stays what it is: the same object, with its type and arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from jaxdbg.checks.static_argument import advice
from jaxdbg.trees.running_module import running_module

MAX_FRAMES = 500
"""Of a longer traceback, that of a recursion, nothing is said."""


def add_notes(error: Exception) -> None:
    """Notes in which module an error was raised, and which argument to mark static."""
    entries = list(_entries(error.__traceback__))
    if len(entries) > MAX_FRAMES:
        return
    known = getattr(error, "__notes__", ())
    module = running_module([entry.tb_frame for entry in entries])
    for text in (f"raised in {module}" if module else "", advice(error, entries)):
        note = f"jaxdbg: {text}"
        if text and note not in known:  # a region inside has noted it
            error.add_note(note)


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
