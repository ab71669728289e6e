"""The NaN hunt runs headless, and its cells print what the text around them says."""

from __future__ import annotations

import re

import pytest

from notebooks.execution import Cell
from tests.notebooks.cells import Said, percent

NOTEBOOK = "nan_hunt.ipynb"
pytestmark = pytest.mark.slow


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
    assert re.fullmatch(r"\(\d+, 'kB'\)", said("save"))


def test_the_panel_comes_when_it_is_called(cells: list[Cell], said: Said) -> None:
    (cell,) = (c for c in cells if c["id"] == "panel")
    assert "application/vnd.jupyter.widget-view+json" in cell["outputs"][0]["data"]
    assert said("panel").startswith("✗ 2 findings")


def test_the_model_goes_back_and_learns_on(said: Said) -> None:
    assert re.fullmatch(
        r"put back 4 arrays of model, 10 of opt: as before call \d+ of train_step",
        said("rewind").strip(),
    )
    assert percent(said("rewound")) > 90
    assert "✓" in said("train-on")
    assert percent(re.search(r"accuracy \S+", said("train-on"))[0]) > 90  # type: ignore[index]
