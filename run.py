#!/usr/bin/env python3
"""Sets jaxdbg up and runs it; needs git and Python 3.11 or later with venv, no more.

    python3 run.py tour          run notebooks/tour.ipynb, and say what it printed
    python3 run.py tour --lab    open it in JupyterLab
    python3 run.py test          run all tests, on the oldest and the newest JAX
    python3 run.py test --env newest -- -k magics    run some of them

uv makes the environments in .venvs/, where they are kept; results go to build/.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENVS = ROOT / ".venvs"
TOUR = ROOT / "notebooks" / "tour.ipynb"

NO_TESTS = 5
"""pytest's exit status when no test fits the arguments, as may be in some env."""


class SetupError(Exception):
    """Something that is needed could not be set up; the text says what to do."""


@dataclass(frozen=True)
class Env:
    """A virtual environment: its name, and what pyproject.toml does not say of it."""

    name: str
    group: str = "test"
    pins: tuple[str, ...] = ()

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(VENVS / self.name / "bin" / name)


TOUR_ENV = Env("tour", group="demo")
NEWEST = Env("newest", group="peers")  # the newest JAX for the Python at hand
OLDEST = Env("oldest", pins=("jax==0.9.0", "jaxlib==0.9.0"))
LATER = Env("later")  # the newest JAX of all, on a later Python
TESTED = {env.name: env for env in (NEWEST, OLDEST, LATER)}


def main() -> int:
    """Does what the command line asks for; returns the exit status."""
    args = parse()
    try:
        return run_tests(args) if args.command == "test" else run_tour(args)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse() -> argparse.Namespace:
    """Reads the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True, dest="command")
    tour = commands.add_parser("tour", help="run notebooks/tour.ipynb")
    tour.add_argument("--lab", action="store_true", help="open it in JupyterLab")
    test = commands.add_parser("test", help="run all tests, the slow ones too")
    test.add_argument("--env", choices=TESTED, help="run one environment only")
    test.add_argument("pytest", nargs="*", help="arguments for pytest, after `--`")
    for command in (tour, test):
        anew = "make the environments anew"
        command.add_argument("--fresh", action="store_true", help=anew)
    return parser.parse_args()


# Environments.


def make(env: Env, fresh: bool, python: str = sys.executable) -> None:
    """Makes an environment, or brings it up to what pyproject.toml asks for."""
    wanted = ["--editable", ".", "--group", env.group, *env.pins]
    install = ["pip", "install", "--python", env.program("python"), *wanted]
    if fresh or not Path(env.program("python")).exists():
        say(f"{env.name}: making .venvs/{env.name}")
        # With pip, since a test builds the wheel as a user would.
        home = ["--clear", "--seed", "--python", python, str(VENVS / env.name)]
        uv("venv", *home)
        uv(*install)
        return
    try:
        uv(*install, "--offline")
    except SetupError:  # pyproject.toml asks for something new
        uv(*install)


def uv(*args: str) -> str:
    """Calls uv, which is installed first where it is not yet; returns its output."""
    program = Env("uv").program("uv")
    if not Path(program).exists():
        say("installing uv, which makes the environments")
        home = str(VENVS / "uv")
        on_debian = "On Debian, Python's venv is a package: python3-venv."
        do([sys.executable, "-m", "venv", "--clear", home], on_debian)
        do([Env("uv").program("pip"), "install", "--quiet", "uv"], NEEDS_INDEX)
    return do([program, *args], NEEDS_INDEX)


NEEDS_INDEX = "This needs the internet, or an index that holds the packages."


def later_pythons() -> list[str]:
    """Every later Python than the one at hand that this machine has, newest first."""
    later = f">={sys.version_info.major}.{sys.version_info.minor + 1}"
    how = ["--only-installed", "--no-python-downloads", "--output-format", "json"]
    return [found["path"] for found in json.loads(uv("python", "list", *how, later))]


def do(command: Sequence[str], hint: str = "") -> str:
    """Runs a command quietly; when it fails, shows what it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), text=True, capture_output=True
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise SetupError(f"This failed: {' '.join(command)}\n{said}\n{hint}")
    return done.stdout


def environment(env: Env | None = None) -> dict[str, str]:
    """The environment variables for a program, less what leads Python elsewhere."""
    strays = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH")
    variables = {k: v for k, v in os.environ.items() if k not in strays}
    # pyenv keeps Pythons off the PATH, where uv looks for them.
    first = [VENVS / env.name / "bin"] if env else []
    last = sorted(Path.home().glob(".pyenv/versions/*/bin"))
    path = [*map(str, first), os.environ.get("PATH", ""), *map(str, last)]
    return {**variables, "PATH": os.pathsep.join(path)}


