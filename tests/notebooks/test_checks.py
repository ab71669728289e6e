"""The notebook on checks runs headless, and its cells print what its text says."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.cells import Said, percent

NOTEBOOK = "checks.ipynb"
pytestmark = pytest.mark.slow


def test_a_bug_that_nothing_else_tells(said: Said) -> None:
    learnt, quiet = said("train").split("\n")
    assert percent(learnt) > 90
    assert quiet.startswith("✓ 201 calls")
    assert said("shape").startswith("[Chex] Assertion assert_shape failed")
    assert "input 0 has shape (1797, 64) but expected (None, 8, 8)" in said("shape")


def test_static_assertions_leave_no_trace_in_the_program(said: Said) -> None:
    same, *_ = said("same").split("\n")
    found = re.fullmatch(r"the same program: True, (\d+) lines", same)
    assert found is not None
    assert int(found[1]) > 20  # a program, and not nothing twice


def test_a_value_assertion_is_live_in_a_checked_cell_only(said: Said) -> None:
    assert "wrapped with `@chex.chexify`" in said("alone")
    text = said("live")
    assert (
        "CheckError: chex.assert_trees_all_close: 1 of 1 leaf differs: off is" in text
    )
    assert "jnp.zeros_like(off) is 0 (rtol=1e-06, atol=0.001)\n" in text
    where = "\n  in accuracy (call 1 in this cell)\n    in model\n  at cell 3, line 22"
    assert where in text


def test_the_mended_net_passes_its_assertion(said: Said) -> None:
    learnt, quiet, *_ = said("mended").split("\n")
    assert percent(learnt) > 90
    assert quiet.startswith("✓ 201 calls")


def test_each_way_has_its_cost(said: Said) -> None:
    plain, *others = said("cost").split("\n")
    assert re.fullmatch(r"plain.* ms +1\.00x", plain)
    assert len(others) == 2
    assert all(re.fullmatch(r"checked.* \d+\.\d\d ms +\d+\.\d\dx", o) for o in others)


def test_async_names_the_call_and_the_model_goes_back(said: Said) -> None:
    text = said("async")
    assert "off is NaN and jnp.zeros_like(off) is 0" in text
    assert "in train_step (call 100 in this cell)\n" in text
    assert "\n  at cell 3, line 22" in text
    failed = re.match(r"failed in call 100; the loop was .* (\d+)\n", said("rewind"))
    assert failed is not None
    assert 100 <= int(failed[1]) <= 200
    assert "as before call 100 of train_step" in said("rewind")
    assert percent(said("rewound")) > 90


def test_the_budgets_hold(said: Said) -> None:
    assert said("budget").startswith("✓ 21 calls")
    text = said("over")
    assert "TraceBudgetError: train_step is being traced for the 2nd time" in text
    assert "x f32[64,8,8] → f32[56,8,8]" in text
    own = said("own")
    assert "TraceBudgetError: predict is being traced for the 2nd time" in own
    assert "x f32[397,8,8] → f32[1,8,8]" in own
