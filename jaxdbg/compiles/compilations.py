"""Compilations as a value to hold: shown, saved, compared, drawn.

Only the standard library is needed, except by what says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxdbg.compiles.advice import advised
from jaxdbg.compiles.diff import Difference, difference
from jaxdbg.records import CompileEvent, CompileLog, Report
from jaxdbg.records.costs import lost, subset
from jaxdbg.records.serial import plain, record
from jaxdbg.views import compiles_html, compiles_text as compiles
from jaxdbg.views.exports import perfetto

if TYPE_CHECKING:
    import os

FORMAT = 1
"""Version of the JSON that `Compilations.to_json` writes."""


@dataclass(frozen=True, slots=True)
class Compilations(CompileLog):
    """What was traced, lowered and compiled, and why again.

    In a notebook it shows itself as a table; `print` gives the same as text.

    Attributes:
        events: each phase, in the order it began.
        what: what they are those of, as it ends a sentence: "in cell 12".
    """

    @property
    def seconds(self) -> float:
        """Self time of all phases."""
        return sum(e.self_time for e in self.events)

    @property
    def seconds_lost(self) -> float:
        """The part of `seconds` that avoidable compilations have cost."""
        return lost(self.events)[1]

    def of(self, function: str | None = None, cell: int | None = None) -> Compilations:
        """Those of one function, or of one cell, or both."""
        kept = subset(
            self.events,
            lambda e: function in (None, e.function) and cell in (None, e.cell),
        )
        words = [f"of {function}"] if function is not None else []
        words += [f"in cell {cell}"] if cell is not None else []
        return Compilations(kept, " ".join(words) or self.what)

    def text(self, eager: bool = False) -> str:
        """The table as text; with `eager`, eager ops one by one."""
        return compiles.render(self.events, self.what, eager=eager)

    def figure(self) -> Any:
        """A timeline, as a matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            from jaxdbg.views.figures.timeline import timeline
        except ImportError as error:
            raise ImportError(
                f"figure() needs matplotlib: `pip install matplotlib` ({error}). The "
                "table and to_perfetto() do without."
            ) from None
        return timeline(self.events)

    def to_perfetto(
        self, path: str | os.PathLike[str], report: Report | None = None
    ) -> None:
        """Writes a trace that https://ui.perfetto.dev and chrome://tracing open.

        Arguments:
            path: of the file; one that is there is replaced.
            report: of a region, whose calls and findings are to be in it too.
        """
        told = perfetto.render(self.events, report)
        Path(path).write_text(told, encoding="utf-8")

    def to_json(self) -> str:
        """All of it as JSON text; `Compilations.from_json` reads it back."""
        told = {"what": self.what, "events": plain(self.events)}
        return json.dumps({"jaxdbg_compilations": FORMAT, **told})

    @classmethod
    def from_json(cls, text: str) -> Compilations:
        """Reads what `to_json` wrote, or the compilations of a saved report.

        Raises:
            ValueError: the text is neither, or of a newer format.
        """
        read = json.loads(text)
        if isinstance(read, dict) and "jaxdbg_report" in read:
            return cls.from_report(Report.from_json(text))
        version = read.get("jaxdbg_compilations") if isinstance(read, dict) else None
        if version != FORMAT:
            raise ValueError(
                f"Not compilations that jaxdbg has saved in format {FORMAT}: the text "
                f"{'has format ' + str(version) if version else 'names no format'}. "
                "Expected what Compilations.to_json() or Report.to_json() wrote; a "
                "newer format needs a newer jaxdbg."
            )
        events = record(tuple[CompileEvent, ...], read["events"])
        return cls(events, read["what"])

    @classmethod
    def from_report(cls, report: Report) -> Compilations:
        """The compilations of a checked region."""
        where = f"in cell {report.cell}" if report.cell is not None else ""
        return cls(advised(report.compilations), where)

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each phase.

        The columns are the attributes of `CompileEvent`, with `line` for the source
        and those of `Reason` beside it; `start` is a time stamp (UTC).

        Raises:
            ImportError: pandas is not installed.
        """
        from jaxdbg.views.exports.dataframe import frame

        return frame(self.events)

    def diff(self, other: Compilations | Report) -> Difference:
        """What has changed from `other`, the earlier run, to this one."""
        if isinstance(other, Report):
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

    def __str__(self) -> str:
        return self.text()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How IPython shows it in a terminal: as the text it is."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return compiles_html.render(self.events, self.what)


def compilations() -> Compilations:
    """All that was traced, lowered and compiled since `%load_ext jaxdbg`.

    Outside a notebook `jaxdbg.compiles.recorder.start()` begins to record. The last
    10,000 phases are kept.
    """
    from jaxdbg.compiles import recorder  # needs JAX; what is above does not

    return Compilations(recorder.events(), "since jaxdbg was loaded")