# The tour.


def run_tour(args: argparse.Namespace) -> int:
    """Runs the tour and says what it printed, or opens it in JupyterLab."""
    make(TOUR_ENV, args.fresh)
    if args.lab:
        open_lab()
    say("tour: running notebooks/tour.ipynb")
    execution = [TOUR_ENV.program("python"), "-m", "notebooks.execution"]
    command = [*execution, str(TOUR), str(ROOT / "build")]
    return subprocess.run(command, cwd=ROOT, env=environment()).returncode


def open_lab() -> NoReturn:
    """Becomes JupyterLab, with the tour open."""
    # JupyterLab does not run as root unless told to.
    root = ["--allow-root"] if os.getuid() == 0 else []
    jupyter = TOUR_ENV.program("jupyter")
    os.chdir(ROOT)
    os.execve(jupyter, [jupyter, "lab", *root, str(TOUR)], environment())


# The tests.


@dataclass(frozen=True)
class Row:
    """A line of the table that `test` ends with."""

    env: Env
    step: str
    result: str
    ok: bool = True
    counts: Counter[str] = field(default_factory=Counter)


def run_tests(args: argparse.Namespace) -> int:
    """Runs the tests in each environment; ends with a table and one line."""
    started = time.monotonic()
    chosen = [env for env in TESTED.values() if args.env in (None, env.name)]
    rows = [row for env in chosen for row in steps(env, args)]
    print("", *(f"{r.env.name:8}{r.step:15}{r.result}" for r in rows), sep="\n")
    total = counted(sum((row.counts for row in rows), Counter()))
    print(f"\n===== {total} in {time.monotonic() - started:.2f}s =====")
    return 0 if all(row.ok for row in rows) else 1


def steps(env: Env, args: argparse.Namespace) -> Iterator[Row]:
    """Makes an environment, and runs what there is to run in it."""
    if env is LATER and not make_later(args.fresh):
        yield Row(env, "pytest", "left out: no later Python that has JAX")
        return
    if env is not LATER:
        make(env, args.fresh)
    if env is NEWEST and not args.pytest:
        yield run(env, "ruff check", "ruff", "check")
        yield run(env, "ruff format", "ruff", "format", "--check")
        yield run(env, "mypy --strict", "mypy")
        # Before pytest: tests/lab takes axe from what npm installs here.
        yield run(env, "npm test", "npm", "--prefix", "js", "test")
    # What a person sees is tested once: it depends on JAX hardly at all. Other people's
    # tests are for a JAX of their time.
    once = ["tests/lab", "tests/notebooks", "tests/peers"]
    left_out = [] if env is NEWEST else once
    if env is NEWEST and not any(map(shutil.which, ("chromium", "chromium-browser"))):
        yield Row(env, "tests/lab", "left out: no Chromium; .ci/run installs Debian's")
        left_out = ["tests/lab"]
    options = ["-m", "", *(f"--ignore={folder}" for folder in left_out), *args.pytest]
    yield run(env, "pytest", "pytest", *options)  # `-m ""`: the slow tests too


def make_later(fresh: bool) -> bool:
    """Makes the environment of the newest Python that JAX can be installed for."""
    for python in later_pythons():
        try:
            make(LATER, fresh, python)
        except SetupError as error:
            say(f"later: not with {python}. {error}")
        else:
            return True
    return False


def run(env: Env, step: str, program: str, *args: str) -> Row:
    """Runs a program and shows what it prints; pytest's last line has its counts."""
    say(f"{env.name}: {step}")
    last = ""
    with subprocess.Popen(
        [env.program(program), *args],
        cwd=ROOT,
        env=environment(env),
        text=True,
        stdout=subprocess.PIPE,
    ) as process:
        for last in process.stdout or ():
            print(last, end="", flush=True)
    ok = process.returncode in ((0, NO_TESTS) if step == "pytest" else (0,))
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", last)
    counts = Counter({word: int(number) for number, word in found})
    if step != "pytest" or not (ok or counts):
        counts = Counter({"passed" if ok else "failed": 1})
    return Row(env, step, counted(counts), ok, counts)


def counted(counts: Counter[str]) -> str:
    """Counts, as pytest words them."""
    return ", ".join(f"{n} {word}" for word, n in sorted(counts.items())) or "no tests"


def say(*lines: str) -> None:
    """Prints lines that stand out among the output of others."""
    for line in lines:
        print(f"==> {line}", flush=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  (whoever starts it may have less)
        sys.exit(f"jaxdbg needs Python 3.11 or later; this is {sys.version}")
    sys.exit(main())
