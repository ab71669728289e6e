"""The panel of a checked cell: live while it runs, and there when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from jaxdbg.errors import Failure
from jaxdbg.jax_internals.user_frames import local_names
from jaxdbg.notebook.show import Shown, is_notebook, remember, trees_of
from jaxdbg.records import PanelContent, Report

if TYPE_CHECKING:
    from jaxdbg.trees.finite_map import FiniteMap

EVERY = 0.25
"""Seconds between two looks at a running region."""

SHARE = 0.05
"""What part of the time looking may take; a long report is looked at less often."""

NOTE = "The panel above has all of it; %panel shows it again."


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
            self._shown = self._open(())
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
        if self._shown is not None:
            self._shown.panel.show_progress(None)
            self._shown.panel.show(report, maps=self._maps(report, error))
            self._shown.update()
        elif isinstance(error, Failure):
            self._shown = self._open(self._maps(report, error))
        if isinstance(error, Failure):
            error.add_note(NOTE)

    def _open(self, maps: Sequence[FiniteMap]) -> Shown:
        from jaxdbg.notebook.widget import (
            Panel,  # not before one is shown: it needs ipywidgets
        )

        return Shown(self._shell, Panel(PanelContent(self._region.report), maps))

    def _maps(self, report: Report, error: BaseException | None) -> Sequence[FiniteMap]:
        """The trees that the report is about, as they are now, for `%panel` too."""
        maps = trees_of(report, [self._shell.user_ns, *_locals(error)])
        remember(report, maps)
        return maps

    def _follow(self) -> None:
        """Looks at the region now and then; the region itself knows nothing of it."""
        assert self._shown is not None
        panel, session = self._shown.panel, self._region.session
        before, pause = 0, EVERY
        seen: tuple[object, ...] = ()
        while not self._stopped.wait(pause):
            began = time.perf_counter()
            report = session.report()
            function, call = session.latest
            panel.show_progress(
                {
                    "running": True,
                    "calls": report.calls,
                    "function": function,
                    "call": call,
                    "rate": (report.calls - before) / pause,
                    "seconds": report.seconds,
                }
            )
            trees = self._region.watcher.statistics()
            now = (len(report.findings), len(report.compilations), report.calls, trees)
            if now != seen:
                panel.show(report, trees)
            before, seen = report.calls, now
            pause = max(EVERY, (time.perf_counter() - began) / SHARE)


def _locals(error: BaseException | None) -> list[Mapping[str, Any]]:
    """The local names of the frames an error came through, outermost first."""
    found: list[Mapping[str, Any]] = []
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        found.append(local_names(trace.tb_frame))
        trace = trace.tb_next
    return found
