"""The panel as a person meets it: in JupyterLab, with the mouse and the keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, expect

from .conftest import Notebook

Open = Callable[..., Notebook]

LOAD = """\
%load_ext jaxdbg
import jax, jax.numpy as jnp

@jax.jit
def train_step(model, x):
    scale = x / x.sum()
    return {"kernel": model["kernel"] * scale, "bias": model["bias"] + 1}

model = {"kernel": jnp.ones(3), "bias": jnp.ones(2)}"""
CLEAN = """\
%%checked
model = train_step(model, jnp.ones(3))"""
FAILING = """\
%%checked
for step in range(3):
    model = train_step(model, jnp.full(3, float(2 - step)))"""


def panel(notebook: Notebook) -> Locator:
    return notebook.page.locator(".jd-panel")


def test_a_failure_opens_the_panel_at_its_leaf(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, CLEAN, FAILING)
    notebook.run_all()
    shown = panel(notebook)
    expect(shown).to_have_count(1)
    assert notebook.page.locator(".jp-Cell").nth(1).locator(".jd-panel").count() == 0
    expect(shown.locator(".jd-chip")).to_have_text("✗ 1 finding")
    expect(shown.locator(".jd-finding.jd-here")).to_contain_text("kernel")
    shown.screenshot(path=tmp_path / "failed.png")
    seen = notebook.seen(2)
    assert "%panel shows it again" in seen
    assert seen.index("1 finding") < seen.index("NonFiniteError")
    assert notebook.page.locator(".jd-twin").first.is_hidden()


def test_keys_in_the_panel_are_not_for_the_notebook(open_notebook: Open) -> None:
    notebook = open_notebook(LOAD, FAILING)
    notebook.run_all()
    shown = panel(notebook)
    shown.focus()
    for key in "]tim":
        notebook.page.keyboard.press(key)
    expect(shown.get_by_role("button", name="Map")).to_have_attribute(
        "aria-pressed", "true"
    )
    for key in "axdd":
        notebook.page.keyboard.press(key)
    assert notebook.page.locator(".jp-Notebook .jp-Cell").count() == 2
