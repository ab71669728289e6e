"""How many branches of conds a Python frame is traced in."""

from __future__ import annotations

import os
from types import FrameType

from jaxdbg.jax_internals.functions import is_own_file
from jaxdbg.jax_internals.user_frames import outward

_CONDS = os.path.join("jax", "_src", "lax", "control_flow", "conditionals.py")


def branches_around(frame: FrameType) -> int:
    """The conds and switches that trace a frame, one inside the other."""
    found, was_cond = 0, False
    for one in outward(frame):
        file = one.f_code.co_filename
        if is_own_file(file):
            break
        is_cond = file.endswith(_CONDS)
        found += is_cond and not was_cond
        was_cond = is_cond
    return found
