"""Compilations as a person meets them in a notebook, in a light and a dark theme."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .conftest import Notebook

LOAD = "%load_ext jaxdbg\nimport jax, jax.numpy as jnp, numpy as np"
STEP = """\
@jax.jit
def train_step(x): return (x * 2).sum()

for size in (32, 32, 17):
    train_step(np.ones((size, 8), np.float32))"""
LOOP = """\
for _ in range(5):
    jax.jit(lambda x: x + 1)(np.ones(3, np.float32))"""

Open = Callable[..., Notebook]


def test_table_warning_and_timeline(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook(
        LOAD, STEP, LOOP, "%compiles", "jaxdbg.compilations().figure()"
    )
    page = notebook.page
    page.locator(".jp-Notebook .jp-Cell .cm-content").nth(4).click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("import jaxdbg\n")
    notebook.run_all()
    page.wait_for_selector(".jp-OutputArea-output img")
    page.screenshot(path=tmp_path / "compiles-light.png")

    warning = notebook.seen(2)
    assert warning.startswith("jaxdbg: this cell has compiled <lambda> 5 times (")
    table = notebook.seen(3)
    assert "tracing, lowering and compiling since jaxdbg was loaded" in table
    assert "x f32[32,8] → f32[17,8]" in table
    assert "drop the last batch, or pad it to the full size" in table

    details = page.locator(".jp-Cell").nth(3).locator("details")
    why = details.filter(has_text="why train_step ran again")
    assert why.get_attribute("open") is not None
    why.locator("summary").click()
    assert "drop the last batch" not in notebook.seen(3)
    why.locator("summary").click()

    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        assert notebook.contrast(3, "train_step", "td") >= 4.5
        assert notebook.contrast(3, "drop the last batch", "details div div") >= 4.5
        page.screenshot(path=tmp_path / f"compiles-{theme}.png")
