"""`%%checked`, `%checked` and `%jaxdbg` in a real shell."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets.config import Config

import jaxdbg
import jaxdbg.notebook.cell_rewriting as cell
from jaxdbg import notebook as magics

FLAGS = [
    "--max-traces",
    "--max-compiles",
    "--max-compile-seconds",
    "--every-op",
    "--errors",
    "--async",
    "--record",
    "--keep-donation",
    "--watch",
    "--allow",
    "--only",
    "--panel",
    "--help",
]
SECONDS = ["--max-compile-seconds"]
ROOT = str(Path(jaxdbg.__file__).parents[1])

EARLIER = """\
import jax, jax.numpy as jnp

@jax.jit
def log_price(price):
    return jnp.log(price)

bad = jnp.array([1.0, -2.0, 3.0])
good = jnp.ones(3)"""


class Shell:
    """A shell without history, and what a person reads in it."""

    def __init__(self, ip: InteractiveShell, capsys: pytest.CaptureFixture[str]):
        self.ip = ip
        self._capsys = capsys

    def run(self, source: str, **how: Any) -> ExecutionResult:
        """Runs a cell as a front end does."""
        return self.ip.run_cell(source, **{"store_history": True, **how})

    def read(self, source: str) -> str:
        """Runs a cell, and gives what it printed."""
        self._capsys.readouterr()
        self.run(source)
        return "".join(self._capsys.readouterr())


def installed(ip: InteractiveShell) -> list[object]:
    """Everything that the extension could leave in a shell."""
    manager = ip.magics_manager
    if hasattr(manager, "load_all_lazy_magics"):  # else they arrive during the test
        manager.load_all_lazy_magics()
    return [
        dict(manager.registry),
        {kind: set(table) for kind, table in manager.magics.items()},
        list(ip.configurables),
        list(ip.input_transformers_cleanup),
        list(ip.ast_transformers),
        list(ip.Completer.custom_matchers),
        {event: list(calls) for event, calls in ip.events.callbacks.items()},
        [name for name in dir(builtins) if "jaxdbg" in name],
    ]


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """A shell that has not loaded the extension."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    yield Shell(InteractiveShell.instance(config=config), capsys)
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare: Shell) -> Iterator[Shell]:
    """A shell with the extension loaded; nothing is left when the test is over."""
    before = installed(bare.ip)
    bare.run("%load_ext jaxdbg")
    yield bare
    bare.run("%unload_ext jaxdbg")
    assert installed(bare.ip) == before


# The cell behaves as if we were not there.


def test_the_last_expression_is_the_result_and_the_line_is_quiet(shell: Shell) -> None:
    shell.run(EARLIER)
    text = shell.read("%%checked\nn = log_price(good).size\nn + 1")
    quiet, out = text.splitlines()
    assert "checked" in quiet
    assert "log_price traced and compiled once" in quiet
    assert out == "Out[3]: 4"
    assert shell.ip.user_ns["_"] == 4
    assert shell.ip.user_ns["Out"] == {3: 4}
    assert shell.run("%%checked\n1 + 1").result == 2


@pytest.mark.parametrize("source", ["%%checked\n1 + 1;", "%%checked\nx = 2"])
def test_no_value_is_displayed_where_there_is_none(shell: Shell, source: str) -> None:
    assert "Out[" not in shell.read(source)
    assert shell.ip.user_ns["Out"] == {}


@pytest.mark.parametrize(
    ("interactivity", "shown"),
    [("last_expr_or_assign", "Out[3]: 2"), ("all", "Out[3]: 5"), ("none", "")],
)
def test_what_is_displayed_follows_the_setting(
    shell: Shell, interactivity: str, shown: str
) -> None:
    shell.run(f"%config InteractiveShell.ast_node_interactivity = {interactivity!r}")
    lines = shell.read("%%checked\n5\nx = 2").splitlines()
    assert "".join(line for line in lines if line.startswith("Out[")) == shown


