"""`pytest --jaxdbg` on a suite of tests that knows nothing of jaxdbg."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxdbg import Report
from tests.quick import row

ROOT = Path(__file__).resolve().parents[2]

SUITE = """
import jax, jax.numpy as jnp, pytest

@jax.jit
def loss(x): return (x / x.sum()).mean()

def test_good(): assert loss(jnp.ones(3)) > 0
def test_nan(): loss(jnp.zeros(3))
def test_skips():
    loss(jnp.ones(3))
    pytest.skip("later")
"""

MARKED = """
import jax, jax.numpy as jnp, pytest

@jax.jit
def loss(x): return (x / x.sum()).mean()

@pytest.mark.jaxdbg(max_traces=1)
def test_budget():
    for n in (8, 8, 5): loss(jnp.ones(n))

@pytest.mark.jaxdbg(record=True)
def test_recorded():
    loss(jnp.zeros(3))
    loss(jnp.zeros(3) + 1)

@pytest.mark.jaxdbg(record=True)
def test_that_looks_itself(jaxdbg_region):
    loss(jnp.zeros(3))
    assert len(jaxdbg_region.report.findings) == 1

def test_of_its_own_region(jaxdbg_region):
    loss(jnp.ones(3))
    assert jaxdbg_region.report.calls == 1

def test_unasked(): loss(jnp.zeros(3))
"""


def suite(folder: Path, text: str, *words: str, ini: str = "") -> str:
    """What pytest prints for a suite of tests, in a process of its own."""
    (folder / "test_suite.py").write_text(text)
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": ""}
    # By its module, and not as what is installed, since that may be older.
    plugin = ["-p", "no:jaxdbg", "-p", "jaxdbg.testing.plugin"]
    other = ["-p", "no:cacheprovider", "--color=no", "-rA"]
    command = [sys.executable, "-m", "pytest", *plugin, *other, *words]
    done = subprocess.run(
        command, cwd=folder, env=variables, text=True, capture_output=True
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("workers", [row("-n0", when=True), row("-n2", when=False)])
def test_each_test_is_a_region(tmp_path: Path, workers: str) -> None:
    said = suite(tmp_path, SUITE, "--jaxdbg", "--jaxdbg-report=out/run", workers)
    assert "1 failed, 1 passed, 1 skipped" in said
    assert "jaxdbg.NonFiniteError: NaN in loss(...), from loss" in said
    assert "3 tests checked · " in said
    assert "not checked" not in said
    assert "jaxdbg/checks" not in said  # no frame of ours
    (page,) = (tmp_path / "out" / "run").glob("*.html")
    assert page.name == "test_suite.py_test_nan.html"
    report = Report.from_json(page.with_suffix(".json").read_text())
    assert [finding.kind for finding in report.findings] == ["nan"]
    summary = (tmp_path / "out" / "run" / "summary.md").read_text()
    assert "| `test_suite.py::test_nan` |" in summary
    assert "- `test_suite.py::test_nan`: NaN in loss(...), from loss" in summary


@pytest.mark.slow
def test_markers_and_the_fixture(tmp_path: Path) -> None:
    said = suite(tmp_path, MARKED)
    assert "FAILED test_suite.py::test_budget" in said
    assert "jaxdbg.TraceBudgetError: loss is being traced for the 2nd time" in said
    assert "FAILED test_suite.py::test_recorded" in said
    for passed in ("that_looks_itself", "of_its_own_region", "unasked"):
        assert f"PASSED test_suite.py::test_{passed}" in said
    assert "4 tests checked" in said


@pytest.mark.slow
def test_without_being_asked_it_does_nothing(tmp_path: Path) -> None:
    said = suite(tmp_path, SUITE)
    assert "2 passed, 1 skipped" in said
    assert "jaxdbg" not in said.partition("test session starts")[2].partition("\n\n")[2]


@pytest.mark.slow
def test_settings(tmp_path: Path) -> None:
    ini = "jaxdbg_options = --max-traces 0 --allow nan"
    said = suite(tmp_path, SUITE, "--jaxdbg", "-k", "good", ini=ini)
    assert "1 failed" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ini", "text"),
    [
        (
            "--max-trace 1",
            "unknown option '--max-trace'. Expected some of --max-traces",
        ),
        ("--max-traces", "argument --max-traces: expected one argument"),
        (
            "--only many",
            "Unknown kind of value: 'many'. Expected some of nan, inf, -inf.",
        ),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, ini: str, text: str) -> None:
    said = suite(tmp_path, SUITE, ini=f"jaxdbg_options = {ini}")
    assert f"ERROR: jaxdbg_options: {text}" in said


@pytest.mark.slow
def test_a_marker_that_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace(
        "def test_good", "@pytest.mark.jaxdbg(max_trace=1)\ndef test_good"
    )
    said = suite(tmp_path, text, "-k", "good")
    assert "pytest.mark.jaxdbg of test_suite.py::test_good: " in said
    assert "max_trace" in said
