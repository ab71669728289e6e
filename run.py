#!/usr/bin/env python3
"""Sets jaxdbg up and runs it; needs git and Python 3.11 or later with venv, no more.

    python3 run.py tour          run notebooks/tour.ipynb, and say what it printed
    python3 run.py tour --lab    open it in JupyterLab
    python3 run.py test          run all tests, on the oldest and the newest JAX
    python3 run.py test --env newest -- -k magics    run some of them

Environments are made in .venvs/ and kept; results go to build/.
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
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
VENVS = ROOT / ".venvs"
BUILD = ROOT / "build"
TOUR = ROOT / "notebooks" / "tour.ipynb"

MOST_LINES = 12
"""How much of a cell's output the digest of the tour shows."""

CHROMIUM = ("chromium", "chromium-browser")  # what tests/lab looks for


class SetupError(Exception):
    """Something that is needed could not be set up; the text says what to do."""


@dataclass(frozen=True)
class Env:
    """A virtual environment, and which tests are run in it."""

    name: str
    what: str
    python: str = sys.executable
    extra: str = "test"
    pins: tuple[str, ...] = ()
    all_tests: bool = False

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(VENVS / self.name / "bin" / name)


TOUR_ENV = Env("tour", "the newest JAX, for the tour", extra="demo")
NEWEST = Env("newest", "the newest JAX for the Python at hand", all_tests=True)
OLDEST = Env("oldest", "the oldest supported JAX", pins=("jax==0.9.0", "jaxlib==0.9.0"))
LATER = Env("later", "the newest JAX of all, on a later Python")

NO_TESTS = 5
"""pytest's exit status when what was asked for fits no test, as may be in some env."""

ONLY_IN_NEWEST = (
    "tests/lab",
    "tests/notebooks",
)
"""Slow tests of what a person sees; they depend on JAX hardly at all."""


@dataclass(frozen=True)
class Row:
    """A line of the table that `test` ends with."""

    env: str
    step: str
    ok: bool
    result: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def main() -> int:
    """Does what the command line asks for; returns the exit status."""
    args = parse()
    try:
        status: int = args.run(args)
        return status
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="tour | test")
    tour = commands.add_parser("tour", help="run notebooks/tour.ipynb")
    tour.set_defaults(run=run_tour)
    tour.add_argument("--lab", action="store_true", help="open it in JupyterLab")
    test = commands.add_parser("test", help="run all tests")
    test.set_defaults(run=run_tests)
    names = [env.name for env in (NEWEST, OLDEST, LATER)]
    test.add_argument("--env", choices=names, help="run one environment only")
    test.add_argument("pytest", nargs="*", help="arguments for pytest, after `--`")
    for command in (tour, test):
        command.add_argument(
            "--fresh", action="store_true", help="make the environments anew"
        )
    return parser.parse_args()


# Environments.


def make(env: Env, fresh: bool = False) -> None:
    """Makes an environment, unless it is there and still what is asked for."""
    home = VENVS / env.name
    stamp = home / "made-from"
    wanted = fingerprint(env)
    if not fresh and stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"{env.name}: making .venvs/{env.name} ({env.what})")
    shutil.rmtree(home, ignore_errors=True)
    do([env.python, "-m", "venv", str(home)], VENV_HINT)
    pip = [env.program("python"), "-m", "pip", "install", "--quiet", "--no-input"]
    do([*pip, "--editable", f".[{env.extra}]", *env.pins], PIP_HINT)
    stamp.write_text(wanted)


VENV_HINT = "On Debian, Python's venv is a package: apt-get install -y python3-venv"
PIP_HINT = "pip needs the internet, or an index that holds what pyproject.toml names."


def fingerprint(env: Env) -> str:
    """What an environment is made from; another text asks for another environment."""
    import tomllib  # Python 3.11's: an older one is to be told so, and not to stumble

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    # Not the rest of the file: a rule of a linter is no reason to install anew.
    project = json.dumps([pyproject["build-system"], pyproject["project"]])
    return "\n".join([version_of(env.python) or "", env.extra, *env.pins, project])