def test_the_namespace_is_left_as_it_is(shell: Shell) -> None:
    shell.run("%%checked\ninside = set(globals())\n5")
    before, after = shell.ip.user_ns["inside"], set(shell.ip.user_ns)
    assert after - before == {"inside", "_2"}
    assert before <= after


def test_the_traceback_ends_in_the_line_of_the_user(shell: Shell) -> None:
    shell.run(EARLIER)
    text = shell.read("%%checked\n\nx = 1\nlogs = log_price(bad)\nprint('no')")
    assert "----> 4 logs = log_price(bad)\n" in text
    assert text.count("Traceback") == 1
    assert "jaxdbg/" not in text
    assert "jax/" not in text
    assert "\nno\n" not in text
    assert "logs" not in shell.ip.user_ns
    *_, (calling, line), (inside, _) = traceback.walk_tb(sys.last_traceback)
    assert calling.f_globals is shell.ip.user_global_ns
    assert line == 4
    # There %debug stands.
    assert inside.f_code.co_name == "log_price"
    assert inside.f_globals is shell.ip.user_global_ns
    assert inside.f_locals["price"].tolist() == [1, -2, 3]


def test_a_failing_cell_is_an_error_of_its_own_type(shell: Shell) -> None:
    shell.run(EARLIER)
    result = shell.run("%%checked\nlog_price(bad)")
    assert type(result.error_in_exec) is jaxdbg.NonFiniteError
    assert result.error_in_exec.report.cell == 3
    failed = shell.run("%%checked\n{}['key']")
    assert type(failed.error_in_exec) is KeyError


def test_a_budget_fails_the_cell(shell: Shell) -> None:
    shell.run(EARLIER)
    source = "%%checked --max-traces log_price=1\nfor n in 2, 3: log_price(jnp.ones(n))"
    assert "TraceBudgetError" in shell.read(source)
    assert shell.run(source).success  # it is traced by now: running it again is fine


@pytest.mark.parametrize("body", ["x = 1\n5", "x = 1\n1/0"])
def test_what_the_end_of_the_region_raises_points_to_the_magic_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    end = jaxdbg.Region.__exit__

    def fail_at_the_end(region: jaxdbg.Region, *error: Any) -> None:
        end(region, *error)
        finding = jaxdbg.Finding(kind="nan", function="f", call=1, message="late")
        raise jaxdbg.NonFiniteError("late", finding) from None

    monkeypatch.setattr(jaxdbg.Region, "__exit__", fail_at_the_end)
    rule, *lines = shell.read(f"%%checked\n{body}").splitlines()
    assert rule == "-" * 75
    assert lines == [
        "NonFiniteError                            Traceback (most recent call last)",
        "Cell In[2], line 1",
        "----> 1 '%%checked'",
        "      2 x = 1",
        f"      3 {body.splitlines()[1]}",
        "",
        "NonFiniteError: late",
    ]


def test_sources_and_file_names_are_those_of_the_cell(shell: Shell) -> None:
    source = "%%checked\ndef f():\n    return 1\n"
    shell.run(source)
    f = shell.ip.user_ns["f"]
    assert inspect.getsource(f) == "def f():\n    return 1\n"
    assert f.__code__.co_firstlineno == 2
    name = shell.ip.compile.get_code_name(source, shell.ip.transform_cell(source), 2)
    assert f.__code__.co_filename == name


def test_await_and_future_imports_work(shell: Shell) -> None:
    source = "%%checked\nimport asyncio\nawait asyncio.sleep(0, 7)"
    assert shell.run(source).result == 7
    source = "%%checked\nfrom __future__ import annotations\ndef f(x: nothing): pass"
    assert shell.run(source).success


