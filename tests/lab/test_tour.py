"""The tour in JupyterLab, as `python3 run.py tour --lab` opens it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser

import run

from .conftest import CELL_SECONDS, START_SECONDS, TOKEN, Notebook


def test_tour_runs_to_its_end(
    server: str, home: Path, browser: Browser, tmp_path: Path
) -> None:
    shutil.copy(run.TOUR, home / "notebooks")
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto(f"{server}/doc/tree/{run.TOUR.name}?reset&token={TOKEN}")
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

    count = page.locator(".jp-Notebook .jp-Cell").count()
    cells = [notebook.cell(number) for number in range(count)]
    by_id = {cell["id"]: n for n, cell in enumerate(cells)}
    failing, story = by_id["nan"], by_id["nan-origin"]
    for number, theme in ((failing, "Light"), (story, "Light"), (story, "Dark")):
        notebook.theme(theme)
        picture = tmp_path / f"{cells[number]['id']}-{theme}.png"
        page.locator(".jp-Notebook .jp-Cell").nth(number).screenshot(path=picture)
    assert (
        notebook.contrast(story, "return (x - mean)") >= 4.5
    )  # in the dark theme, too
    assert run.surprises(cells) == []
    assert "NonFiniteError: NaN in model." in notebook.seen(failing)
    assert "in model.contrast" in notebook.seen(failing)
    assert "row 51 alone" in notebook.seen(story)
    page.close()
