"""What was compiled in this process: `jaxdbg.compilations()`."""

from __future__ import annotations

from jaxdbg.compiles import recorder
from jaxdbg.records import Compilations


def compilations() -> Compilations:
    """All that was traced, lowered and compiled since `%load_ext jaxdbg`.

    Outside a notebook `jaxdbg.compiles.recorder.start()` begins to record. The last
    10,000 phases are kept.
    """
    return Compilations(recorder.events(), "since jaxdbg was loaded")
