"""The notebook on recompilations runs headless, and says what it promises."""

from __future__ import annotations

import pytest

from notebooks.execution import Cell
from tests.notebooks.cells import Said

NOTEBOOK = "recompiles.ipynb"
pytestmark = pytest.mark.slow


def test_the_slow_cell_is_told_of_once(said: Said) -> None:
    *_, seconds, quiet, _ = said("slow").split("\n")
    assert seconds.endswith(" s")
    assert quiet.startswith("jaxdbg: this cell has compiled <lambda> 32 times (")


def test_the_table_names_the_three_mistakes(said: Said) -> None:
    text = said("table")
    assert "<lambda> traced 3 more times: the function: a lambda → another" in text
    assert "  → make and jit the function once, outside the loop" in text
    assert "<lambda> traced 28 more times: 8 lengths of x, 174 to 183 · " in text
    assert "  → pad it to a few lengths and mask the rest: 2 fit (179, 183)" in text
    assert "step traced again (2nd time): x f32[64,64] → f32[5,64], y" in text
    assert "· possibly the last partial batch\n  → drop the last batch" in text


def test_the_timeline_is_drawn(cells: list[Cell]) -> None:
    (cell,) = (c for c in cells if c["id"] == "figure")
    assert any("image/png" in out.get("data", {}) for out in cell["outputs"])


def test_the_mended_cell_compiles_once(said: Said) -> None:
    assert "has compiled" not in said("fast")
    text = said("diff")
    assert "- <lambda>: traces 32 → 0 · compiles 32 → 0" in text
    assert "+ shares_right: traces 0 → 1 · compiles 0 → 1" in text
    assert "    - step traced again (2nd time): x f32[64,64] → f32[5,64]" in text


def test_the_budget_holds(said: Said) -> None:
    text = said("over")
    assert "TraceBudgetError: shares_right is being traced for the 2nd time" in text
    assert "x f32[1797,64] → f32[1000,64]" in text
