"""Many records at once, without Python's search for garbage among them."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """While this is open, cyclic garbage is not looked for.

    Each few thousand new objects set off a search through all there are; with 100,000
    leaves that is half of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
