"""From a model to its picture: the panel beside treescope, by number of leaves.

    python tests/bench/panel.py [--quick]

Python's part (statistics, and the text that is sent) and the browser's (from opening
the page to the second frame after it has loaded) are timed apart, each as the best of
three after a warm-up. Both tools show the same Flax NNX model: layers of a 16x16 kernel
and a bias, one NaN in one of them. treescope renders as `nnx.display` does, with arrays
visualised; it is left out where it would take minutes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import treescope
from _machine import machine_line
from flax import nnx
from playwright.sync_api import Browser, sync_playwright

import jaxdbg
from jaxdbg.views.panel.data import panel_data
from jaxdbg.views.panel.page import page

SIZES = (100, 1_000, 10_000, 100_000)
MOST_FOR_TREESCOPE = 10_000
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]

_NODES = """() => {
    const count = root => [...root.querySelectorAll('*')].reduce(
        (n, e) => n + 1 + (e.shadowRoot ? count(e.shadowRoot) : 0), 0);
    return count(document);
}"""
_PAINTED = """() => new Promise(done =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"""


class Net(nnx.Module):
    """Layers of two leaves each."""

    def __init__(self, leaves: int):
        kernel, bias = jnp.ones((16, 16)), jnp.zeros(16)
        self.layers = nnx.List([Layer(kernel, bias) for _ in range(leaves // 2)])
        self.layers[leaves // 3].kernel[...] = kernel.at[3, 4].set(jnp.nan)


class Layer(nnx.Module):
    """A kernel and a bias."""

    def __init__(self, kernel: Any, bias: Any):
        self.kernel = nnx.Param(kernel + 0)
        self.bias = nnx.Param(bias + 0)


class Row(NamedTuple):
    """One measurement: seconds, and elements of the page."""

    leaves: int
    tool: str
    statistics: float
    text: float
    browser: float
    nodes: int
    megabytes: float


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 1,000 leaves")
    sizes = SIZES[:2] if parser.parse_args().quick else SIZES
    print(f"{machine_line()}\n")
    print("| leaves | | statistics | text | browser | in all | nodes | sent |")
    print("| --: | --- | --: | --: | --: | --: | --: | --: |")
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for leaves in sizes:
            model = Net(leaves)
            print(line(of_panel(model, leaves, browser)), flush=True)
            if leaves <= MOST_FOR_TREESCOPE:
                print(line(of_treescope(model, leaves, browser)), flush=True)
        browser.close()


def line(row: Row) -> str:
    """A row of the table."""
    whole = row.statistics + row.text + row.browser
    times = (row.statistics, row.text, row.browser, whole)
    cells = [f"{row.leaves:,}", row.tool, *(f"{t:.2f} s" for t in times)]
    return f"| {' | '.join(cells)} | {row.nodes:,} | {row.megabytes:.1f} MB |"


def of_panel(model: Any, leaves: int, browser: Browser) -> Row:
    """What ours takes."""
    statistics, tree = best(lambda: jaxdbg.finite_map(model, "model").stats)
    text, whole = best(lambda: page(panel_data(None, (tree,)), ""))
    seconds, nodes = opened(browser, whole, ".jd-map canvas[data-drawn]")
    return Row(leaves, "jaxdbg", statistics, text, seconds, nodes, len(whole) / 1e6)


def of_treescope(model: Any, leaves: int, browser: Browser) -> Row:
    """What treescope takes; once, where it is slow."""

    def rendered() -> str:
        with treescope.active_autovisualizer.set_scoped(
            treescope.ArrayAutovisualizer()
        ):
            return str(treescope.render_to_html(model))

    text, html = best(rendered, 3 if leaves <= 1_000 else 1)
    seconds, nodes = opened(browser, html, "body *")
    return Row(leaves, "treescope", 0.0, text, seconds, nodes, len(html) / 1e6)


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The shortest of some runs, after one that warms up where there are several."""
    seconds, result = [], None
    for _ in range(times + (times > 1)):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def opened(browser: Browser, html: str, drawn: str) -> tuple[float, int]:
    """Seconds until the page is painted, and its number of elements."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(html, encoding="utf-8")
        seconds, nodes = [], 0
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1100, "height": 800})
            began = time.perf_counter()
            tab.goto(path.as_uri(), timeout=600_000)
            tab.wait_for_selector(drawn, timeout=600_000, state="attached")
            tab.evaluate(_PAINTED)
            seconds.append(time.perf_counter() - began)
            nodes = tab.evaluate(_NODES)
            tab.close()
        return min(seconds), nodes


if __name__ == "__main__":
    main()