def test_a_cell_that_awaits_is_checked_to_its_end(shell: Shell) -> None:
    source = (
        "%%checked --record\nimport asyncio\nawait asyncio.sleep(0)\nlog_price(-1.0)\n"
        "await asyncio.sleep(0)\nawait asyncio.gather(*[asyncio.sleep(0)])\n"
        "log_price(1.0)"
    )
    shell.run(EARLIER)
    assert shell.run(source).success
    report = jaxdbg.last_report()
    assert report is not None
    assert (report.calls_by_function["log_price"], len(report.findings)) == (2, 1)


def test_await_works_where_a_loop_runs_already(shell: Shell) -> None:
    source = "%%checked\nimport asyncio\nawait asyncio.sleep(0, 7)"

    async def run() -> ExecutionResult:
        transformed = shell.ip.transform_cell(source)
        return await shell.ip.run_cell_async(source, transformed_cell=transformed)

    assert asyncio.run(run()).result == 7
    shell.ip.events.trigger("post_execute")  # a kernel does this after each cell


@pytest.mark.filterwarnings("ignore:To exit")
@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit"])
def test_an_interrupt_leaves_nothing(shell: Shell, error: str) -> None:
    before = installed(shell.ip)
    result = shell.run(f"%%checked\nraise {error}")
    assert type(result.error_in_exec).__name__ == error
    assert installed(shell.ip) == before


def test_reset_in_the_cell_does_no_harm(bare: Shell) -> None:
    bare.run("%load_ext jaxdbg")  # `%reset` changes IPython's own magics
    assert bare.run("%%checked\n%reset -f\n3").result == 3
    bare.run("%unload_ext jaxdbg")


@pytest.mark.parametrize(
    "source", ["%%checked\nx = (", "%%checked\nreturn", "%%checked --bogus\n1"]
)
def test_nothing_leaks_into_the_next_cell(shell: Shell, source: str) -> None:
    before = installed(shell.ip)
    assert not shell.run(source).success
    assert installed(shell.ip) == before
    assert shell.read("1") == "Out[3]: 1\n"


@pytest.mark.parametrize("how", [{"store_history": False}, {"silent": True}])
def test_a_cell_without_history_is_checked_too(
    shell: Shell, how: dict[str, bool]
) -> None:
    shell.run(EARLIER)
    result = shell.run("%%checked\nlog_price(bad)", **how)
    assert type(result.error_in_exec) is jaxdbg.NonFiniteError
    assert shell.run("log_price(bad)").success


def test_a_cell_that_is_replayed_is_checked_again(shell: Shell) -> None:
    shell.run(EARLIER)
    shell.run("%%checked\nlog_price(bad)")
    assert not shell.run("get_ipython().run_cell(In[3]).raise_error()").success


# With other magics.


@pytest.mark.parametrize(
    "source",
    [
        "%%checked\n%%time\nlog_price(good)\n5",
        "%%checked\n\n%%time\nlog_price(good)\n5",
        "%%time\n%%checked\nlog_price(good)\n5",
        "%%checked\n  log_price(good)\n  5",
        "\n  %%checked\n  log_price(good)\n  5",
        "get_ipython().run_cell_magic('checked', '', 'log_price(good)\\n5')",
    ],
)
def test_it_stacks(shell: Shell, source: str) -> None:
    shell.run(EARLIER)
    text = shell.read(source)
    assert text.count("1 call") == 1
    assert text.endswith("Out[3]: 5\n")


@pytest.mark.parametrize(
    "source",
    [
        "%%checked\n%%time\nlog_price(bad)",
        "%%time\n%%checked\nlog_price(bad)",
        "get_ipython().run_cell_magic('checked', '', 'log_price(bad)')",
    ],
)
def test_a_failure_is_one_failure_in_a_stack(shell: Shell, source: str) -> None:
    shell.run(EARLIER)
    text = shell.read(source)
    assert text.count("Traceback") == 1
    assert "jaxdbg/" not in text
    result = shell.run(source)
    assert type(result.error_in_exec) is jaxdbg.NonFiniteError


