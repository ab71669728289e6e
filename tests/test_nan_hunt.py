"""The NaN hunt runs headless, and its cells print what the text around them says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

import run

HUNT = run.ROOT / "notebooks" / "nan_hunt.ipynb"

Said = Callable[[str], str]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What the cell with an id printed, after the notebook was run."""
    folder: Path = tmp_path_factory.mktemp("hunt")
    nbconvert = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
    options = ["--log-level=ERROR", f"--output-dir={folder}"]
    subprocess.run([*nbconvert, *options, str(HUNT)], check=True)
    cells: list[dict[str, Any]] = nbformat.read(folder / HUNT.name, as_version=4).cells
    return lambda id: next(run.printed(cell) for cell in cells if cell["id"] == id)


def test_it_learns_and_then_dies(said: Said) -> None:
    text = said("dies")
    assert re.search(r"step 40: loss 0\.\d+", text)
    assert "step 60: loss nan" in text
    assert "NaN in model." in text
    assert "from train_step (call" in text


def test_the_story_has_the_line_and_the_cause(said: Said) -> None:
    text = said("origin")
    assert "return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p)).mean()" in text
    assert re.search(r"argument of log `1 - p` is exactly 0 at \[\d+\]", text)
    assert "log of 0" in text


def test_it_is_reproduced_without_jaxdbg(said: Said) -> None:
    assert re.search(r"wrote \S+: repro.py", said("repro"))
    *_, last = said("repro-run").strip().splitlines()
    assert last == "Reproduced."


def test_the_model_goes_back_and_learns_on(said: Said) -> None:
    assert re.fullmatch(
        r"put back 4 arrays of model, 10 of opt: as before call \d+ of train_step",
        said("rewind").strip(),
    )
    assert percent(said("rewound")) > 90
    assert "✓" in said("train-on")
    assert percent(re.search(r"accuracy \S+", said("train-on"))[0]) > 90  # type: ignore[index]


def percent(text: str) -> float:
    return float(text.strip("'\n ").split()[-1].removesuffix("%"))
