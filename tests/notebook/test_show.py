"""What a notebook keeps of a panel, for pages in which no widget lives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbconvert
import nbformat
import pytest
from nbclient import NotebookClient

import jaxdbg
from jaxdbg.records import Compilations, PanelContent, Report
from jaxdbg.views import panel_html
from jaxdbg.views.figures.report import png
from tests.programs import panel as made

MOST = 200_000
"""Bytes by which a panel may let a notebook grow."""

WIDGET = "application/vnd.jupyter.widget-view+json"

LOAD = """\
%load_ext jaxdbg
import jax, jax.numpy as jnp
import matplotlib  # so that it is quick to draw
weights = {"dense": {"kernel": jnp.ones((64, 64)), "bias": jnp.zeros(64)}}"""
FAIL = """\
%%checked
jax.jit(lambda weights: jax.tree.map(jnp.log, weights))(weights)"""
SHOW = """\
import jaxdbg
jaxdbg.show({"a": jnp.array([1.0, jnp.nan])}, "tree")"""


@pytest.fixture(scope="module")
def notebook() -> Any:
    """A notebook in which a cell has failed and a tree is shown, as it is saved."""
    cells = [nbformat.v4.new_code_cell(source) for source in (LOAD, FAIL, SHOW)]
    new = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(new, allow_errors=True, timeout=120).execute()
    return new


def converted(notebook: Any, exporter: str) -> tuple[str, dict[str, bytes]]:
    text, resources = getattr(nbconvert, exporter)().from_notebook_node(notebook)
    return text, resources.get("outputs", {})


# In a notebook that was run.


def test_a_failed_cell_keeps_text_html_and_a_picture(notebook: Any) -> None:
    widget, twin, error = notebook.cells[1].outputs
    assert WIDGET in widget.data
    assert widget.data["text/html"] == ""  # for nbconvert: what follows has it all
    assert widget.data["text/plain"].startswith("✗ 1 finding, 1 call")
    assert "-Inf was born" in twin.data["text/html"]
    assert "<script" not in twin.data["text/html"]
    assert b64decode(twin.data["image/png"]).startswith(b"\x89PNG")
    # Drawn when the cell was over, it stands above the error nevertheless.
    assert error.output_type == "error"
    assert "The panel above has all of it" in error.evalue + "".join(error.traceback)


def test_a_tree_keeps_the_same(notebook: Any) -> None:
    widget, twin = notebook.cells[2].outputs
    assert widget.data["text/plain"].startswith("✗ tree: 1 of 1 leaf not finite")
    assert "1 NaN of 2, first at [1]" in twin.data["text/html"]
    assert "image/png" in twin.data


def test_a_panel_is_small_even_with_the_state_of_its_widget(notebook: Any) -> None:
    """`nbconvert --execute` saves the state, with the script; JupyterLab does not."""
    state = notebook.metadata.widgets
    outputs = [notebook.cells[1].outputs[:2], notebook.cells[2].outputs]
    assert max(len(json.dumps(each)) for each in outputs) < MOST / 3
    assert len(json.dumps([state, outputs])) < 2 * MOST


@pytest.mark.parametrize("exporter", ["HTMLExporter", "MarkdownExporter"])
def test_a_page_tells_it_once(notebook: Any, exporter: str) -> None:
    page, _ = converted(notebook, exporter)
    outside_errors = re.sub(r"(?s)NonFiniteError.*?has all of it", "", page)
    assert outside_errors.count("✗ 1 finding") == 1
    assert outside_errors.count("&lt;lambda&gt;, call 1") == 1


def test_a_pdf_has_the_text_and_the_picture(notebook: Any) -> None:
    page, pictures = converted(notebook, "LatexExporter")
    assert page.count("1 finding, 1 call") == 1
    assert len(re.findall(r"\\adjustimage\{[^\n]*\{output_1_1.png\}", page)) == 1
    assert pictures["output_1_1.png"].startswith(b"\x89PNG")


# The HTML.


def test_html_says_nothing_twice() -> None:
    first, second = made.REPORT.findings[:2]
    html = panel_html.html(PanelContent(made.REPORT, (made.MODEL,)))
    assert first.origin is None
    assert second.origin is not None
    assert html.count(first.headline) == 1
    assert html.count("division by a standard deviation of 0 in (x - mean)") == 1
    assert "NaN in model.conv1.kernel" not in html  # 4 leaves are bad
    assert html.count("NaN was born in") == 1
    assert html.index("born") < html.index("model: ")


def test_html_has_room_for_the_first_things() -> None:
    finding = made.REPORT.findings[1]
    many = tuple(
        replace(finding, message=f"NaN in call {i}" + "!" * 400) for i in range(300)
    )
    html = panel_html.html(PanelContent(Report(findings=many), (made.MODEL,) * 40))
    assert html.count("division by a standard deviation of 0 in (x - mean)") == 5
    assert "NaN in call 5!" in html
    assert "model: " in html
    assert re.search(r"\d+ more parts would be too long for a notebook", html)
    assert len(html) < panel_html.MAX_BYTES + 1000


# The picture.


def size(picture: bytes | None) -> tuple[int, int]:
    assert picture is not None
    width, height = picture[16:20], picture[20:24]  # as the format of PNG says
    return int.from_bytes(width, "big"), int.from_bytes(height, "big")


def test_the_picture_is_of_what_is_bad() -> None:
    assert png(PanelContent()) is None
    leaves = (made.leaf("model.head.bias", nan=3),)
    good, bad = made.MODEL, replace(made.MODEL, leaves=leaves)
    every = Compilations(made.REPORT.compilations)
    compiled = png(PanelContent(made.REPORT))
    silent = replace(made.REPORT, findings=())
    assert png(PanelContent(silent, (good,))) == compiled
    assert png(PanelContent(silent, (good, bad))) == png(PanelContent(trees=(bad,)))
    assert png(PanelContent(compilations=every)) == compiled
    trees = [png(PanelContent(trees=(tree,))) for tree in (good, bad)]
    assert len({*trees, compiled}) == 3
    assert 800 < size(compiled)[0] < 1000


def test_a_tree_with_its_last_good_values_is_drawn_as_the_failing_call_gave_it() -> (
    None
):
    given = {leaf.path: leaf for leaf in made.OUTPUTS}
    leaves = tuple(given.get(leaf.path, leaf) for leaf in made.MODEL.leaves)
    failed = replace(made.MODEL, leaves=leaves)
    assert failed.bad
    assert png(PanelContent(made.REPORT, (made.MODEL,))) == png(
        PanelContent(trees=(failed,))
    )


@pytest.mark.slow
def test_a_picture_of_much_is_small() -> None:
    compilations = tuple(
        replace(event, function=f"{event.function} number {i}", start=event.start + i)
        for i in range(500)
        for event in made.REPORT.compilations
    )
    picture = png(PanelContent(replace(made.REPORT, compilations=compilations)))
    assert picture is not None
    assert len(picture) * 4 / 3 < MOST / 3


def test_the_users_style_is_not_used_and_left_alone() -> None:
    plain = png(PanelContent(trees=(made.MODEL,)))
    with mpl.rc_context({"font.size": 40, "text.usetex": True}):
        assert png(PanelContent(trees=(made.MODEL,))) == plain
        assert mpl.rcParams["font.size"] == 40


def test_nobody_waits_for_the_fonts_of_the_machine(tmp_path: Path) -> None:
    ask = (
        "import sys; from jaxdbg.views import figures; print(figures.is_quick()); "
        "print('matplotlib.font_manager' in sys.modules); import matplotlib.figure; "
        "print(figures.is_quick())"
    )
    root = str(Path(jaxdbg.__file__).parents[1])
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path), "PYTHONPATH": root}
    for answers in ("False False True", "True False True"):  # the fonts are known then
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env=environment,
            check=True,
            text=True,
            capture_output=True,
        )
        assert " ".join(done.stdout.split()) == answers
