"""What the line of a call says of its results and arguments, and that it is true."""

from __future__ import annotations

import ast
import linecache
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import jaxdbg
from jaxdbg.records import Finding, Passed
from tests.programs.calling_lines import PROGRAMS, Program


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_finding_names_what_the_user_does(program: Program) -> None:
    region = jaxdbg.checked(record=True)
    evaluated = []

    def here() -> None:
        if not evaluated:
            frame = sys._getframe(1)
            names = {**frame.f_globals, **frame.f_locals}
            evaluated.extend(
                eval(path, names) for path in program.paths if "..." not in path
            )

    with region:
        program.run(here)
    finding = region.report.findings[0]
    assert sorted(finding.paths) == sorted(program.paths)
    assert finding.origin is not None
    passed = {one.parameter: one.expression for one in finding.origin.passed}
    assert program.passed in (None, passed)
    named = [path for path in program.paths if "(...)" not in path]
    assert len(evaluated) == len(named)
    for path, value in zip(named, evaluated, strict=True):
        np.testing.assert_array_equal(plain(value), finding.output(path))


def plain(value: Any) -> Any:
    return value[...] if not isinstance(value, jax.Array) else value


CELL = """\
import jax, jax.numpy as jnp

@jax.jit
def step(state, x):
    loss = jnp.log(x).sum()
    return {"w": state["w"] - loss}, loss

def run(state, x):
    state, loss = step(state, x)
    return state, loss
"""


NAMED = {'state["w"]', "loss"}
UNNAMED = {'step(...)[0]["w"]', "step(...)[1]"}


def finding_of(code: CodeType, namespace: dict[str, Any], **options: Any) -> Finding:
    """The finding of `run` in a module of this code."""
    exec(code, namespace)
    region = jaxdbg.checked(record=True, **options)
    with region:
        namespace["run"]({"w": np.ones(2, np.float32)}, np.full(2, -1.0, np.float32))
    return region.report.findings[0]


def test_a_file_that_was_edited_since_names_nothing(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(CELL)
    code = compile(CELL, str(file), "exec")
    assert {*finding_of(code, {}).paths} == NAMED
    for old, new in (("state, loss = ", "model, cost = "), ("step(state", "a(ab, cde")):
        linecache.clearcache()
        file.write_text(CELL.replace(old, new))
        assert {*finding_of(code, {}).paths} == UNNAMED


def test_code_without_columns_names_nothing(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(CELL)
    tree = ast.parse(CELL)
    for node in ast.walk(tree):
        if hasattr(node, "end_lineno"):
            node.end_lineno = node.end_col_offset = None
    code = compile(tree, str(file), "exec")
    assert {*finding_of(code, {}).paths} == UNNAMED


def test_a_late_failure_bears_the_names_of_its_own_line(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    text = CELL + "    # and later\n"
    text = text.replace("    return state, loss\n", "    good = step(state, x * -1)\n")
    file.write_text(text)
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked(async_=True):
        namespace: dict[str, Any] = {}
        exec(compile(text, str(file), "exec"), namespace)
        namespace["run"]({"w": jnp.ones(2)}, jnp.full(2, -1.0))
    assert {*caught.value.finding.paths} == NAMED


@pytest.mark.parametrize("magic", ["%%checked\n", ""])
@pytest.mark.parametrize("wait", ["", "import asyncio; await asyncio.sleep(0)\n"])
def test_a_cell(magic: str, wait: str) -> None:
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("%load_ext jaxdbg")
        shell.run_cell(CELL + "X = -jnp.ones((4, 2))\nstate = {'w': jnp.ones(2)}")
        if not magic:
            shell.run_cell("%checked on")
        cell = (
            magic + wait + "for i in range(2):\n    state, loss = step(state, X[i])\n"
        )
        with capture_output():
            result = shell.run_cell(cell)
    finally:
        shell.run_cell("%unload_ext jaxdbg")
        InteractiveShell.clear_instance()
    finding = result.error_in_exec.finding
    assert {*finding.paths} == NAMED
    assert finding.origin.passed == (Passed("x", "X[i]"),)


ROWS = np.ones((8, 2), np.float32)
ROWS[5, 1] = np.nan
OTHERS = jnp.asarray(ROWS)
PARTS, START, SIZE = {"x": ROWS}, 4, 2
INDEX, FROM_THE_END = np.array([0, 5]), jnp.array([1, -3])
MASK = np.arange(8) > 4
LAST, BEYOND = OTHERS[:6], jnp.array([0, 99])


@jax.jit
def mean_of(x: Any) -> Any:
    return x.mean()


TAKEN = {
    "ROWS[INDEX]": ("ROWS", 1),
    "OTHERS[FROM_THE_END]": ("OTHERS", 1),
    'PARTS["x"][MASK]': ('PARTS["x"]', 0),
    "ROWS[START : START + SIZE]": ("ROWS", 1),
    "ROWS[-4:]": ("ROWS", 1),
    "ROWS[::-1]": ("ROWS", 2),
    # Not certain, or not the same.
    "ROWS[jnp.array([5, 0])]": None,
    "ROWS[[5, 0]]": None,
    "ROWS[INDEX] + 1": None,
    "ROWS.T[:2]": None,
}
"""By expression, the array that the NaN is a row of, and its row of what is taken."""


@pytest.mark.parametrize("expression", TAKEN)
def test_a_row_of_the_batch_is_a_row_of_the_users_data(expression: str) -> None:
    file = f"<{expression}>"
    source = f"mean_of({expression})"
    linecache.cache[file] = (len(source), None, [source], file)
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        exec(compile(source, file, "exec"), globals())
    (passed,) = caught.value.finding.origin.passed
    wanted = TAKEN[expression]
    if wanted is None:
        assert (passed.data, passed.data_row) == ("", None)
    else:
        assert (passed.data, passed.data_row, passed.row) == (wanted[0], 5, wanted[1])
        assert f"row 5 of `{wanted[0]}`" in str(caught.value)


def test_what_jax_takes_for_an_index_out_of_bounds_is_no_row_of_the_data() -> None:
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        mean_of(LAST[BEYOND])
    (passed,) = caught.value.finding.origin.passed
    assert (passed.row, passed.data, passed.data_row) == (1, "", None)
