"""The panel of a checked cell: live while it runs, and there when it fails."""

from __future__ import annotations

import threading
import time
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jaxdbg.errors import Failure
from jaxdbg.magics.showing import Shown, is_notebook

EVERY = 0.25
"""Seconds between two looks at a running region."""

SHARE = 0.05
"""What part of the time looking may take; a long report is looked at less often."""

NOTE = "The panel above shows the leaf, the call and the story; %panel shows it again."


def opened(shell: InteractiveShell, region: Any, when: str) -> CellPanel | None:
    """The panel of a cell that begins; None where there is to be none."""
    if when == "never" or not is_notebook(shell):
        return None
    return CellPanel(shell, region, live=when == "always")


class CellPanel:
    """What a cell shows of its region, from its begin to its end."""

    def __init__(self, shell: InteractiveShell, region: Any, live: bool):
        self._shell = shell
        self._region = region
        self._shown: Shown | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        if live:
            self._shown = self._open()
            self._thread = threading.Thread(
                target=self._follow, name="jaxdbg panel", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ends the live updates; before the region ends."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def end(self, error: BaseException | None) -> None:
        """Shows the last state of the region, if there is something to show."""
        report = self._region.report
        if self._shown is None:
            if not isinstance(error, Failure):
                return
            self._shown = self._open()
        else:
            self._shown.panel.tell(None)
            self._shown.panel.show(report)
            self._shown.update()
        if isinstance(error, Failure):
            error.add_note(NOTE)

    def _open(self) -> Shown:
        from jaxdbg.panel import Panel  # not before one is shown: it needs ipywidgets

        return Shown(self._shell, Panel(self._region.report))

    def _follow(self) -> None:
        """Looks at the region now and then; the region itself knows nothing of it."""
        assert self._shown is not None
        panel, session = self._shown.panel, self._region.session
        before, seen, pause = 0, (0, 0, 0), EVERY
        while not self._stopped.wait(pause):
            began = time.perf_counter()
            report = session.report()
            function, call = session.latest
            panel.tell(
                {
                    "running": True,
                    "calls": report.calls,
                    "function": function,
                    "call": call,
                    "rate": (report.calls - before) / pause,
                    "seconds": report.seconds,
                }
            )
            now = (len(report.findings), len(report.compilations), report.calls)
            if now != seen:
                panel.show(report)
            before, seen = report.calls, now
            pause = max(EVERY, (time.perf_counter() - began) / SHARE)
