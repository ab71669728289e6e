"""The panel as a widget of the notebook; the only room that knows anywidget.

One panel lives in a notebook at a time: each widget sends its whole script to the page,
and what nobody closes stays alive. A panel that a newer one has replaced leaves the
static report that lies beside it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from jaxdbg.contract import panel_data
from jaxdbg.records import Report, TreeStats
from jaxdbg.render import page

Tile = Callable[[str, int, list[list[int]]], dict[str, Any]]
"""From the name of a tree, the number of a leaf and a window on it to a tile."""

_STATIC = Path(__file__).parent / "static"

# A path would be watched for changes, and the watcher keeps every panel alive.
_HOT = bool(os.environ.get("ANYWIDGET_HMR"))


class Panel(anywidget.AnyWidget):
    """The panel of a region or of trees.

    Arguments:
        report: of a region, or None.
        trees: statistics of trees to show beside those the report has histories of.
        title: what the panel is about; by default the cell of the report.
        tile: gives the elements of a leaf when the page asks for them.
    """

    _esm: ClassVar[Any] = _STATIC / "panel.js" if _HOT else page.script()
    _css: ClassVar[Any] = _STATIC / "panel-style.css" if _HOT else page.style()

    # Text, not a dict: traitlets would compare, and ipywidgets copy, all of it.
    data = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Unicode("null").tag(sync=True)

    def __init__(
        self,
        report: Report | None = None,
        trees: Iterable[TreeStats] = (),
        title: str = "",
        tile: Tile | None = None,
    ):
        self.report = report
        self.trees = tuple(trees)
        self.name = title
        self.tile = tile
        # In some hosts messages are handled on a thread of their own.
        self._lock = threading.RLock()
        super().__init__(data=self._told())
        self.on_msg(self._asked)
        _replace(self)

    def show(self, report: Report | None, trees: Iterable[TreeStats] = ()) -> None:
        """Shows another state of the region, or of other trees."""
        with self._lock:
            self.report = report
            self.trees = tuple(trees)
            self.data = self._told()

    def tell(self, progress: dict[str, Any] | None) -> None:
        """Shows how far the region is; None when it has ended."""
        self.progress = json.dumps(progress)

    def page(self) -> str:
        """The panel as one HTML file that needs nothing else."""
        return page.page(panel_data(self.report, self.trees, self.name), "")

    def __repr__(self) -> str:
        return str(self.report) if self.report else f"Panel({self.name!r})"

    def _told(self) -> str:
        data = panel_data(self.report, self.trees, self.name)
        return json.dumps(data, allow_nan=False)

    def _asked(self, _: Any, content: Any, buffers: Any) -> None:
        """Answers the page; whatever breaks is the answer, never the kernel's error."""
        if not isinstance(content, dict) or content.get("ask") != "tile":
            return
        with self._lock:
            self.send({**self._tile(content), "answer": "tile", "id": content["id"]})

    def _tile(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.tile is None:
            return {"error": "The elements of this tree were not kept."}
        try:
            return self.tile(asked["tree"], asked["leaf"], asked["window"])
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


_current: Panel | None = None


def current() -> Panel | None:
    """The panel that lives, or None."""
    return _current


def _replace(new: Panel) -> None:
    global _current
    old, _current = _current, new
    if old is not None:
        old.close()
