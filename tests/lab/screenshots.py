"""Makes the pictures of the README out of the tour, in a real JupyterLab.

    python -m pytest tests/lab/screenshots.py

writes notebooks/images/panel-light.png and panel-dark.png.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .conftest import Notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
IMAGES = NOTEBOOKS / "images"


def test_screenshots(open_notebook: Callable[..., Notebook]) -> None:
    cells = json.loads((NOTEBOOKS / "tour.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    failing = next(i for i, cell in enumerate(code) if cell["id"] == "nan")
    notebook = open_notebook(*("".join(cell["source"]) for cell in code[: failing + 1]))
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 1400})
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    shown = page.locator(".jd-panel")
    shown.wait_for()
    for theme in ("Light", "Dark"):
        notebook.theme(theme)
        page.wait_for_timeout(800)  # the canvases follow the theme
        page.mouse.move(0, 0)
        shown.screenshot(path=IMAGES / f"panel-{theme.lower()}.png")
    notebook.theme("Light")
