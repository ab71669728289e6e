"""A real JupyterLab, driven by a real Chromium.

Everything JupyterLab would keep at home lies in a temporary directory, so that runs do
not see each other and leave nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import jaxdbg

TOKEN = "test"
START_SECONDS = 60
CELL_SECONDS = 120

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

SETTINGS: dict[str, dict[str, object]] = {
    # Cells off the screen are otherwise taken out of the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


class Notebook:
    """An open notebook: what a person does with it, and what they see."""

    def __init__(self, page: Page):
        self.page = page

    def command(self, name: str, **args: object) -> None:
        """Executes a command of JupyterLab, and waits until it is done."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)"
            ".then(() => null)",
            [name, args],
        )

    def run_all(self) -> None:
        """Run All Cells; returns when the last one that runs has ended."""
        self.command("notebook:run-all-cells")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Waits until the kernel has nothing to do."""
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session"
            "?.kernel?.status === 'idle'",
            timeout=CELL_SECONDS * 1000,
        )

    def cell(self, number: int) -> dict[str, Any]:
        """A cell as it would be saved."""
        model = "window.jupyterapp.shell.currentWidget.content.widgets[i].model"
        found = self.page.evaluate(f"i => {model}.toJSON()", number)
        assert isinstance(found, dict)
        return found

    def seen(self, number: int) -> str:
        """The text a person reads in the output of a cell."""
        cell = self.page.locator(".jp-Notebook .jp-Cell").nth(number)
        return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts())

    def theme(self, name: str) -> None:
        """Changes the theme, and waits until it is there."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        body = f"body[data-jp-theme-name='JupyterLab {name}']"
        self.page.wait_for_selector(body, state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def printed(self, number: int) -> str:
        """What a cell has printed."""
        outputs = self.cell(number)["outputs"]
        return "".join(o["text"] for o in outputs if o["output_type"] == "stream")

    def contrast(self, number: int, text: str, tag: str = "pre") -> float:
        """The contrast of the output with this text to its background (WCAG)."""
        cell = self.page.locator(".jp-Notebook .jp-Cell").nth(number)
        tags = f".jp-OutputArea-output {tag}"
        element = cell.locator(tags, has_text=text).first
        colours = element.evaluate(_COLOURS)
        lighter, darker = sorted(map(_luminance, colours), reverse=True)
        return (lighter + 0.05) / (darker + 0.05)


_COLOURS = """element => {
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const over = (top, below) => {
        const alpha = top[3] ?? 1;
        return [0, 1, 2].map(i => top[i] * alpha + below[i] * (1 - alpha));
    };
    const layers = [];
    for (let e = element; e; e = e.parentElement)
        layers.unshift(parse(getComputedStyle(e).backgroundColor));
    const ground = layers.reduce((below, top) => over(top, below), [255, 255, 255]);
    return [over(parse(getComputedStyle(element).color), ground), ground];
}"""


def _luminance(colour: list[float]) -> float:
    def linear(value: float) -> float:
        value /= 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.fixture(autouse=True)
def nothing_is_left() -> None:
    """In this process jaxdbg does nothing, and Playwright has threads of its own."""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps everything it keeps."""
    home = tmp_path_factory.mktemp("jupyter")
    for name, value in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    (home / "notebooks").mkdir()
    return home


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[str]:
    """The address of a running JupyterLab."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            _server_command(port),
            cwd=home / "notebooks",
            env=_environment(home),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(process, f"http://127.0.0.1:{port}/api", home / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            _end_group(process)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail(
            "The tests in tests/lab need Chromium, and there is none on the PATH. "
            "On Debian: apt-get install -y chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def open_notebook(
    server: str, home: Path, browser: Browser, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens a new notebook with these cells; its kernel is ready."""
    pages: list[Page] = []

    def open_it(*cells: str) -> Notebook:
        name = f"{request.node.name}-{len(pages)}.ipynb"
        new = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(new, home / "notebooks" / name)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        pages.append(page)
        page.goto(f"{server}/lab/tree/{name}?reset&token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
        notebook = Notebook(page)
        notebook.wait_until_idle()
        return notebook

    yield open_it
    for page in pages:
        Notebook(page).command("kernelmenu:shutdown")
        page.close()


def _server_command(port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"),
    ]


def _environment(home: Path) -> dict[str, str]:
    root = str(Path(jaxdbg.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    inside = {name: str(home / place) for name, place in places.items()}
    return {**os.environ, **inside, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}?token={TOKEN}", timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and its kernels, and nothing else."""
    for end in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, end)
            process.wait(timeout=10)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
