"""What is built out of the checkout: the wheel, the sdist, and the types they carry."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import jaxdbg
from tests.test_layout import ROOT, git

pytestmark = pytest.mark.slow

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
NAME = f"jaxdbg-{jaxdbg.__version__}"

HERE_ONLY = (".ci/", ".pre-commit-config.yaml")
"""What is of use in a checkout only, and in no sdist."""

SHIPPED = {
    "jaxdbg/py.typed",
    "jaxdbg/views/panel/panel.css",
    "jaxdbg/views/panel/panel.js",
}
"""What Python does not need, and users do."""

RIGHT = """\
from typing import assert_type

import jaxdbg

with jaxdbg.checked(record=True, max_traces=1) as region:
    pass
assert_type(region.report, jaxdbg.Report)


@jaxdbg.checked(errors="all")
def train(steps: int) -> float:
    return 0.5 * steps


@jaxdbg.max_traces(1)
def step(x: float) -> float:
    return x


assert_type(step(train(3)), float)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built where there is no Node, nor any other program."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*PIP, *build], env={**os.environ, "PATH": ""}, check=True)
    (wheel,) = folder.glob(f"{NAME}-*.whl")
    return wheel


def test_wheel_holds_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"jaxdbg", f"{NAME}.dist-info"}
    assert tracked("jaxdbg") <= names
    assert {
        "jaxdbg/py.typed",
        *(f"jaxdbg/views/panel/panel.{s}" for s in ("js", "css")),
    } <= names


def test_the_wheel_installs_a_command_and_a_plugin(wheel: Path) -> None:
    text = zipfile.ZipFile(wheel).read(f"{NAME}.dist-info/entry_points.txt").decode()
    declared = re.findall(r"^(\w+) = ([\w.]+):?(\w*)$", text, re.MULTILINE)
    assert {name for name, _, _ in declared} == {"jaxdbg"}
    assert len(declared) == 2
    for _, module, name in declared:
        loaded = importlib.import_module(module)
        assert not name or callable(getattr(loaded, name))


def test_sdist_holds_what_is_tracked(tmp_path: Path) -> None:
    backend = tmp_path / "backend"
    subprocess.run(
        [*PIP, "install", "-q", "--target", str(backend), "hatchling"], check=True
    )
    build = f"from hatchling.build import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run(
        [sys.executable, "-c", build],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(backend)},
        check=True,
    )
    with tarfile.open(tmp_path / f"{NAME}.tar.gz") as sdist:
        names = {name.removeprefix(f"{NAME}/") for name in sdist.getnames()}
    ours = {name for name in tracked(".") if not name.startswith(HERE_ONLY)}
    assert ours - names == set()


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of a user: the wheel is installed, and nothing else."""
    home = tmp_path_factory.mktemp("user")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    purelib = sysconfig.get_path("purelib", "venv", {"base": str(home)})
    zipfile.ZipFile(wheel).extractall(purelib)
    return home / "bin" / "python"


def test_a_right_program_passes_the_type_checker(python: Path, tmp_path: Path) -> None:
    assert complaints(RIGHT, python, tmp_path) == []


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("record=True", "recrod=True", 'argument "recrod" for "Region"; did you mean'),
        ("train(3)", "train('3')", 'to "train" has incompatible type "str"'),
    ],
)
def test_a_wrong_program_does_not(
    right: str, wrong: str, complaint: str, python: Path, tmp_path: Path
) -> None:
    found = complaints(RIGHT.replace(right, wrong, 1), python, tmp_path)
    assert any(complaint in line for line in found), found


def complaints(program: str, python: Path, folder: Path) -> list[str]:
    """What mypy finds in a program that uses jaxdbg."""
    (folder / "program.py").write_text(program)
    mypy = [sys.executable, "-m", "mypy", "--strict", f"--python-executable={python}"]
    done = subprocess.run(
        [*mypy, f"--cache-dir={folder / 'cache'}", "--no-error-summary", "program.py"],
        cwd=folder,
        # A checkout on the path would be found in place of the wheel.
        env={
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH")
        },
        text=True,
        capture_output=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def tracked(folder: str) -> set[str]:
    """The files of the repository below a folder."""
    return set(git("ls-files", "-z", folder).split("\0")) - {""}
