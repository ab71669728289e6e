"""The notebooks in JupyterLab, as `run.py tour --lab` opens the first of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from notebooks.execution import surprises

from .conftest import CELL_SECONDS, START_SECONDS, TOKEN, Notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Ran:
    """A notebook of ours, run from its top to its end."""

    def __init__(self, notebook: Notebook):
        self.notebook = notebook
        count = notebook.page.locator(".jp-Notebook .jp-Cell").count()
        self.cells: list[dict[str, Any]] = [notebook.cell(n) for n in range(count)]
        self.number = {cell["id"]: n for n, cell in enumerate(self.cells)}

    def seen(self, name: str) -> str:
        """What a person reads in the output of the cell with this id."""
        return self.notebook.seen(self.number[name])


@pytest.fixture
def ran(
    server: str, home: Path, browser: Browser, request: pytest.FixtureRequest
) -> Iterator[Ran]:
    """The notebook that the test is asked for, after it was run."""
    path = NOTEBOOKS / f"{request.param}.ipynb"
    shutil.copy(path, home / "notebooks")
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto(f"{server}/doc/tree/{path.name}?reset&token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
    notebook = Notebook(page)
    notebook.wait_until_idle()
    notebook.run_all()
    # `run_all` returns at the first cell that fails; those that are tagged for it do
    # not keep the rest from running.
    last = page.locator(".jp-CodeCell").last
    last.locator(".jp-InputPrompt", has_text=re.compile(r"\d")).wait_for(
        timeout=CELL_SECONDS * 1000
    )
    yield Ran(notebook)
    notebook.command("kernelmenu:shutdown")
    page.close()


@pytest.mark.parametrize("ran", ["tour"], indirect=True)
def test_tour_runs_to_its_end(ran: Ran, tmp_path: Path) -> None:
    notebook, page = ran.notebook, ran.notebook.page
    failing, story = ran.number["nan"], ran.number["nan-origin"]
    for number, theme in ((failing, "Light"), (story, "Light"), (story, "Dark")):
        notebook.theme(theme)
        picture = tmp_path / f"{ran.cells[number]['id']}-{theme}.png"
        page.locator(".jp-Notebook .jp-Cell").nth(number).screenshot(path=picture)
    assert (
        notebook.contrast(story, "return (x - mean)") >= 4.5
    )  # in the dark theme, too
    assert surprises(ran.cells) == []
    assert "NonFiniteError: NaN in model." in ran.seen("nan")
    assert "in model.contrast" in ran.seen("nan")
    assert "row 51 alone" in ran.seen("nan-origin")


@pytest.mark.parametrize("ran", ["nan_hunt", "recompiles", "checks"], indirect=True)
def test_notebook_runs_to_its_end(ran: Ran) -> None:
    assert surprises(ran.cells) == []
    # Each has one panel at most, in the cell that showed it last.
    shown = ran.notebook.page.locator(".jd-panel")
    expect(shown).to_have_count(0 if "table" in ran.number else 1)
    if "panel" in ran.number:
        expect(shown.locator(".jd-spark-small").first).to_be_visible()
        expect(shown.locator(".jd-story")).to_contain_text("log")
