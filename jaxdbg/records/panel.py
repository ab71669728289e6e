"""What one panel shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxdbg.records.compilations import Compilations
from jaxdbg.records.report import Report
from jaxdbg.records.shown import ShownAsHtml
from jaxdbg.records.trees import TreeStats


@dataclass(frozen=True, slots=True)
class PanelContent(ShownAsHtml):
    """What one panel shows.

    Attributes:
        report: of a region; None for a panel of trees or compilations alone.
        trees: statistics of trees, in the order they are shown.
        compilations: those to show without a region.
        title: what the panel is about; empty for the cell of the report.
    """

    VIEW: ClassVar[str] = "panel"

    report: Report | None = None
    trees: tuple[TreeStats, ...] = ()
    compilations: Compilations | None = None
    title: str = ""
