"""A program that jaxdbg runs does what it does when Python runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WHAT_IT_SEES = """
import os, pickle, sys
os.environ["JAX_ENABLE_X64"] = "1"  # read when JAX is imported, and not later
import jax, jax.numpy as jnp
from beside import WORD

class Config: ...

print(sys.argv, __name__, __file__, __package__, __spec__ and __spec__.name, WORD)
print(os.path.realpath(sys.path[0]), jnp.zeros(1).dtype, type(jax.__spec__.loader))
print(sys.modules["__main__"].Config is type(pickle.loads(pickle.dumps(Config()))))
print(jax.jit(lambda x: x + 1)(1))
"""

RAISES = """
import jax
def inner(): raise ValueError("the user's own")
def outer(): inner()
outer()
"""

NAN = """
import jax, jax.numpy as jnp
@jax.jit
def root(x): return jnp.sqrt(x)
print("before")
value = root(-1.0)
print("after")
"""

SYNTAX = "def f(:\n"


def python(*words: str, at: Path) -> subprocess.CompletedProcess[str]:
    """A Python of this environment, in a folder."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=at, env=variables, text=True, capture_output=True
    )


def checked(*words: str, at: Path) -> subprocess.CompletedProcess[str]:
    return python("-m", "jaxdbg", *words, at=at)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    for file, text in {
        "sees.py": WHAT_IT_SEES,
        "beside.py": "WORD = 'found'",
        "raises.py": RAISES,
        "nan.py": NAN,
        "syntax.py": SYNTAX,
        "package/__init__.py": "",
        "package/__main__.py": WHAT_IT_SEES,
    }.items():
        (tmp_path / file).write_text(text)
    return tmp_path


@pytest.mark.parametrize("program", [["sees.py"], ["-m", "package"]])
def test_it_sees_what_python_shows_it(folder: Path, program: list[str]) -> None:
    words = [*program, "--record", "-m", "x"]  # which are the program's own
    plain, done = python(*words, at=folder), checked(*words, at=folder)
    assert done.stdout == plain.stdout != ""
    assert (plain.returncode, done.returncode) == (0, 0), done.stderr
    assert done.stderr.startswith("✓ 1 call"), done.stderr


@pytest.mark.parametrize("file", ["raises.py", "syntax.py"])
def test_its_errors_are_printed_as_python_prints_them(folder: Path, file: str) -> None:
    plain, done = python(file, at=folder), checked(file, at=folder)
    assert plain.stderr != ""
    assert done.stderr.startswith(plain.stderr)
    assert (plain.returncode, done.returncode) == (1, 1)


def test_a_finding_ends_it_at_the_users_line(folder: Path) -> None:
    done = checked("nan.py", at=folder)
    assert (done.returncode, done.stdout) == (1, "before\n")
    traceback, _, message = done.stderr.partition("jaxdbg.NonFiniteError: ")
    # The user's lines alone, that inside the jitted function too.
    assert traceback.count("File ") == traceback.count("nan.py") == 2
    assert message.startswith("NaN in value, from root (call 1 in this region)")
    assert "✗ 1 finding, 1 call" in message


def test_a_program_that_records_runs_to_its_end(folder: Path) -> None:
    done = checked("--record", "nan.py", at=folder)
    assert (done.returncode, done.stdout) == (1, "before\nafter\n")
    assert done.stderr.startswith("✗ 1 finding, 1 call")
    assert "NaN was born in `jnp.sqrt` at" in done.stderr
