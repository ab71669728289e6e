"""How many branches of conds a Python frame is traced in."""

from __future__ import annotations

from types import FrameType

from jaxdbg.jax_internals.functions import is_own_file
from jaxdbg.jax_internals.requirements import derived, private
from jaxdbg.jax_internals.user_frames import outward

_COND = private("jax._src.lax.control_flow.conditionals.cond", "frames")


def branches_around(frame: FrameType) -> int:
    """The conds and switches that trace a frame, one inside the other."""
    files, found, was_cond = _files(), 0, False
    for one in outward(frame):
        file = one.f_code.co_filename
        if is_own_file(file):
            break
        is_cond = file in files
        found += is_cond and not was_cond
        was_cond = is_cond
    return found


@derived
def _files() -> frozenset[str]:
    """The file in which conds and switches are traced."""
    return frozenset(code.co_filename for code in _COND.codes())
