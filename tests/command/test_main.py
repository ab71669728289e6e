"""What each command of `jaxdbg` prints and returns, and how it refuses a bad line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import jaxdbg
from jaxdbg import Report
from jaxdbg.command.main import main
from tests.command.test_program import checked

PROGRAM = """
import sys
import jax.numpy as jnp
jnp.log(-1.0)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def python_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    Path("program.py").write_text(PROGRAM)
    Path("quiet.py").write_text("print('no JAX')")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "--max-trace 2 program.py",
            "Unknown option '--max-trace'. Did you mean '--max-traces'? Options of the "
            "program itself go after its name; `jaxdbg --help` lists those of jaxdbg.",
        ),
        (
            "--max-traces two program.py",
            "Not a budget: 'two'. Expected a number for every function (`3`), or a "
            "number for each (`train_step=1,eval=2`).",
        ),
        (
            "--record",
            "No program to run. Expected `jaxdbg [options] script.py [arguments]` or "
            "`jaxdbg [options] -m package.module [arguments]`.",
        ),
        (
            "nowhere.py",
            "Cannot read 'nowhere.py': No such file or directory. Expected a file of "
            "Python code; `jaxdbg -m` runs a module or a package.",
        ),
        (
            "--json nowhere/run.json program.py",
            "Cannot write --json 'nowhere/run.json': there is no folder 'nowhere'.",
        ),
        ("--json . program.py", "Cannot write --json '.': it is a folder."),
        ("show nowhere.json", "Cannot read 'nowhere.json': No such file or directory."),
        (
            "show program.py",
            "'program.py' is no report of jaxdbg (Expecting value: line 2 column 1 "
            "(char 1)). Expected a file that `jaxdbg --json`, Report.to_json() or "
            "`%compiles --save` has written.",
        ),
        (
            "diff one.json",
            "The following arguments are required: new. `jaxdbg diff --help` says what "
            "is expected.",
        ),
        ("doctor now", "`jaxdbg doctor` takes no arguments, not 'now'."),
    ],
)
def test_a_bad_line_is_refused(
    line: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert capsys.readouterr().err == f"jaxdbg: {text}\n"


def test_a_module_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "no.such.module"]) == 2
    assert "There is no module 'no.such.module' here (" in capsys.readouterr().err


def test_a_program_without_jax() -> None:
    """In a process of its own, since JAX is imported here."""
    done = checked("quiet.py", at=Path())
    assert (done.returncode, done.stdout) == (0, "no JAX\n")
    assert done.stderr == "jaxdbg: this program has not imported JAX.\n"


@pytest.mark.parametrize(("own", "status"), [(0, 1), (3, 3)])
def test_the_exit_status(own: int, status: int) -> None:
    assert main(["--record", "program.py", str(own)]) == status
    assert main(["--allow", "nan", "program.py", str(own)]) == own


def test_reports_are_written_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--json", "run.json", "--html", "run.html", "--markdown", "run.md"]
    assert main(["--record", *files, "program.py", "0"]) == 1
    report = Report.from_json(Path("run.json").read_text())
    (finding,) = report.findings
    assert finding.message in Path("run.md").read_text()
    assert "<!doctype html>" in Path("run.html").read_text().lower()
    capsys.readouterr()

    assert main(["show", "run.json"]) == 0
    assert capsys.readouterr().out == f"{report}\n\n{finding.message}\n"
    assert main(["show", "run.json", "--html", "again.html"]) == 0
    assert Path("again.html").read_text() == Path("run.html").read_text()

    Path("clean.json").write_text(Report(calls=2).to_json())
    capsys.readouterr()
    assert main(["merge", "clean.json", "run.json"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("clean: ✓ 2 calls checked")
    assert said.endswith(f"\n\nrun:\n{finding.message}\n")
    assert main(["merge", "clean.json"]) == 0


def test_what_is_compiled_differently() -> None:
    Path("again.py").write_text(
        "import jax, sys\n"
        "step = jax.jit(lambda x: x + 1)\n"
        "for n in range(int(sys.argv[1])): step(jax.numpy.zeros(n + 1))\n"
    )
    for n in (1, 2):
        assert main(["--json", f"{n}.json", "again.py", str(n)]) == 0
    assert main(["diff", "1.json", "1.json"]) == 0
    assert main(["diff", "1.json", "2.json"]) == 1


def test_compilations_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.json").write_text(json.dumps({"jaxdbg_compilations": 2, "events": []}))
    assert main(["show", "c.json", "--html", "c.html"]) == 2
    assert "has compilations only. Expected a report" in capsys.readouterr().err
    assert main(["merge", "c.json"]) == 2


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"jaxdbg {jaxdbg.__version__}\n"
