"""The panel among everything else that people do to a notebook."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from .test_panel import COUNT, FAILING, LOAD, Open, panel, run_cell

AGAIN = "%panel"
MODEL = "%panel model"
HOOKS = "len(get_ipython().events.callbacks['post_execute'])"


def test_it_comes_again_goes_when_cleared_and_outlives_its_kernel(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, FAILING, AGAIN, MODEL, COUNT, HOOKS)
    page, shown = notebook.page, panel(notebook)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    notebook.run_all()
    expect(shown).to_have_count(1)
    run_cell(notebook, 5)
    hooks = notebook.seen(5)
    for _ in range(3):
        run_cell(notebook, 2)
        run_cell(notebook, 3)
    expect(shown).to_have_count(1)
    expect(shown.locator(".jd-title")).to_have_text("model")
    run_cell(notebook, 4)
    run_cell(notebook, 5)
    assert (int(notebook.seen(4)), notebook.seen(5)) == (2, hooks)

    notebook.command("notebook:clear-all-cell-outputs")
    expect(shown).to_have_count(0)
    run_cell(notebook, 2)
    expect(shown).to_have_count(1)
    expect(shown.locator(".jd-story")).to_contain_text("born")

    # With the trees of the cell, and their elements.
    shown.locator(".jd-leaves .jd-link").first.click()
    cells = shown.get_by_role("application")
    cells.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(shown.locator(".jd-heat .jd-value")).to_contain_text("1]")

    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session"
        ".kernel.restart()"
    )
    notebook.wait_until_idle()
    expect(shown).to_have_count(1)
    cells.focus()
    page.keyboard.press("Backspace")
    expect(shown.locator(".jd-leaf")).to_contain_text("kernel of this panel is gone")
    assert broken == []
    run_cell(notebook, 0)
    run_cell(notebook, 1)
    expect(panel(notebook)).to_have_count(2)  # the dead one, of another kernel
