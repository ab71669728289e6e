"""Each file here is about one notebook: its NOTEBOOK is run headless, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from notebooks.execution import Cell, execute, printed, surprises

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def cells(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Cell]:
    """The cells of the notebook after it was run; only those failed that should."""
    name: str = request.module.NOTEBOOK
    cells = execute(FOLDER / name, tmp_path_factory.mktemp("executed"))
    assert surprises(cells) == []
    return cells


@pytest.fixture
def said(cells: list[Cell]) -> Callable[[str], str]:
    """What the cell with an id printed."""
    return lambda name: next(printed(c) for c in cells if c["id"] == name)
