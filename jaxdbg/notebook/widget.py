"""The panel as a widget of the notebook; the only room that knows anywidget.

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
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

import jaxdbg.notebook.tiles as tiles
from jaxdbg.checks.afterwards import last
from jaxdbg.compiles.compilations import Compilations
from jaxdbg.errors import UsageError
from jaxdbg.records import Report, TreeStats
from jaxdbg.trees.finite_map import FiniteMap
from jaxdbg.views import tree_text as leaves
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
        report: of a region, or None.
        trees: statistics of trees to show beside those the report has histories of.
        maps: the same, with the arrays, of which the page may ask elements.
        title: what the panel is about; by default the cell of the report, or the name
            of the first tree.
        compilations: those to show without a region.
    """

    _esm: ClassVar[Any] = _BUILT / "panel.js" if _HOT else page.script()
    _css: ClassVar[Any] = _BUILT / "panel.css" if _HOT else page.style()

    # Text, not a dict: traitlets would compare, and ipywidgets copy, all of it.
    data = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Unicode("null").tag(sync=True)

    def __init__(
        self,
        report: Report | None = None,
        trees: Iterable[TreeStats] = (),
        maps: Iterable[FiniteMap] = (),
        title: str = "",
        compilations: Compilations | None = None,
    ):
        self.report = report
        self.compilations = compilations
        self.maps = {one.name: one for one in maps}
        self.trees = (*trees, *(one.stats for one in self.maps.values()))
        named = self.trees[0].name if report is None and self.trees else ""
        self.name = title or named
        # In some hosts messages are handled on a thread of their own.
        self._lock = threading.RLock()
        super().__init__(data=self._told())
        self.on_msg(self._asked)

    def show(
        self,
        report: Report,
        trees: Iterable[TreeStats] = (),
        maps: Iterable[FiniteMap] = (),
    ) -> None:
        """Shows a later state of the region; arguments as of the class."""
        with self._lock:
            self.report = report
            self.maps = {one.name: one for one in maps}
            self.trees = (*trees, *(one.stats for one in self.maps.values()))
            self.data = self._told()

    def tell(self, progress: dict[str, Any] | None) -> None:
        """Shows how far the region is; None when it has ended."""
        self.progress = json.dumps(progress)

    def close(self) -> None:
        """Frees the panel, in the page too; what it holds of the layout as well."""
        if (layout := self.layout) is not None:
            layout.close()
        super().close()

    def __repr__(self) -> str:
        told = [str(x) for x in (self.report, self.compilations) if x is not None]
        return "\n".join([*told, *map(leaves.render, self.trees)])

    def _told(self) -> str:
        data = panel_data(self.report, self.trees, self.name, self.compilations)
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
            return tiles.tile(array, asked["window"])
        except LookupError as error:  # the tree has got another array since
            return {"error": str(error)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _failed_tile(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a failing call gave, which no tree holds."""
        try:
            finding = self.report.findings[asked["finding"]] if self.report else None
            array = last.bad_output(asked["path"], finding)
            return tiles.tile(array, asked["window"])
        except (UsageError, RuntimeError) as error:  # not kept, or not any more
            return {"error": str(error)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


_current: Panel | None = None


def leave_only(panel: Panel | None) -> None:
    """Closes the panel that was in the notebook before this one."""
    global _current
    old, _current = _current, panel
    if old is not None and old is not panel:
        old.close()