def test_run_cell_inside_a_checked_cell(shell: Shell) -> None:
    shell.run(EARLIER)
    text = shell.read(
        "%%checked\nlog_price(good)\nget_ipython().run_cell('%%checked\\n1')\n5"
    )
    assert text.count(" checked") == 2
    assert text.endswith("Out[3]: 5\n")


# Options.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--evry-op", "Unknown option: '--evry-op'. Did you mean '--every-op'? Exp"),
        ("--every", "Unknown option: '--every'. Did you mean '--every-op'? Expected"),
        ("--errors inex", "Unknown error category 'inex'. Did you mean 'index'? Exp"),
        ("--errors", "--errors needs a value; `%%checked?` says which."),
        ("--max-traces f=x", "Not a budget: 'f=x'. Expected a number for every func"),
        ("on", "%%checked checks one cell and takes no 'on'. To check every cell fro"),
    ],
)
def test_a_wrong_option_is_said_and_the_body_does_not_run(
    shell: Shell, line: str, message: str
) -> None:
    text = shell.read(f"%%checked {line}\nran = True")
    assert text.startswith(f"UsageError: {message}")
    assert len(text.splitlines()) == 1
    assert "ran" not in shell.ip.user_ns


def test_options_reach_the_region(shell: Shell) -> None:
    line = (
        "--max-traces f=1,g=2 --max-compiles 3 --max-compile-seconds f=30,g=2.5 "
        "--every-op --errors index,div --async --record --keep-donation"
    )
    shell.run(f"%%checked {line}\n1")
    assert shell.run("%jaxdbg last").result.options == line.replace("=30,", "=30.0,")


def test_minus_inf_is_a_value_of_an_option(shell: Shell) -> None:
    shell.run("%%checked --allow -inf,nan --only -inf --record\n1")
    options = shell.run("%jaxdbg last").result.options
    assert options == "--record --allow -inf,nan --only -inf"


@pytest.mark.parametrize(
    "source",
    ["%%checked -h", "%%checked --help\nran = True", "%%checked?", "%checked -h"],
)
def test_help_lists_the_options_and_runs_nothing(shell: Shell, source: str) -> None:
    text = shell.read(source)
    assert "%checked [--max-traces N|f=1,g=2] [--max-compiles N|f=1,g=2]" in text
    assert "keep dispatch asynchronous: failures rise at a later" in text
    assert "%checked on [options]      check every cell that follows" in text
    assert "ran" not in shell.ip.user_ns


def test_a_prompt_goes_on_until_a_blank_line(shell: Shell) -> None:
    assert shell.ip.check_complete("%%checked\nx = 1") == ("incomplete", "")
    assert shell.ip.check_complete("%%checked\nx = 1\n\n") == ("complete", "")


def test_an_empty_cell_is_told_as_ipython_tells_it(shell: Shell) -> None:
    assert shell.read("%%checked").startswith(
        "UsageError: %%checked is a cell magic, but the cell body is empty."
    )
    assert shell.run("get_ipython().run_cell_magic('checked', '', ' ')").success


def test_config_sets_the_defaults(shell: Shell) -> None:
    shell.run("%config Checked.max_traces = 'f=2'")
    shell.run("%config Checked.record = True")
    shell.run("%%checked --every-op\n1")
    report = shell.run("%jaxdbg last").result
    assert report.options == "--max-traces f=2 --every-op --record"
    shell.run("%%checked --max-traces 1\n1")
    assert shell.run("%jaxdbg last").result.options == "--max-traces 1 --record"


