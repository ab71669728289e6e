"""Compilations as a value to hold: shown, saved, compared, drawn."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxdbg.records import saved
from jaxdbg.records.advice import advised
from jaxdbg.records.compile_diff import Difference, difference
from jaxdbg.records.compile_event import CompileEvent
from jaxdbg.records.costs import lost, phases_of, subset
from jaxdbg.records.serial import plain, record
from jaxdbg.records.shown import ShownAsHtml, view


@runtime_checkable
class RegionRecord(Protocol):
    """What holds the compilations of a region: a `Report`."""

    @property
    def compilations(self) -> tuple[CompileEvent, ...]:
        """Each phase, in the order it began."""

    @property
    def cell(self) -> int | None:
        """IPython's number of the cell."""


@dataclass(frozen=True, slots=True)
class Compilations(ShownAsHtml):
    """What was traced, lowered and compiled, and why again.

    In a notebook it shows itself as a table; `print` gives the same as text.

    Attributes:
        events: each phase, in the order it began.
        what: what they are those of, as it ends a sentence: "in cell 12".
    """

    VIEW: ClassVar[str] = "compiles"

    events: tuple[CompileEvent, ...] = ()
    what: str = ""

    @property
    def seconds(self) -> float:
        """Self time of all phases."""
        return sum(e.self_time for e in self.events)

    @property
    def seconds_lost(self) -> float:
        """The part of `seconds` that avoidable compilations have cost."""
        return lost(self.events)[1]

    def of(self, function: str | None = None, cell: int | None = None) -> Compilations:
        """Those of one function, or of one cell, or both.

        Control flow outside of jit goes by its name, `scan`, or by that with its
        functions: `scan of body`.
        """
        whose = None if function is None else phases_of(self.events, function)
        events = subset(
            self.events,
            lambda e: cell in (None, e.cell) and (whose is None or id(e) in whose),
        )
        words = [f"of {function}"] if function is not None else []
        words += [f"in cell {cell}"] if cell is not None else []
        return Compilations(events, " ".join(words) or self.what)

    def text(self, eager: bool = False) -> str:
        """The table as text; with `eager`, eager ops one by one."""
        name = "compiles_eager_text" if eager else "compiles_text"
        text: str = view(name).text(self)
        return text

    def figure(self) -> Any:
        """A timeline, as a matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            timeline = view("figures.timeline")
        except ImportError as error:
            raise ImportError(
                f"figure() needs matplotlib: `pip install matplotlib` ({error}). The "
                "table and to_perfetto() do without."
            ) from None
        return timeline.timeline(self.events)

    def to_perfetto(
        self, path: str | os.PathLike[str], report: RegionRecord | None = None
    ) -> None:
        """Writes a trace that https://ui.perfetto.dev and chrome://tracing open.

        Arguments:
            path: of the file; one that is there is replaced.
            report: of a region, whose calls and findings are to be in it too.
        """
        trace = view("exports.perfetto").trace(self.events, report)
        Path(path).write_text(json.dumps(trace), encoding="utf-8")

    def to_json(self) -> str:
        """All of it as JSON text; `Compilations.from_json` reads it back."""
        return json.dumps({"jaxdbg_compilations": saved.COMPILATIONS, **plain(self)})

    @classmethod
    def from_json(cls, text: str) -> Compilations:
        """Reads what `to_json` wrote, or the compilations of a saved report.

        Raises:
            ValueError: the text is neither, or of a newer format.
        """
        fields = saved.compilations(text)
        if "what" in fields:
            events = record(tuple[CompileEvent, ...], fields["events"])
            return cls(events, fields["what"])
        events = record(tuple[CompileEvent, ...], fields.get("compilations", ()))
        return cls._in_cell(events, fields.get("cell"))

    @classmethod
    def from_report(cls, report: RegionRecord) -> Compilations:
        """The compilations of a checked region."""
        return cls._in_cell(report.compilations, report.cell)

    @classmethod
    def _in_cell(
        cls, events: tuple[CompileEvent, ...], cell: int | None
    ) -> Compilations:
        return cls(advised(events), f"in cell {cell}" if cell is not None else "")

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each phase.

        The columns are the attributes of `CompileEvent` except `defined`, `signature`
        and `bodies`, which the `title` names, with `file` and `line` in place of
        `source`, and in place of `reason` the attributes of `Reason` except `others`
        and the two types. `start` is a time stamp (UTC).

        Raises:
            ImportError: pandas is not installed.
        """
        return view("exports.dataframe").frame(self.events)

    def diff(self, other: Compilations | RegionRecord) -> Difference:
        """What has changed from `other`, the earlier run, to this one."""
        if isinstance(other, RegionRecord):
            other = Compilations.from_report(other)
        if not isinstance(other, Compilations):
            raise TypeError(
                f"diff() compares with Compilations or a Report, not with "
                f"{type(other).__name__}. A saved one: "
                "Compilations.from_json(Path(...).read_text())."
            )
        return difference(other.events, self.events)

    def __len__(self) -> int:
        return len(self.events)
