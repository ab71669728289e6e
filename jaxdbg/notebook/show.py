"""Puts the panel into a cell's output, with what stays when no widget lives."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from warnings import warn

from IPython import get_ipython
from IPython.core.interactiveshell import InteractiveShell

from jaxdbg.jax_internals.user_frames import local_names
from jaxdbg.records import Compilations, PanelContent, Report, TreeStats
from jaxdbg.trees import caller
from jaxdbg.views import figures, panel_html
from jaxdbg.views.panel.data import tree_names

if TYPE_CHECKING:
    from jaxdbg.notebook.widget import Panel
    from jaxdbg.trees.finite_map import FiniteMap

_TWIN_STYLE = """<style>
.jp-OutputArea-child:has(.jd-live) + .jp-OutputArea-child:has(.jd-twin) {
  display: none }
.jp-OutputArea-child:has(+ .jp-OutputArea-child .jd-twin)
  > .jp-OutputArea-output:not(:has(*)) { display: none }
</style>"""
"""Hides the twin while the widget lives, and else what takes the widget's place: an
error, or that it is loading."""

TEXT = 20_000
"""Of a longer text the end is left out: a notebook is saved with it."""


class Shown:
    """A panel in the output of a cell, and its twin: the same report, without a script.

    JupyterLab shows of a dead widget an error only, and nothing else of that output, so
    what is to be read later lies in an output of its own. Who shows neither widgets nor
    HTML (a PDF that nbconvert makes, a console) shows the text that is with the widget,
    and the picture that is with the twin. The picture is drawn when the cell is over:
    nobody waits for it before an error.
    """

    def __init__(self, shell: InteractiveShell, panel: Panel):
        from jaxdbg.notebook.widget import (
            leave_only,  # a panel is there, so this costs nothing
        )

        leave_only(panel)
        self._shell = shell
        self.panel = panel
        self._twin = f"jaxdbg-twin-{panel.model_id}"
        self._publish(_bundle(panel))
        self._publish(self._twin_bundle(), self._twin)
        shell.events.register("post_execute", self._add_picture)

    def update(self) -> None:
        """Brings the twin to what the panel shows now."""
        self._publish(self._twin_bundle(), self._twin, update=True)

    def _add_picture(self) -> None:
        self._shell.events.unregister("post_execute", self._add_picture)
        try:
            picture = _picture(self.panel)
        except Exception as error:
            kind = type(error).__name__
            warn(f"jaxdbg could not draw the panel: {kind}: {error}", stacklevel=2)
            return
        if picture:
            bundle = {**self._twin_bundle(), "image/png": picture}
            self._publish(bundle, self._twin, update=True)

    def _twin_bundle(self) -> dict[str, Any]:
        html = panel_html.html(self.panel.content)
        return {
            "text/html": f'{_TWIN_STYLE}<div class="jd-twin">{html}</div>',
            "text/plain": "",
        }

    def _publish(
        self, data: dict[str, Any], display_id: str = "", update: bool = False
    ) -> None:
        transient = {"display_id": display_id} if display_id else {}
        self._shell.display_pub.publish(data=data, transient=transient, update=update)


_last: tuple[Report, Sequence[FiniteMap]] | None = None


def remember(report: Report, trees: Sequence[FiniteMap]) -> None:
    """Remembers the trees of a cell's panel, for when it is shown again."""
    global _last
    _last = report, trees


def _trees_at_the_end(report: Report) -> Sequence[FiniteMap]:
    return _last[1] if _last is not None and _last[0] is report else ()


def trees_of(
    report: Report, places: Sequence[Mapping[str, Any]]
) -> Sequence[FiniteMap]:
    """The trees that a report is about, as they are now.

    Arguments:
        report: of a region.
        places: the names of the user's, outermost first.
    """
    from jaxdbg.trees.finite_map import finite_map  # it needs JAX

    trees = []
    for name in tree_names(report):
        holders = [place for place in places if name in place]
        if holders:
            trees.append(finite_map(holders[-1][name], name))
    return trees


def is_notebook(shell: InteractiveShell | None) -> bool:
    """Whether widgets can be shown: a kernel runs the shell."""
    return getattr(shell, "kernel", None) is not None


def _bundle(panel: Panel) -> dict[str, Any]:
    view = {"version_major": 2, "version_minor": 1, "model_id": panel.model_id}
    text = repr(panel)
    return {
        "application/vnd.jupyter.widget-view+json": view,
        "text/plain": text if len(text) <= TEXT else f"{text[:TEXT]}\n...",
        "text/html": "",
    }


def _picture(panel: Panel) -> str:
    """The picture of a panel, as a notebook holds it; empty where there is none."""
    if not figures.is_quick():
        return ""
    from jaxdbg.views.figures.report import png  # it needs matplotlib

    drawn = png(panel.content)
    return b64encode(drawn).decode() if drawn is not None else ""


def show(what: object = None, name: str | None = None) -> Panel | None:
    """Shows the panel.

    Arguments:
        what: a `Report`, or a tree: any pytree, NNX module, optimizer, gradients, or
            what `finite_map` gave; `jaxdbg.compilations()`, for the timeline of all
            cells; by default the report of the region that ended last, with its trees.
        name: what the tree, or the report, is called; by default what the caller has
            written.

    Returns:
        The panel, where there is no notebook of Jupyter to display it in: marimo takes
        it as `mo.ui.anywidget(jaxdbg.show())`.

    Raises:
        ValueError: nothing was checked yet.
    """
    frame = sys._getframe(1)
    known = what is None or isinstance(what, Report | TreeStats | Compilations)
    if name is None and not known:
        name = caller.first_argument(frame, "what")
    shell: Any = get_ipython()  # None outside of IPython
    places = [shell.user_ns] if shell else [frame.f_globals, local_names(frame)]
    panel = _panel_of(what, name, places)
    if not is_notebook(shell):
        return panel
    Shown(shell, panel)
    return None


def _panel_of(
    what: object, name: str | None, places: Sequence[Mapping[str, Any]]
) -> Panel:
    # Not before a panel is shown: they need ipywidgets and JAX.
    from jaxdbg.checks.afterwards.last import last_report
    from jaxdbg.notebook.widget import Panel
    from jaxdbg.trees.finite_map import FiniteMap, finite_map

    title = name or ""
    if what is None:
        what = last_report()
        if what is None:
            raise ValueError(
                "There is no report yet: no checked region has ended. Put %%checked "
                "above a cell, or give jaxdbg.show() a report or a tree."
            )
        maps = _trees_at_the_end(what) or trees_of(what, places)
        return Panel(PanelContent(what, title=title), maps)
    if isinstance(what, Report):
        return Panel(PanelContent(what, title=title), _trees_at_the_end(what))
    if isinstance(what, Compilations):
        title = title or "compilations"
        return Panel(PanelContent(compilations=what, title=title))
    if isinstance(what, TreeStats):
        return Panel(PanelContent(trees=(what,), title=title))
    if not isinstance(what, FiniteMap):
        what = finite_map(what, name)
    return Panel(PanelContent(title=title), (what,))
