"""Tracebacks that end in the user's line, or in the user's frames inside its call."""

from __future__ import annotations

from jaxdbg.errors import is_own_file
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.origins.frames.tracebacks import is_inside


def end_in_user_code(error: BaseException) -> None:
    """Cuts a traceback after the last frame of the user's, in place.

    Then it ends in the line that the user wrote. Where they are known, the user's
    frames inside the jitted call follow, which `raising` has put below its own: there
    `%debug` starts.
    """
    last, inside, tb = None, None, error.__traceback__
    while tb is not None:
        if is_inside(tb.tb_frame):
            inside = tb
            break
        if is_user_file(tb.tb_frame.f_code.co_filename):
            last = tb
        tb = tb.tb_next
    if last is not None:
        last.tb_next = inside
    error.__cause__ = None
    error.__suppress_context__ = True
    notes = getattr(error, "__notes__", [])
    notes[:] = [n for n in notes if "JAX has removed its internal frames" not in n]


def ends_in_jaxdbg(error: BaseException) -> bool:
    """Whether jaxdbg has run, below the user's last line, when an error came."""
    ours, tb = False, error.__traceback__
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        ours = is_own_file(file) or (ours and not is_user_file(file))
        tb = tb.tb_next
    return ours
