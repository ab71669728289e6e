"""What a failing call gave, in the panel: where in a leaf the bad elements are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import Notebook

Open = Callable[..., Notebook]

LOAD = """\
%load_ext jaxdbg
import time
import jax, jax.numpy as jnp
import optax
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(300, 32, rngs=rngs)
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, tokens, weights):
        return self.head(self.embed(tokens)) * (weights / weights)[:, None]

@nnx.jit
def train_step(model, opt, tokens, weights):
    loss, grads = nnx.value_and_grad(lambda m: m(tokens, weights).mean())(model)
    opt.update(model, grads)
    return loss

model = Net(nnx.Rngs(0))
opt = nnx.Optimizer(model, optax.sgd(1e-3), wrt=nnx.Param)"""
FAILING = """\
%%checked
for step in range(3):
    weights = jnp.ones(8).at[5].set(2.0 - step)
    train_step(model, opt, jnp.arange(8) + 12, weights)"""
BUSY = "time.sleep(8)"
AGAIN = "%panel"
SAVE = "jaxdbg.last_report().save('failed.html')"

ROW = 17  # token 5 of the batch

PIXEL = """(canvas, [across, down]) => {
    const ratio = canvas.width / canvas.clientWidth;
    const at = [across * canvas.width, down * canvas.clientHeight * ratio];
    const ctx = canvas.getContext('2d');
    return [...ctx.getImageData(at[0], at[1], 1, 1).data].slice(0, 3);
}"""
NAN = """panel => {
    const probe = document.createElement('i');
    probe.style.color = 'var(--jd-nan)';
    panel.append(probe);
    const colour = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    return colour.slice(0, 3);
}"""


def is_nan(panel: Locator, down: float) -> bool:
    """Whether the elements at this height of the tile bear the colour of NaN."""
    canvas = panel.locator(".jd-heat canvas")
    nan = panel.evaluate(NAN)
    seen = canvas.evaluate(PIXEL, [0.1, down])
    # Where cells meet a colour is laid on itself, and rounded.
    return all(abs(a - b) < 4 for a, b in zip(seen, nan, strict=True))


def select(panel: Locator, path: str) -> None:
    panel.locator(".jd-search").fill(path)
    panel.locator(".jd-search").press("Enter")
    panel.locator(".jd-search").press("Escape")
    expect(panel.locator(".jd-leaf h3")).to_contain_text(path)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_bad_elements_are_seen(
    open_notebook: Open, tmp_path: Path, theme: str
) -> None:
    notebook = open_notebook(LOAD, FAILING, BUSY, AGAIN, "0")
    notebook.theme(theme)
    notebook.run_all()  # it stops where the cell fails
    panel = notebook.page.locator(".jd-panel")
    expect(panel.locator(".jd-moment small")).to_have_text(
        "3 leaves bad in call 3 of train_step"
    )
    panel.screenshot(path=tmp_path / "failed.png")
    select(panel, "model.embed.embedding")
    expect(panel.locator(".jd-shown")).to_have_text("What call 3 gave.")
    expect(panel.locator(".jd-numbers")).to_contain_text("32 NaN of 9,600")
    expect(panel.locator(".jd-heat canvas")).to_have_attribute(
        "aria-label", "Elements of model.embed.embedding, 150 by 32 cells"
    )
    panel.screenshot(path=tmp_path / "leaf.png")
    assert is_nan(panel, (ROW + 0.5) / 300)
    assert not is_nan(panel, (ROW + 8) / 300)

    # In, to one element, and from there to the notebook.
    box = panel.locator(".jd-heat canvas").bounding_box()
    assert box is not None
    place = {"x": box["width"] * 0.1, "y": box["height"] * (ROW + 0.5) / 300}
    panel.locator(".jd-heat canvas").click(position=place)
    expect(panel.locator(".jd-heat .jd-note")).to_contain_text("[5:29, 0:24]")
    box = panel.locator(".jd-heat canvas").bounding_box()
    assert box is not None
    panel.locator(".jd-heat canvas").click(
        position={"x": 5, "y": box["height"] * (ROW - 5 + 0.5) / 24}
    )
    expect(panel.locator(".jd-value")).to_contain_text("= nan")
    panel.screenshot(path=tmp_path / "element.png")
    copied = panel.locator(".jd-value .jd-copy").get_attribute("title") or ""
    ask(notebook, 4, copied.removeprefix("copy "))
    (output,) = notebook.cell(4)["outputs"]
    assert output["data"]["text/plain"] == "Array(nan, dtype=float32)"

    # The last good values, a key away.
    panel.focus()
    notebook.page.keyboard.press("g")
    expect(panel.locator(".jd-shown")).to_contain_text("The last good values")
    expect(panel.locator(".jd-numbers")).to_contain_text("NaN, Infnone")
    expect(panel.locator(".jd-moment small")).to_have_text("its last good values")
    expect(panel.locator(".jd-heat canvas")).to_be_visible()
    assert not is_nan(panel, (ROW + 0.5) / 300)
    panel.screenshot(path=tmp_path / "good.png")
    notebook.page.keyboard.press("g")

    # A result that no tree holds.
    select_result(panel)
    expect(panel.locator(".jd-shown")).to_contain_text("which no tree holds")
    panel.screenshot(path=tmp_path / "loss.png")


def select_result(panel: Locator) -> None:
    panel.locator(".jd-finding").first.click()
    panel.locator(".jd-leaves .jd-link", has_text="train_step(...)").click()


def ask(notebook: Notebook, number: int, source: str) -> None:
    """Types into a cell, and runs it."""
    notebook.page.evaluate(
        "([i, text]) => { const content = "
        "window.jupyterapp.shell.currentWidget.content;"
        "content.activeCellIndex = i;"
        "content.widgets[i].model.sharedModel.setSource(text); }",
        [number, source],
    )
    notebook.command("notebook:run-cell")
    notebook.wait_until_idle()


def test_they_are_there_while_the_kernel_is_busy_and_shown_again(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, FAILING, BUSY, AGAIN)
    notebook.run_all()
    panel = notebook.page.locator(".jd-panel")
    expect(panel).to_have_count(1)
    run(notebook, 2)
    select(panel, "model.embed.embedding")
    expect(panel.locator(".jd-busy")).to_contain_text("a closer look comes when")
    expect(panel.locator(".jd-heat canvas")).to_have_attribute(
        "aria-label", "Elements of model.embed.embedding, 60 by 32 cells"
    )
    assert is_nan(panel, (ROW + 0.5) / 300)
    panel.screenshot(path=tmp_path / "busy.png")
    notebook.wait_until_idle()
    expect(panel.locator(".jd-heat canvas")).to_have_attribute(
        "aria-label", "Elements of model.embed.embedding, 150 by 32 cells"
    )

    run(notebook, 3)
    notebook.wait_until_idle()
    again = notebook.page.locator(".jp-Cell").nth(3).locator(".jd-panel")
    expect(again.locator(".jd-moment small")).to_have_text(
        "3 leaves bad in call 3 of train_step"
    )
    select(again, "model.embed.embedding")
    expect(again.locator(".jd-heat canvas")).to_be_visible()
    assert is_nan(again, (ROW + 0.5) / 300)
    again.focus()
    notebook.page.keyboard.press("g")
    expect(again.locator(".jd-shown")).to_contain_text("The last good values")


def run(notebook: Notebook, number: int) -> None:
    """Runs a cell, and does not wait for it."""
    notebook.page.evaluate(
        "i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i;"
        "void window.jupyterapp.commands.execute('notebook:run-cell'); }",
        number,
    )


def test_a_saved_page_has_them_without_a_kernel(
    open_notebook: Open, browser: Browser, home: Path, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, FAILING, f"import jaxdbg; {SAVE}")
    notebook.run_all()
    ask(notebook, 2, f"import jaxdbg; {SAVE}")
    page: Page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.goto(f"file://{home / 'notebooks' / 'failed.html'}")
    panel = page.locator(".jd-panel")
    select(panel, "model.embed.embedding")
    expect(panel.locator(".jd-shown")).to_have_text("What call 3 gave.")
    assert is_nan(panel, (ROW + 0.5) / 300)
    panel.locator(".jd-heat canvas").click(position={"x": 40, "y": 60})
    expect(panel.locator(".jd-value")).to_contain_text("holds |x| up to")
    panel.screenshot(path=tmp_path / "page.png")
    page.close()
