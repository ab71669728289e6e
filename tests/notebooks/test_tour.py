"""The tour runs headless, and its cells print what it promises."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.cells import Said, percent

NOTEBOOK = "tour.ipynb"
pytestmark = pytest.mark.slow


def test_clean_cell_ends_in_one_quiet_line(said: Said) -> None:
    *losses, accuracy, quiet = said("train").split("\n")
    assert len(losses) == 4
    assert percent(accuracy) > 95
    assert quiet.startswith("✓ 201 calls checked · train_step traced and compiled once")


def test_nan_is_caught_and_named(said: Said) -> None:
    text = said("nan")
    assert "step 150: loss" in text  # it was all right for long
    assert "NonFiniteError: NaN in model." in text
    assert "from train_step (call 192 in this cell)" in text
    assert (
        "      return (x - mean) / (std + self.eps)\n"
        "             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "    in model.contrast\n"
        "    denominator `std + self.eps` is exactly 0 at [51, 0, 0, 0]; 1 zero in 64\n"
    ) in text
    assert "    batch x: row 51 alone causes it\n  cause: variance of 0" in text


def test_the_whole_story(said: Said) -> None:
    text = said("nan-origin")
    assert "numerator `x - mean` is exactly 0 at [51, 0, 0, 0]" in text
    assert "model: every element of 4 leaves (NaN), from model.conv1.kernel" in text


def test_model_holds_its_last_good_values(said: Said) -> None:
    stopped, accuracy = said("nan-model").split("\n")
    assert stopped == "stopped in step 192; model and optimizer all finite: True"
    assert percent(accuracy) > 90
    assert said("nan-finite").startswith("✓ model: all 6 leaves finite")
    assert said("nan-batch").startswith("images of one shade only: [51]")


def test_mended_model_trains_on(said: Said) -> None:
    text = said("nan-mended")
    assert "step 400: loss" in text
    assert "✓ 401 calls checked" in text


def test_last_partial_batch_is_caught(said: Said) -> None:
    text = said("retrace")
    assert "TraceBudgetError: train_step is being traced for the 2nd time" in text
    assert (
        "since the earlier time that is most like it, possibly the last partial" in text
    )
    assert "x f32[64,8,8,1] → f32[5,8,8,1]" in text
    assert "next: drop the last batch, or pad it to the full size" in text
    assert said("retrace-batch") == "((5, 8, 8, 1), 5)"
    mended = said("retrace-mended")
    assert "train_step traced and compiled once" in mended
    assert percent(re.search(r"accuracy \S+", mended)[0]) > 95  # type: ignore[index]


def test_compilations_of_the_notebook(said: Said) -> None:
    text = said("compiles")
    assert "tracing, lowering and compiling of train_step" in text
    assert "train_step traced again (2nd time): model" in text  # the wider net


def test_chex_is_live_in_a_function_jitted_before(said: Said) -> None:
    assert "wrapped with `@chex.chexify`" in said("chex-alone")
    live = said("chex-live")
    assert "CheckError: chex.assert_trees_all_close" in live
    assert "1 of 1 leaf differs: faintest is 0 and jnp.float32(1) is 1" in live
    assert "in accuracy (call 1 in this cell)" in live


def test_other_doors(said: Said) -> None:
    assert "('nan', 'train_step', 1," in said("with")
    assert percent(said("decorator").strip("'")) > 95
    assert "✓ 1 call" in said("on-checks")
    assert "--max-traces" in said("help")
    assert "✓ jitted calls and eager ops are checked" in said("doctor")
