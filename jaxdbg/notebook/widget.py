"""The panel as a widget of the notebook; the only file that imports anywidget.

One panel lives in a notebook of Jupyter at a time: each widget sends its whole script
to the page, and what nobody closes stays alive. A panel that a newer one has replaced
leaves the static report that lies beside it. Elsewhere, as in marimo, whoever was given
a panel keeps it as long as they like.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from jaxdbg.checks.afterwards.last import bad_output
from jaxdbg.errors import UsageError
from jaxdbg.notebook.tiles import tile
from jaxdbg.records import PanelContent, Report, TreeStats
from jaxdbg.trees.finite_map import FiniteMap
from jaxdbg.views.panel import page
from jaxdbg.views.panel.data import panel_data

_BUILT = Path(page.__file__).parent

# A path would be watched for changes, and the watcher keeps every panel alive.
_HOT = bool(os.environ.get("ANYWIDGET_HMR"))


_NOT_KEPT = "The elements of this tree were not kept."
_LATER = "The elements can be seen when the cell has ended."


class Panel(anywidget.AnyWidget):
    """The panel of a region or of trees.

    Arguments:
        content: what to show. Without a report, a title or compilations, its first
            tree gives the title.
        maps: further trees, with the arrays, of which the page may ask elements.

    Attributes:
        content: what is shown, with the trees of the maps.
    """

    _esm: ClassVar[Any] = _BUILT / "panel.js" if _HOT else page.script()
    _css: ClassVar[Any] = _BUILT / "panel.css" if _HOT else page.style()

    # Text, not a dict: traitlets would compare, and ipywidgets copy, all of it.
    data = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Unicode("null").tag(sync=True)

    def __init__(
        self,
        content: PanelContent | None = None,
        maps: Iterable[FiniteMap] = (),
    ):
        self.maps = {one.name: one for one in maps}
        self.content = _titled(self._with_maps(content or PanelContent()))
        # In some hosts messages are handled on a thread of their own.
        self._lock = threading.RLock()
        super().__init__(data=self._json())
        self.on_msg(self._asked)

    def show(
        self,
        report: Report,
        trees: Iterable[TreeStats] = (),
        maps: Iterable[FiniteMap] = (),
    ) -> None:
        """Shows a later state of the region, in place of the one before."""
        with self._lock:
            self.maps = {one.name: one for one in maps}
            content = replace(self.content, report=report, trees=tuple(trees))
            self.content = self._with_maps(content)
            self.data = self._json()

    def show_progress(self, progress: dict[str, Any] | None) -> None:
        """Shows how far the region is; None when it has ended."""
        self.progress = json.dumps(progress)

    def close(self) -> None:
        """Frees the panel, in the page too; what it holds of the layout as well."""
        if (layout := self.layout) is not None:
            layout.close()
        super().close()

    def __repr__(self) -> str:
        return str(self.content)

    def _with_maps(self, content: PanelContent) -> PanelContent:
        stats = (one.stats for one in self.maps.values())
        return replace(content, trees=(*content.trees, *stats))

    def _json(self) -> str:
        content = self.content
        data = panel_data(
            content.report, content.trees, content.title, content.compilations
        )
        return json.dumps(data, allow_nan=False)

    def _asked(self, _: Any, content: Any, buffers: Any) -> None:
        """Answers the page; whatever breaks is the answer, never the kernel's error."""
        if not isinstance(content, dict) or content.get("ask") != "tile":
            return
        with self._lock:
            self.send({**self._tile(content), "answer": "tile", "id": content["id"]})

    def _tile(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("finding", -1) >= 0:
            return self._failed_tile(asked)
        if asked["tree"] not in self.maps:
            runs = self.progress != "null"
            return {"error": _LATER if runs else _NOT_KEPT}
        try:
            array = self.maps[asked["tree"]].array(asked["leaf"])
            return tile(array, asked["window"])
        except LookupError as error:  # the tree has got another array since
            return {"error": str(error)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _failed_tile(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Elements of a result of a failing call, which no tree holds."""
        report = self.content.report
        try:
            finding = report.findings[asked["finding"]] if report else None
            array = bad_output(asked["path"], finding)
            return tile(array, asked["window"])
        except (UsageError, RuntimeError) as error:  # not kept, or not any more
            return {"error": str(error)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


def _titled(content: PanelContent) -> PanelContent:
    if content.title or content.report is not None or not content.trees:
        return content
    return replace(content, title=content.trees[0].name)


_current: Panel | None = None


def leave_only(panel: Panel | None) -> None:
    """Closes the panel that was in the notebook before this one."""
    global _current
    old, _current = _current, panel
    if old is not None and old is not panel:
        old.close()
