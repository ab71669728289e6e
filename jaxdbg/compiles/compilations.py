"""What was compiled in this process, and recording it in a script."""

from __future__ import annotations

from typing import Self

from jaxdbg.compiles.recorder import recorder
from jaxdbg.records import Compilations


def compilations() -> Compilations:
    """All that was traced, lowered and compiled since `%load_ext jaxdbg`.

    In a script `jaxdbg.record_compilations()` begins to record. The last 10,000 phases
    are kept.
    """
    return Compilations(recorder().events(), "since jaxdbg was loaded")


def record_compilations() -> Recording:
    """Begins to record each trace, lowering and compilation.

    A notebook does this at `%load_ext jaxdbg`; it is for scripts and tests. Without
    `with`, it records until the process ends, or `stop()`:

        with jaxdbg.record_compilations() as recording:
            train()
        print(recording.compilations())

    Returns:
        The recording; `jaxdbg.compilations()` has what it records, too.
    """
    return Recording()


class Recording:
    """A stretch of time in which compilations are recorded."""

    def __init__(self) -> None:
        self._position = recorder().position()
        self._stopped: Compilations | None = None
        recorder().want()

    def compilations(self) -> Compilations:
        """What was traced, lowered and compiled in it, up to now or to its end."""
        if self._stopped is not None:
            return self._stopped
        return Compilations(recorder().events(self._position), "in this recording")

    def stop(self) -> None:
        """Ends it; others record on. A second time changes nothing."""
        if self._stopped is None:
            self._stopped = self.compilations()
            recorder().unwant()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
