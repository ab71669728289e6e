"""Pictures, as matplotlib draws them; the only folder that imports it.

A file for each: `timeline.timeline(events)` draws compilations.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def is_quick() -> bool:
    """Whether a picture nobody has asked for may be drawn: in half a second at most.

    The first time ever, matplotlib lists the fonts of the machine, which can take it
    long; whoever asks for a picture will wait for that, and nobody else.
    """
    if "matplotlib" in sys.modules:
        return True
    if find_spec("matplotlib") is None:
        return False
    import matplotlib

    return any(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))