def test_config_refuses_what_an_option_cannot_be(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    shell.run("%config Checked.errors = 'inex'")
    assert "Unknown error category 'inex'. Did you mean 'index'?" in caplog.text
    assert "Checked.errors" in shell.read("%config Checked")


# Every cell.


def test_on_checks_every_cell_until_off(shell: Shell) -> None:
    shell.run(EARLIER)
    assert shell.read("%checked on --max-traces 5") == (
        "jaxdbg checks every cell: %checked on --max-traces 5\n"
    )
    assert not shell.run("log_price(bad)").success
    assert "1 call" in shell.read("log_price(good);")
    assert shell.read("1 + 1") == "Out[6]: 2\n"  # nothing checked, nothing to say
    assert shell.read("%%checked --record\nlog_price(bad);").startswith("✗ 1 finding")
    assert shell.read("%%time\nlog_price(good);").count("1 call") == 1
    assert shell.read("%checked status") == (
        "jaxdbg checks every cell: %checked on --max-traces 5\n"
    )
    off = "jaxdbg checks the cells that begin with %%checked.\n"
    assert shell.read("%checked off") == off
    assert shell.read("%checked") == off
    assert shell.run("log_price(bad)").success


def test_unloading_ends_on(shell: Shell) -> None:
    shell.run(EARLIER)
    shell.run("%checked on")
    assert shell.read("%reload_ext jaxdbg") == ""
    assert shell.run("log_price(bad)").success


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "%checked sttus",
            "Unknown command of %checked: 'sttus'. Did you mean 'status'? "
            "Expected on, off, status.",
        ),
        (
            "%checked --every-op",
            "--every-op goes with `on`: `%checked on --every-op`.",
        ),
        (
            "%jaxdbg docter",
            "Unknown command of %jaxdbg: 'docter'. Did you mean 'doctor'? "
            "Expected doctor, last, version.",
        ),
    ],
)
def test_a_wrong_command_is_said(shell: Shell, line: str, message: str) -> None:
    assert shell.read(line) == f"UsageError: {message}\n"


@pytest.mark.parametrize("line", ["eight", "0", "2.5"])
def test_devices_are_a_whole_number(shell: Shell, line: str) -> None:
    assert shell.read("%devices") == "2 cpu devices\n"
    said = shell.read(f"%devices {line}")
    assert said.startswith("UsageError: devices(")
    assert "expected a whole number of CPU devices from 1 to 1,024." in said


def test_devices_are_not_changed_in_a_checked_cell(shell: Shell) -> None:
    assert "cannot be changed in a checked region" in shell.read(
        "%%checked\n%devices 4"
    )
    assert shell.read("%devices") == "2 cpu devices\n"


def test_what_is_known_about_jaxdbg(shell: Shell) -> None:
    assert shell.read("%jaxdbg version") == f"jaxdbg {jaxdbg.__version__}\n"
    assert shell.read("%jaxdbg").startswith("About jaxdbg itself.\n\n::\n\n  %jaxdbg d")
    assert shell.read("%jaxdbg doctor") == f"{jaxdbg.doctor()}\n"
    shell.run("%%checked\n1")
    assert shell.run("%jaxdbg last").result is jaxdbg.last_report()


# Tab.


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%%checked --", FLAGS),
        ("%%checked --ma", ["--max-traces", "--max-compiles", *SECONDS]),
        ("%%checked --every-op --e", ["--errors"]),
        ("%%checked --errors ", ["index", "div"]),
        ("%%checked --errors index,d", ["div"]),
        ("%checked ", ["on", "off", "status"]),
        ("%checked o", ["on", "off"]),
        ("%checked on --r", ["--record"]),
        ("%jaxdbg ", ["doctor", "last", "version"]),
        ("%jaxdbg l", ["last"]),
    ],
)
def test_tab_offers_exactly_what_may_stand_there(
    shell: Shell, typed: str, offered: list[str]
) -> None:
    with provisionalcompleter():
        found = list(shell.ip.Completer.completions(typed, len(typed)))
    assert [f.text for f in found] == sorted(offered)  # IPython sorts them
    fragment = typed[found[0].start : found[0].end]
    assert all(f.text.startswith(fragment) for f in found)


# Loading, unloading, and faults of ours.


