"""The panel as a person meets it: in JupyterLab, with the mouse and the keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, expect

from .conftest import START_SECONDS, TOKEN, Notebook

Open = Callable[..., Notebook]

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"

LOAD = """\
%load_ext jaxdbg
import time
import jax, jax.numpy as jnp, numpy as np
import optax
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(8, 8, rngs=rngs) for _ in range(3)])

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.tanh(layer(x))
        return x

@nnx.jit
def train_step(model, opt, x):
    loss, grads = nnx.value_and_grad(lambda m: (m(x) / x.sum()).mean())(model)
    opt.update(model, grads)
    return loss

model = Net(nnx.Rngs(0))
opt = nnx.Optimizer(model, optax.sgd(1e-6), wrt=nnx.Param)"""
CLEAN = """\
%%checked
train_step(model, opt, jnp.ones((4, 8)))"""
FAILING = """\
%%checked
for step in range(3):
    train_step(model, opt, jnp.full((4, 8), float(2 - step)))"""
LIVE = """\
%%checked --panel
for step in range(16):
    train_step(model, opt, jnp.ones((4, 8)))
    time.sleep(0.25)"""
SHOW = """\
from jaxdbg import show
show(model)"""
BUSY = "time.sleep(4)"
COUNT = """\
import gc, ipywidgets
gc.collect()
len(ipywidgets.widget._instances)"""


def panel(notebook: Notebook) -> Locator:
    return notebook.page.locator(".jd-panel")


def test_a_failure_opens_the_panel_at_its_leaf(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, CLEAN, FAILING, "print('not run')")
    hosts = requested(notebook)
    notebook.run_all()
    shown = panel(notebook)
    expect(shown).to_have_count(1)
    # A clean cell keeps to its one quiet line.
    assert notebook.page.locator(".jp-Cell").nth(1).locator(".jd-panel").count() == 0
    expect(shown.locator(".jd-chip")).to_have_text("✗ 1 finding")
    row = shown.locator(".jd-finding.jd-here")
    expect(row).to_contain_text("division by zero in m(x) / x.sum()")
    expect(row).to_contain_text("cell 1, line 18 · train_step, call 3")
    expect(shown.locator(".jd-answer")).to_contain_text("born")
    expect(shown.locator(".jd-fix")).to_contain_text("fix")
    expect(shown.locator(".jd-rest")).to_contain_text("7 leaves: all of model")
    expect(shown.locator(".jd-step")).to_contain_text("of 6 bad")
    shown.screenshot(path=tmp_path / "failed.png")
    seen = notebook.seen(2)
    assert "%panel shows it again" in seen
    assert seen.index("1 finding") < seen.index("NonFiniteError")
    assert notebook.cell(3)["execution_count"] is None  # Run All stopped
    expect(notebook.page.locator(".jd-twin")).to_be_hidden()

    # From the story to a leaf, its elements, one element; and back to the finding.
    shown.locator(".jd-leaves .jd-link").first.click()
    expect(shown.locator(".jd-leaf h3")).to_contain_text("model.layers")
    expect(shown.locator(".jd-shown")).to_have_text("What call 3 gave.")
    shown.locator(".jd-heat canvas").click(position={"x": 3, "y": 3})
    expect(shown.locator(".jd-heat .jd-value")).to_contain_text("] = ")
    shown.screenshot(path=tmp_path / "leaf.png")
    shown.locator(".jd-leaf .jd-link", has_text="division").click()
    expect(shown.locator(".jd-story")).to_contain_text("born")

    # A cell of the map, with the mouse; a bar of the timeline's table, by its row.
    shown.locator(".jd-map canvas").click(position={"x": 140, "y": 14})
    expect(shown.locator(".jd-leaf h3")).to_contain_text("model.layers[0].")
    shown.locator(".jd-compilations summary").click()
    shown.locator(".jd-compilations tbody tr").first.click()
    expect(shown.locator(".jd-details h3")).to_contain_text("train_step")
    assert hosts == {"127.0.0.1"}


def test_a_place_is_a_link_to_its_line(open_notebook: Open) -> None:
    notebook = open_notebook(LOAD, *["# text\n" * 30] * 2, FAILING)
    notebook.run_all()
    page = notebook.page
    place = panel(notebook).locator(".jd-answer .jd-place").first
    place.click()
    line = page.locator(".jp-Cell").first.locator(".cm-line").nth(17)
    expect(line).to_contain_text("m(x) / x.sum()")
    expect(line).to_be_in_viewport()
    assert line.evaluate("e => e.getAnimations().length") == 1
    # The cell has another number now: what is left is the place itself.
    run_cell(notebook, 0)
    place.click()
    expect(panel(notebook).locator(".jd-answer")).to_contain_text("line 18 copied")


def requested(notebook: Notebook) -> set[str]:
    """The hosts that the page will have asked for something."""
    hosts: set[str] = set()

    def note(request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob"):
            hosts.add(str(address.hostname))

    notebook.page.on("request", note)
    return hosts


def test_the_timeline_has_calls_cells_and_keys(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, FAILING)
    notebook.run_all()
    timeline = panel(notebook).locator(".jd-timeline")
    expect(timeline).to_contain_text("tracing, lowering and compiling")
    tip = panel(notebook).locator(".jd-tip")
    canvas = timeline.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    mouse, wide = notebook.page.mouse, box["width"]
    lane = box["y"] + 42
    # From the right, where nothing was compiled any more.
    for x in range(int(wide) - 4, 132, -2):
        mouse.move(box["x"] + x, lane)
        if tip.count() and "call 2 of train_step" in tip.inner_text():
            break
    expect(tip).to_contain_text("call 2 of train_step · ")
    mouse.down()
    mouse.up()
    expect(panel(notebook).locator(".jd-slider")).to_contain_text("call 2 train_step")
    timeline.focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(panel(notebook).locator(".jd-details h3")).to_contain_text("trace ")
    notebook.page.keyboard.press("+")
    expect(timeline.get_by_text("show all")).to_be_visible()
    canvas.dblclick(position={"x": wide - 20, "y": 60})
    expect(timeline.get_by_text("drag to zoom")).to_be_visible()
    panel(notebook).screenshot(path=tmp_path / "timeline.png")


def test_compilations_of_all_cells_are_a_timeline(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, "jax.jit(lambda x: x + 1)(2.0)", "%compiles --panel")
    notebook.run_all()
    shown = panel(notebook)
    expect(shown.locator(".jd-header")).to_contain_text("compilations")
    expect(shown.locator(".jd-timeline")).to_contain_text("since jaxdbg was loaded")
    expect(shown.locator(".jd-keys")).to_contain_text("zoom")
    shown.screenshot(path=tmp_path / "compilations.png")
    # What stays when no widget lives is the table.
    html = json.dumps(notebook.cell(2)["outputs"])
    assert "since jaxdbg was loaded" in html
    assert "0 calls" not in html


def test_keys_work_and_are_not_for_the_notebook(open_notebook: Open) -> None:
    notebook = open_notebook(LOAD, FAILING)
    notebook.run_all()
    shown, keys = panel(notebook), notebook.page.keyboard
    shown.focus()
    keys.press("]")
    expect(shown.locator(".jd-step")).to_contain_text("2 of 6 bad")
    keys.press("t")
    tree = shown.get_by_role("tree")
    tree.focus()
    keys.press("End")
    keys.press("Enter")
    expect(shown.locator(".jd-leaf h3")).to_contain_text("model.layers[2].kernel")
    keys.press("/")
    keys.type("layers[1] bias")
    keys.press("Enter")
    expect(shown.locator(".jd-leaf h3")).to_contain_text("model.layers[1].bias")
    keys.press("Escape")
    keys.press("?")
    expect(shown.locator(".jd-help")).to_contain_text("head-room")
    keys.press("?")
    expect(shown.locator(".jd-help")).to_have_count(0)
    for key in "axdd":  # in JupyterLab: a new cell, cut it, delete it
        keys.press(key)
    assert notebook.page.locator(".jp-Notebook .jp-Cell").count() == 2


def test_it_lives_while_the_cell_runs(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook(LOAD, LIVE)
    run_without_waiting(notebook)
    shown = panel(notebook)
    expect(shown.locator(".jd-running")).to_be_visible(timeout=60_000)
    expect(shown.locator(".jd-facts")).to_contain_text("calls/s", timeout=20_000)
    expect(shown.locator(".jd-timeline")).to_be_visible()
    # Its leaves with their numbers, as of a call of a moment ago.
    shown.locator(".jd-map canvas").click(position={"x": 140, "y": 14})
    expect(shown.locator(".jd-leaf")).to_contain_text("As of train_step (call ")
    expect(shown.locator(".jd-leaf")).to_contain_text("mean ± std")
    expect(shown.locator(".jd-busy")).to_contain_text("kernel busy")
    shown.screenshot(path=tmp_path / "live.png")
    assert notebook.cell(1)["execution_count"] is None  # it still runs
    notebook.wait_until_idle()
    expect(shown.locator(".jd-chip")).to_have_text("✓ clean")
    expect(shown.locator(".jd-facts")).to_contain_text("16 calls")
    expect(shown.locator(".jd-leaf")).not_to_contain_text("As of")
    expect(shown.locator(".jd-heat canvas")).to_be_visible()


def run_without_waiting(notebook: Notebook) -> None:
    notebook.page.evaluate(
        "() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }"
    )


def test_it_answers_down_to_the_leaf_while_the_kernel_is_busy(
    open_notebook: Open,
) -> None:
    notebook = open_notebook(LOAD, SHOW, BUSY)
    run_without_waiting(notebook)
    shown = panel(notebook)
    expect(shown.locator(".jd-title")).to_have_text("model", timeout=60_000)
    shown.locator(".jd-map canvas").click(position={"x": 140, "y": 14})
    expect(shown.locator(".jd-leaf")).to_contain_text("mean ± std")
    expect(shown.locator(".jd-busy")).to_have_text(
        "kernel busy – the elements come when the cell ends"
    )
    expect(shown.locator(".jd-heat canvas")).to_be_visible(timeout=20_000)
    notebook.wait_until_idle()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_and_contrast_find_nothing(
    open_notebook: Open, tmp_path: Path, theme: str
) -> None:
    notebook = open_notebook(LOAD, CLEAN, FAILING)
    notebook.run_all()
    shown = panel(notebook)
    before = int(shown.locator(".jd-map canvas").get_attribute("data-drawn") or 0)
    notebook.theme("Dark")
    if theme == "Light":
        notebook.theme("Light")
    expect(shown).to_have_attribute("data-jd-dark", str(theme == "Dark").lower())
    after = int(shown.locator(".jd-map canvas").get_attribute("data-drawn") or 0)
    assert after > before
    found = []
    for view in ("Map", "Icicle", "Table"):
        shown.get_by_role("button", name=view).click()
        shown.locator(".jd-compilations").evaluate("e => { e.open = true }")
        shown.locator(".jd-ask").click()  # with the help in one, without in the next
        found += violations(notebook) + faint(shown)
        shown.screenshot(path=tmp_path / f"{view}.png")
    shown.get_by_role("treeitem").last.click()
    found += violations(notebook) + faint(shown)
    notebook.theme("Light")
    assert found == []


def violations(notebook: Notebook) -> list[str]:
    """What axe finds in the panel."""
    if not AXE.exists():
        pytest.fail(f"The test needs {AXE}. Install it: npm --prefix js ci")
    notebook.page.evaluate(AXE.read_text())
    found = notebook.page.evaluate("axe.run('.jd-panel')")["violations"]
    return [f"{v['id']}: {n['html'][:120]}" for v in found for n in v["nodes"]]


def faint(shown: Locator) -> list[str]:
    """Texts with a contrast below 4.5; axe does not look at it in output areas."""
    found: list[str] = shown.evaluate(_FAINT)
    return found


_FAINT = """panel => {
    const context = document.createElement('canvas').getContext('2d');
    const parse = text => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = text;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) =>
        [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const linear = v =>
        (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const luminance = c =>
        0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
    const groundOf = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement)
            layers.unshift(parse(getComputedStyle(e).backgroundColor));
        return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const found = [];
    for (const element of panel.querySelectorAll('*')) {
        const own = [...element.childNodes].some(
            n => n.nodeType === 3 && n.textContent.trim());
        const seen = element.getClientRects().length && !element.closest('svg');
        if (!own || !seen) continue;
        const ground = groundOf(element);
        const text = over(parse(getComputedStyle(element).color), ground);
        const [high, low] = [luminance(text), luminance(ground)].sort((a, b) => b - a);
        const contrast = (high + 0.05) / (low + 0.05);
        // A glyph is a sign, for which 3 is asked.
        const wanted = element.classList.contains('jd-glyph') ? 3 : 4.5;
        if (contrast < wanted)
            found.push(`${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 100)}`);
    }
    return found;
}"""


def test_reopened_without_its_kernel_it_is_the_static_report(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, FAILING)
    notebook.run_all()
    expect(panel(notebook)).to_be_visible()
    notebook.command("docmanager:save")
    saved = json.dumps(
        notebook.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.model.toJSON()"
        )
    )
    assert len(saved) < 200_000
    assert "anywidget" not in saved  # no widget state, with its script
    notebook.command("kernelmenu:shutdown")
    notebook.page.reload()
    twin = notebook.page.locator(".jd-twin")
    expect(twin).to_be_visible(timeout=START_SECONDS * 1000)
    expect(twin).to_contain_text("born")
    # Neither at once, nor when a kernel has come that does not know the widget.
    assert "Loading widget" not in notebook.page.inner_text(".jp-Notebook")
    notebook.page.wait_for_timeout(1500)
    notebook.page.screenshot(path=tmp_path / "reopened.png")
    assert "rror displaying widget" not in notebook.page.inner_text(".jp-Notebook")
    assert panel(notebook).count() == 0
    notebook.wait_until_idle()


def test_twenty_runs_leave_one_panel_and_no_more(open_notebook: Open) -> None:
    notebook = open_notebook(LOAD, FAILING, SHOW, COUNT)
    notebook.run_all()
    counts = []
    for _ in range(4):
        for _ in range(5):
            run_cell(notebook, 1)
        run_cell(notebook, 2)
        run_cell(notebook, 3)
        counts.append(int(notebook.seen(3)))
    assert counts[0] == counts[-1] <= 3  # the panel, its layout
    expect(panel(notebook)).to_have_count(1)
    # What another panel has replaced is told by its twin.
    expect(notebook.page.locator(".jp-Cell").nth(1).locator(".jd-twin")).to_be_visible()
    comms = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    assert notebook.page.evaluate(f"() => {comms}._comms.size") <= 5


def run_cell(notebook: Notebook, number: int) -> None:
    notebook.page.evaluate(
        "i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i }",
        number,
    )
    notebook.command("notebook:run-cell")
    notebook.wait_until_idle()


@pytest.fixture
def notebook_7(server: str, home: Path, browser: Browser) -> Iterator[Notebook]:
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in (LOAD, FAILING)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    new = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(new, home / "notebooks" / "notebook7.ipynb")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(f"{server}/notebooks/notebook7.ipynb?token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
    yield Notebook(page)
    page.close()


def test_it_lives_in_notebook_7(notebook_7: Notebook, tmp_path: Path) -> None:
    page = notebook_7.page
    # Before its kernel is there a notebook runs no cell that it is asked to.
    idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    expect(idle).to_be_attached(timeout=START_SECONDS * 1000)
    page.get_by_role("menuitem", name="Run").click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(panel(notebook_7)).to_be_visible(timeout=60_000)
    expect(panel(notebook_7).locator(".jd-story")).to_contain_text("born")
    page.screenshot(path=tmp_path / "notebook7.png")


def test_a_saved_report_is_a_page_that_needs_nobody(
    browser: Browser, tmp_path: Path
) -> None:
    from tests.programs import panel as made

    path = made.REPORT.save(tmp_path / "report.html")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    shown = page.locator(".jd-panel")
    expect(shown.locator(".jd-story")).to_contain_text("NaN was born in")
    shown.locator(".jd-leaves .jd-link").first.click()
    expect(shown.locator(".jd-leaf h3")).to_contain_text("model.conv1.kernel")
    page.close()
    assert asked == [path.as_uri()]
