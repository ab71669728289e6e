"""A report as HTML without a script."""

from __future__ import annotations

from jaxdbg.records import PanelContent, Report
from jaxdbg.views import panel_html


def html(report: Report) -> str:
    """What stays of a panel with this report when no widget lives."""
    return panel_html.html(PanelContent(report))