def test_loading_twice_installs_once(shell: Shell) -> None:
    before = installed(shell.ip)
    magics.load(shell.ip)
    assert installed(shell.ip) == before


def test_unloading_restores_a_magic_of_the_same_name(bare: Shell) -> None:
    bare.ip.register_magic_function(lambda line: "mine", "line", "checked")
    bare.run("%load_ext jaxdbg")
    assert bare.run("%checked").result is None
    bare.run("%unload_ext jaxdbg")
    assert bare.run("%checked").result == "mine"


def test_importing_jaxdbg_loads_neither_ipython_nor_jax() -> None:
    code = "import sys, jaxdbg; print('IPython' in sys.modules, 'jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False False\n"


def broken(*_: object, **__: object) -> None:
    raise TypeError("a fault of ours")


def test_a_region_that_breaks_lets_the_cell_run(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxdbg.checks.region.Region.__enter__", broken)
    assert shell.read("%%checked\n1 + 1") == (
        "Out[2]: 2\n"
        "jaxdbg failed, so this cell runs without (some of) its checks: TypeError: a "
        "fault of ours. The fault is not in your code; `%jaxdbg doctor` says what "
        "works here. This is said once.\n"
    )
    assert shell.read("%%checked\n1 + 1") == "Out[3]: 2\n"


def test_a_rewriting_that_breaks_lets_the_cell_run(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "wrapped", broken)
    text = shell.read("%%checked\n1 + 1")
    assert text.startswith("Out[2]: 2\njaxdbg failed")


# In other hosts.


def run_python(*args: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Runs a module of this Python, away from the user's own settings."""
    home = how.pop("home")
    env = {**os.environ, "PYTHONPATH": ROOT, "JAX_PLATFORMS": "cpu"}
    env |= {"IPYTHONDIR": f"{home}/ipython", "JUPYTER_CONFIG_DIR": f"{home}/config"}
    return subprocess.run(
        [sys.executable, "-m", *args], env=env, capture_output=True, text=True, **how
    )


@pytest.mark.slow
def test_ipython_in_a_terminal(tmp_path: Path) -> None:
    typed = f"%load_ext jaxdbg\n{EARLIER}\n\n%%checked\nlog_price(bad)\n\n\n1+1\n"
    done = run_python(
        "IPython",
        *("--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=nocolor"),
        "--HistoryManager.enabled=False",
        input=typed,
        home=tmp_path,
    )
    assert "NonFiniteError" in done.stdout
    assert "----> 2 log_price(bad)" in done.stdout
    assert "2\n" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(("value", "code"), [("good", 0), ("bad", 1)])
def test_nbconvert_fails_where_the_cell_fails(
    tmp_path: Path, value: str, code: int
) -> None:
    sources = ["%load_ext jaxdbg", EARLIER, f"%%checked\nlog_price({value})", "'end'"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources]
    )
    nbformat.write(notebook, tmp_path / "n.ipynb")
    done = run_python(
        *("nbconvert", "--to", "notebook", "--execute", "--stdout", "n.ipynb"),
        cwd=tmp_path,
        home=tmp_path,
    )
    assert done.returncode == code, done.stderr
    assert ("NonFiniteError" in done.stderr) == (code == 1)


# The panel, where no widget can live.


def test_in_a_terminal_the_panel_is_its_text(shell: Shell) -> None:
    shell.run(EARLIER)
    text = shell.read("%panel bad * jnp.nan")
    assert text.startswith("✗ bad * jnp.nan: 1 of 1 leaf not finite · 3 elements")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("%panel nowhere", "%panel shows a tree, and 'nowhere' is none: NameError"),
        ("%panel 1 +", "%panel shows a tree, and '1 +' is none: SyntaxError"),
    ],
)
def test_what_is_no_tree_is_said_so(shell: Shell, typed: str, said: str) -> None:
    assert f"UsageError: {said}" in shell.read(typed)
