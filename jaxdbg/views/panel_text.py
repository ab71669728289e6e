"""What a panel shows, as text."""

from __future__ import annotations

from jaxdbg.records import PanelContent


def text(content: PanelContent) -> str:
    """The report, the compilations and the trees, one below the other."""
    parts = (content.report, content.compilations, *content.trees)
    return "\n".join(str(part) for part in parts if part is not None)
