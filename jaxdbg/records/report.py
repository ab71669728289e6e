"""What a checked region saw; its JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from jaxdbg.records import saved
from jaxdbg.records.call_times import CallTimes
from jaxdbg.records.compilations import Compilations
from jaxdbg.records.compile_diff import Difference
from jaxdbg.records.compile_event import CompileEvent, Remark
from jaxdbg.records.finding import Finding
from jaxdbg.records.read_only import ReadOnly
from jaxdbg.records.serial import plain, record
from jaxdbg.records.shown import ShownAsHtml, view
from jaxdbg.records.trees import TreeHistory


def _no_counts() -> Mapping[str, int]:
    return ReadOnly()


@dataclass(frozen=True, slots=True)
class Allowed:
    """Values that are not finite and that the user allows.

    Attributes:
        kind: "nan", "inf" or "-inf".
        where: "at cell 3, line 4", or "in step(...)[1]".
        count: how many elements, of all calls together.
    """

    kind: str
    where: str
    count: int


@dataclass(frozen=True, slots=True)
class Report(ShownAsHtml):
    """What a checked region saw, frozen.

    Attributes:
        calls: how many calls of jitted functions ran in the region; all were checked
            but those that `unchecked` has.
        eager_ops: the same of operations outside any jitted function.
        calls_by_function: the calls, by name of the function.
        traces: for each function the user wrote, or has jitted, how often Python
            traced it.
        compiles: the same, how often XLA compiled it.
        retraces: for a function that was traced again, what has changed since the
            earlier trace in the region that is most like it, as `f: x f32[8] → f32[5]`;
            nothing where no argument has changed.
        library_compiles: compilations of eager ops and library functions.
        findings: what went wrong, in the order it happened.
        placed: leaves that held NaN or Inf without being a failure (a mask, missing
            data), as `function: path`.
        allowed: values that are no failure because the user allows them.
        notices: what jaxdbg has to say about itself (a hook that broke, a check
            that was not possible).
        seconds: wall time of the region; `compile_seconds` and `check_seconds` are
            the parts spent compiling and checking.
        origin_seconds: the part of `check_seconds` that went into calls that failed:
            into finding the origin of what is bad.
        cell: IPython's number of the cell, or None.
        options: the options of the region, as typed.
        compilations: each trace, lowering and compilation, in the order they began.
        remarks: values that a function of the region has closed over and that have
            changed since it was traced.
        histories: of each watched tree, a few numbers per leaf over the calls.
        began: when the region began, in seconds since the epoch; 0 where that is not
            known.
        call_times: when the calls of the user's functions ran.
        unchecked: by reason, how many calls were not checked, or not to the end; 0
            where that is not known.
    """

    VIEW: ClassVar[str] = "report"

    calls: int = 0
    eager_ops: int = 0
    calls_by_function: Mapping[str, int] = field(default_factory=_no_counts)
    traces: Mapping[str, int] = field(default_factory=_no_counts)
    compiles: Mapping[str, int] = field(default_factory=_no_counts)
    retraces: tuple[str, ...] = ()
    library_compiles: int = 0
    findings: tuple[Finding, ...] = ()
    placed: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    seconds: float = 0.0
    compile_seconds: float = 0.0
    check_seconds: float = 0.0
    cell: int | None = None
    options: str = ""
    compilations: tuple[CompileEvent, ...] = ()
    remarks: tuple[Remark, ...] = ()
    histories: tuple[TreeHistory, ...] = ()
    began: float = 0.0
    origin_seconds: float = 0.0
    call_times: CallTimes = field(default_factory=CallTimes)
    unchecked: Mapping[str, int] = field(default_factory=_no_counts)
    allowed: tuple[Allowed, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything was checked, and nothing went wrong."""
        return not (self.findings or self.unchecked)

    def to_json(self) -> str:
        """The report as JSON text; `Report.from_json` reads it back."""
        return json.dumps({"jaxdbg_report": saved.REPORT, **plain(self)})

    def to_markdown(self) -> str:
        """The report as Markdown, short enough for an issue or the summary of a job."""
        markdown: str = view("report_markdown").markdown(self)
        return markdown

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the panel with this report to one HTML file, to send to a colleague.

        It needs no server and no network, and no jaxdbg to be looked at.

        Arguments:
            path: of the file; one that is there is replaced.

        Returns:
            The path.

        Raises:
            OSError: the file cannot be written.
        """
        file = Path(path)
        file.write_text(view("panel.page").html(self), encoding="utf-8")
        return file

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: the text is not such a report, or of a newer format.
        """
        report: Report = record(cls, saved.report(text))
        return report

    def figure(self) -> Any:
        """The timeline of the compilations, as a matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
        """
        return Compilations.from_report(self).figure()

    def to_perfetto(self, path: str | os.PathLike[str]) -> None:
        """Writes compilations, calls and findings for https://ui.perfetto.dev."""
        Compilations.from_report(self).to_perfetto(path, self)

    def diff(self, other: Compilations | Report) -> Difference:
        """What has been compiled differently than in `other`, the earlier run.

        Returns:
            The differences; they print as text.
        """
        return Compilations.from_report(self).diff(other)
