"""The tour in JupyterLab, as `python3 run.py tour --lab` opens it."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Browser

import run

from .conftest import START_SECONDS, TOKEN, Notebook


def test_tour_runs_to_its_end(
    server: str, home: Path, browser: Browser, tmp_path: Path
) -> None:
    shutil.copy(run.TOUR, home / "notebooks")
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(f"{server}/lab/tree/{run.TOUR.name}?reset&token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
    notebook = Notebook(page)
    notebook.wait_until_idle()
    notebook.run_all()

    count = page.locator(".jp-Notebook .jp-Cell").count()
    cells = [notebook.cell(number) for number in range(count)]
    failing = next(n for n, cell in enumerate(cells) if cell["id"] == "nan")
    page.locator(".jp-Notebook .jp-Cell").nth(failing).scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "tour.png")

    assert run.surprises(cells) == []
    assert "NonFiniteError: NaN in model." in notebook.seen(failing)
    page.close()