def do(command: Sequence[str], hint: str) -> None:
    """Runs a command quietly; when it fails, shows what it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), text=True, capture_output=True
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise SetupError(f"This failed: {' '.join(command)}\n{said}\n{hint}")


def clean_environment() -> dict[str, str]:
    """The environment of this process, less what leads Python elsewhere."""
    strays = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH")
    return {k: v for k, v in os.environ.items() if k not in strays}


def version_of(python: str) -> str | None:
    """The version of an interpreter that runs and has venv; None for another."""
    ask = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run(
            [python, "-c", ask], env=clean_environment(), text=True, capture_output=True
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def later_pythons() -> Iterator[str]:
    """Every Python from 3.12 on that this machine has, newest first."""
    found: dict[str, str] = {}
    for folder in python_folders():
        for path in folder.glob("python3.*"):
            minor = re.fullmatch(r"python3\.(\d+)", path.name)
            if minor and int(minor[1]) >= 12 and (version := version_of(str(path))):
                found.setdefault(version, str(path))
    for version in sorted(found, key=numbers, reverse=True):
        yield found[version]


def python_folders() -> list[Path]:
    """Where interpreters may be: on the PATH, and where pyenv keeps its own."""
    path = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    return path + sorted(Path.home().glob(".pyenv/versions/*/bin"))


def numbers(version: str) -> tuple[int, ...]:
    """A version, to compare by."""
    return tuple(map(int, version.split(".")))


# The tour.


def run_tour(args: argparse.Namespace) -> int:
    """Runs the tour and says what it printed, or opens it in JupyterLab."""
    make(TOUR_ENV, args.fresh)
    return open_lab() if args.lab else execute_tour()


def open_lab() -> NoReturn:
    """Becomes JupyterLab, with the tour open."""
    # JupyterLab does not run as root unless told to.
    root = ["--allow-root"] if os.getuid() == 0 else []
    jupyter = TOUR_ENV.program("jupyter")
    os.chdir(ROOT)
    os.execve(jupyter, [jupyter, "lab", *root, str(TOUR)], clean_environment())


def execute_tour() -> int:
    """Executes the notebook, and judges what came of it."""
    BUILD.mkdir(exist_ok=True)
    executed = BUILD / TOUR.name
    page = executed.with_suffix(".html")
    say("tour: running notebooks/tour.ipynb")
    # With --allow-errors a cell that fails unexpectedly can be read in the page too.
    convert("--to", "notebook", "--execute", "--allow-errors", TOUR)
    convert("--to", "html", executed)
    cells = json.loads(executed.read_text())["cells"]
    print(digest(cells))
    wrong = surprises(cells)
    say(*wrong, f"tour: see {page.relative_to(ROOT)}, {executed.relative_to(ROOT)}")
    return 1 if wrong else 0


def convert(*args: str | Path) -> None:
    """Calls nbconvert; what it writes goes to build/."""
    nbconvert = [TOUR_ENV.program("jupyter"), "nbconvert", "--log-level=ERROR"]
    where = ["--output-dir", str(BUILD)]
    do([*nbconvert, *where, *map(str, args)], "The tour could not be run.")


def digest(cells: Sequence[dict[str, Any]]) -> str:
    """What each code cell printed, under the line it begins with."""
    parts = []
    for cell in cells:
        if cell["cell_type"] == "code" and (text := printed(cell)):
            first = "".join(cell["source"]).split("\n")[0]
            parts.append(f"[{cell['execution_count']}] {first}\n{indented(text)}")
    return "\n\n".join(["", *parts, ""])


def printed(cell: dict[str, Any]) -> str:
    """The text of a cell's outputs; of an error its name and message only."""
    texts = []
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            texts.append(f"{output['ename']}: {output['evalue']}")
        elif "image/png" in output.get("data", ()):
            texts.append("(a picture)")
        else:
            text = output.get("text") or output["data"].get("text/plain", "")
            texts.append("".join(text))
    return "\n".join(text.rstrip("\n") for text in texts)


def indented(text: str) -> str:
    """The text, moved to the right; its end left out when it is long."""
    lines = [f"    {line}".rstrip() for line in text.split("\n")]
    more = [f"    ... and {len(lines) - MOST_LINES} more lines"]
    return "\n".join(lines[:MOST_LINES] + (more if len(lines) > MOST_LINES else []))


