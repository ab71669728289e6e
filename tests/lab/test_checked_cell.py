"""A checked cell as a person meets it: in a notebook, with the mouse and the keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Notebook

LOAD = "%load_ext jaxdbg"
EARLIER = """\
import jax, jax.numpy as jnp

@jax.jit
def log_price(price):
    return jnp.log(price)

log_price(jnp.ones(3));"""
CLEAN = """\
%%checked
prices = log_price(jnp.array([1.0, 2.0, 3.0]))
prices.shape"""
FAILING = """\
%%checked
prices = jnp.array([1.0, -2.0, 3.0])
logs = log_price(prices)
print("not reached")"""
AWAITS = """\
%%checked
import asyncio
await asyncio.sleep(0.01, jnp.ones(2).sum())"""
NAMES_ITS_FILE = """\
%%checked
def f(): pass
f.__code__.co_filename"""

FLAGS = [  # as IPython sorts them
    "--allow",
    "--async",
    "--errors",
    "--every-op",
    "--help",
    "--keep-donation",
    "--max-compile-seconds",
    "--max-compiles",
    "--max-traces",
    "--only",
    "--panel",
    "--record",
    "--watch",
]

Open = Callable[..., Notebook]


def test_clean_failing_and_what_comes_after(
    open_notebook: Open, tmp_path: Path
) -> None:
    notebook = open_notebook(
        LOAD, EARLIER, CLEAN, AWAITS, FAILING, "print('after the failure')"
    )
    notebook.run_all()
    notebook.page.screenshot(path=tmp_path / "light.png")

    clean = notebook.seen(2)
    assert "1 call" in clean
    assert "checked" in clean
    assert "compiling" in clean
    assert clean.endswith("(3,)")
    assert "array(2.," in notebook.seen(3).lower()

    failing = notebook.seen(4)
    assert "NonFiniteError" in failing
    assert "----> 3 logs = log_price(prices)" in failing
    assert "not reached" not in notebook.printed(4)
    assert failing.count("NonFiniteError") == 2  # its head and its message, once
    assert "jaxdbg/" not in failing  # no frame of ours

    assert notebook.cell(5)["execution_count"] is None  # Run All stopped
    assert notebook.seen(5) == ""

    assert notebook.contrast(2, "checked") >= 4.5
    notebook.theme("Dark")
    notebook.page.screenshot(path=tmp_path / "dark.png")
    assert notebook.contrast(2, "checked") >= 4.5
    notebook.theme("Light")


def test_a_cell_has_the_file_name_that_the_debugger_of_jupyterlab_expects(
    open_notebook: Open,
) -> None:
    expected = f"from ipykernel.compiler import *; get_file_name({NAMES_ITS_FILE!r})"
    notebook = open_notebook(LOAD, NAMES_ITS_FILE, expected)
    notebook.run_all()
    assert notebook.seen(1).splitlines()[-1] == notebook.seen(2) != ""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%%checked --", FLAGS),
        ("%checked o", ["off", "on"]),
    ],
)
def test_tab_offers_our_options_and_nothing_else(
    open_notebook: Open, tmp_path: Path, typed: str, offered: list[str]
) -> None:
    notebook = open_notebook(LOAD, "")
    notebook.run_all()
    page = notebook.page
    page.locator(".jp-Notebook .jp-Cell .cm-content").nth(1).click()
    page.keyboard.type(typed)
    page.keyboard.press("Tab")
    page.wait_for_selector(".jp-Completer-item")
    page.screenshot(path=tmp_path / "completion.png")
    assert page.locator(".jp-Completer-match").all_inner_texts() == offered