def surprises(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Cells that failed and should not have, or should have failed and did not."""
    found = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        expected = "raises-exception" in cell["metadata"].get("tags", ())
        failed = any(o["output_type"] == "error" for o in cell["outputs"])
        if failed != expected:
            what = "failed" if failed else "did not fail, as it should have"
            found.append(f"tour: cell [{cell['execution_count']}] {what}")
    return found


# The tests.


def run_tests(args: argparse.Namespace) -> int:
    """Runs the tests in each environment; ends with a table and one line."""
    started = time.monotonic()
    rows: list[Row] = []
    steps: dict[str, Callable[[], Iterator[Row]]] = {
        NEWEST.name: lambda: in_newest(args),
        OLDEST.name: lambda: in_env(OLDEST, args),
        LATER.name: lambda: in_later(args),
    }
    for name, step in steps.items():
        if args.env in (None, name):
            rows += step()
    print(table(rows))
    print(f"\n===== {counted(*rows)} in {time.monotonic() - started:.2f}s =====")
    return 0 if all(row.ok for row in rows) else 1


def in_newest(args: argparse.Namespace) -> Iterator[Row]:
    """Everything there is to check, in the newest environment."""
    browser = have(CHROMIUM, "chromium", "tests/lab")
    make(NEWEST, args.fresh)
    if not args.pytest:
        yield step(NEWEST, "ruff check", [NEWEST.program("ruff"), "check"])
        yield step(NEWEST, "ruff format", [NEWEST.program("ruff"), "format", "--check"])
        yield step(NEWEST, "mypy --strict", [NEWEST.program("mypy")])
        # Before pytest: tests/lab takes axe from what npm installs here.
        if have(("npm",), "npm", "the tests of js/"):
            yield step(NEWEST, "npm test", ["npm", "--prefix", "js", "test"])
        else:
            yield Row(NEWEST.name, "npm test", False, "not run: no npm")
    left_out = () if browser else ("tests/lab",)
    if not browser:
        yield Row(NEWEST.name, "tests/lab", False, "not run: no Chromium")
    yield pytest(NEWEST, args.pytest, left_out)


def in_env(env: Env, args: argparse.Namespace) -> Iterator[Row]:
    """All tests that depend on JAX."""
    make(env, args.fresh)
    yield pytest(env, args.pytest, ONLY_IN_NEWEST)


def in_later(args: argparse.Namespace) -> Iterator[Row]:
    """The tests on a later Python, for which there may be a newer JAX."""
    env = later()
    if env is None:
        why = "left out: no Python 3.12 or later here, other than the one at hand"
        say(f"later: {why}")
        yield Row(LATER.name, "pytest", True, why)
    else:
        yield from in_env(env, args)


def later() -> Env | None:
    """The environment of the newest Python that JAX can be installed for."""
    for python in later_pythons():
        if version_of(python) == version_of(sys.executable):
            return None
        env = replace(LATER, python=python)
        try:
            make(env)
            return env
        except SetupError as error:
            say(f"later: not with {python}. {error}")
    return None


def step(
    env: Env, name: str, command: Sequence[str], good: Sequence[int] = (0,)
) -> Row:
    """Runs a command; its exit status decides."""
    say(f"{env.name}: {name}")
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=clean_environment())
    seconds = time.monotonic() - started
    if done.returncode not in good:
        return Row(env.name, name, False, "failed", seconds, failed=1)
    return Row(env.name, name, True, "ok", seconds, passed=1)


def pytest(env: Env, args: Sequence[str], left_out: Sequence[str]) -> Row:
    """Runs pytest, and counts what it did."""
    BUILD.mkdir(exist_ok=True)
    results = BUILD / f"tests-{env.name}.xml"
    results.unlink(missing_ok=True)
    row = step(
        env,
        f"pytest, {versions(env)}",
        [
            *(env.program("python"), "-m", "pytest", f"--junitxml={results}"),
            *(f"--ignore={path}" for path in left_out),
            *args,
        ],
        good=(0, NO_TESTS) if args else (0,),
    )
    return with_counts(row, results) if results.is_file() else row


def with_counts(row: Row, results: Path) -> Row:
    """The row with the numbers that pytest has written down."""
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in ElementTree.parse(results).getroot().iter("testsuite"):
        for key in totals:
            totals[key] += int(suite.get(key, 0))
    skipped = totals["skipped"]
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - skipped
    row = replace(row, passed=passed, failed=failed, skipped=skipped)
    return replace(row, result=counted(row))


def versions(env: Env) -> str:
    """The Python and the JAX of an environment."""
    ask = (
        "import platform; from importlib.metadata import version; "
        "print(f'Python {platform.python_version()}, jax {version(\"jax\")}')"
    )
    done = subprocess.run(
        [env.program("python"), "-c", ask], text=True, capture_output=True
    )
    return done.stdout.strip()


def have(programs: Sequence[str], package: str, what: str) -> bool:
    """Whether there is one of these programs, after an attempt to install Debian's."""
    if any(map(shutil.which, programs)):
        return True
    apt = shutil.which("apt-get")
    if apt is not None:
        say(f"{package}: installing Debian's, for {what}")
        sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
        quiet = [*sudo, apt, "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
        try:
            do([*quiet, "update"], "")
            do([*quiet, "install", "--no-install-recommends", package], "")
            return True
        except (SetupError, OSError) as error:
            print(error)
    say(f"{package}: there is none, so {what} cannot run. Install it, and run again.")
    return False


# What a person reads.


def say(*lines: str) -> None:
    """Prints lines that stand out among the output of others."""
    for line in lines:
        print(f"==> {line}", flush=True)


def table(rows: Sequence[Row]) -> str:
    """What was run, and what came of it."""
    cells = [("environment", "step", "result", "seconds")]
    cells += [(r.env, r.step, r.result, f"{r.seconds:.0f}") for r in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return "\n".join(["", lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def counted(*rows: Row) -> str:
    """Sums of rows, as pytest words them."""
    words = ("failed", "passed", "skipped")
    totals = {word: sum(getattr(row, word) for row in rows) for word in words}
    return ", ".join(f"{n} {word}" for word, n in totals.items() if n) or "no tests"


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  (whoever starts it may have less)
        sys.exit(f"jaxdbg needs Python 3.11 or later; this is {sys.version}")
    sys.exit(main())
