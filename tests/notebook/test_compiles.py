"""`%compiles` in a real shell, over what JAX really compiles."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

import jaxdbg
from jaxdbg.compiles import recorder
from tests.notebook.test_checked import Shell, bare as bare, installed, shell as shell

FRESH = """\
import jax, jax.numpy as jnp

@jax.jit
def total(x): return (x * 2).sum()

def lambdas(n):
    for _ in range(n):
        jax.jit(lambda x: x + 1)(jnp.float32(1))"""
PARTIAL = "for n in (32, 32, 17): total(jnp.ones((n, 8)))"


@pytest.fixture(autouse=True)
def an_empty_log() -> None:
    recorder.forget()


def times_left_out(text: str) -> str:
    return re.sub(r"[\d.]+ (?:ms|s)\b|–", "T", text)


def test_a_partial_batch_is_named(shell: Shell) -> None:
    shell.run(FRESH)
    shell.run(PARTIAL)
    text = times_left_out(shell.read("%compiles total"))
    assert text.startswith("Out[4]: \nT tracing, lowering and compiling of total · ")
    assert text.endswith(
        "total traced again (2nd time): x f32[32,8] → f32[17,8] · T · cell 3, line 1 · "
        "possibly the last partial batch\n"
        "  → drop the last batch, or pad it to the full size and mask what was added\n"
    )


def test_a_table_is_a_value(shell: Shell) -> None:
    shell.run(FRESH)
    shell.run(PARTIAL)
    result = shell.run("%compiles --cell 3").result
    assert isinstance(result, jaxdbg.Compilations)
    assert result.what == "in cell 3"
    assert {e.function for e in result.events} >= {"total"}
    assert len(result) <= len(jaxdbg.compilations())


def test_nothing_is_said_of_nothing(shell: Shell) -> None:
    said = shell.read("%compiles --cell 1")
    assert said == "Out[2]: nothing was traced or compiled in cell 1\n"


def test_eager_ops_open(shell: Shell) -> None:
    shell.run(FRESH)
    shell.run("jax.clear_caches(); jnp.ones(3) * 2")
    assert re.search(r"^multiply +1 +1 ", shell.read("%compiles --eager"), re.M)


def test_a_cell_that_compiles_often_is_told_once(shell: Shell) -> None:
    shell.run(FRESH)
    said = times_left_out(shell.read("lambdas(5)"))
    assert said.startswith(
        "jaxdbg: this cell has compiled <lambda> 5 times (T): traced"
    )
    assert said.endswith(
        "· %compiles says more; %config Compiles.warn_after = 0 silences this\n"
    )
    assert said.count("\n") == 2
    assert shell.read("lambdas(5)") == ""


@pytest.mark.parametrize(
    ("before", "cell"),
    [
        ("", "lambdas(4)"),
        ("", "%%checked\nlambdas(5)"),
        ("%checked on", "lambdas(5)"),
        ("%config Compiles.warn_after = 0", "lambdas(5)"),
        ("%compiles off", "lambdas(5)"),
        ("", "x = jnp.ones(1)\nfor _ in range(6): x = jnp.append(x, 1.0)"),
    ],
)
def test_no_warning_where_none_is_due(shell: Shell, before: str, cell: str) -> None:
    shell.run(FRESH)
    shell.run(before)
    assert "has compiled" not in shell.read(cell)


def test_off_on_and_forget(shell: Shell) -> None:
    shell.run(FRESH)
    off = "jaxdbg does not record what is traced and compiled.\n"
    assert shell.read("%compiles off") == off
    shell.run(PARTIAL)
    assert jaxdbg.compilations().of("total").events == ()
    on = "jaxdbg records what is traced and compiled.\n"
    assert shell.read("%compiles on") == on
    shell.run("total(jnp.ones(5))")
    assert len(jaxdbg.compilations().of("total")) == 3
    forgot = "jaxdbg has forgotten what was compiled up to here.\n"
    assert shell.read("%compiles forget") == forgot
    assert jaxdbg.compilations().events == ()


def test_two_runs_of_a_cell_are_compared(shell: Shell) -> None:
    shell.run(FRESH)
    shell.run("lambdas(1)")
    shell.run("lambdas(1)")
    shell.run("total(jnp.ones(2))")
    assert (
        shell.run("%compiles --diff").result == shell.run("%compiles --diff 3 4").result
    )
    said = times_left_out(shell.read("%compiles --diff 3 5"))
    assert "+ total: traces 0 → 1 · compiles 0 → 1 · T → T" in said
    assert "- <lambda>: traces 1 → 0 · compiles 1 → 0 · T → T" in said


def test_saved_and_compared(shell: Shell, tmp_path: Path) -> None:
    shell.run(FRESH)
    shell.run(PARTIAL)
    file = tmp_path / "before.json"
    count = len(jaxdbg.compilations())
    assert (
        shell.read(f"%compiles --save {file}") == f"{count} phases written to {file}\n"
    )
    shell.run("%compiles --save " + str(tmp_path / "all.trace"))
    assert "traceEvents" in (tmp_path / "all.trace").read_text()
    said = shell.read(f"%compiles --diff {file} 3")
    assert "Out[" in said
    assert "total: " not in said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "%compiles totle",
            "UsageError: No function 'totle' was traced or compiled since jaxdbg was "
            "loaded. Did you mean 'total'? `%compiles` lists them.",
        ),
        (
            "%compiles --egaer",
            "UsageError: Unknown option: '--egaer'. Did you mean '--eager'? Expected "
            "--cell, --diff, --eager, --panel, --save, --help.",
        ),
        (
            "%compiles --save all.csv",
            "UsageError: --save all.csv: expected a name that ends in .json (for "
            "`%compiles --diff` and Python) or in .trace (for Perfetto).",
        ),
        (
            "%compiles --diff 3",
            "UsageError: --diff takes two cells or saved files, the earlier first: "
            "`%compiles --diff 12 14`. Without any it compares the last two runs of a "
            "cell that was run again.",
        ),
        (
            "%compiles --diff",
            "UsageError: No cell was run twice since jaxdbg was loaded. Two cells can "
            "be compared by their numbers: `%compiles --diff 12 14`.",
        ),
        (
            "%compiles --diff nowhere.json 2",
            "UsageError: Not a cell, nor compilations: 'nowhere.json'. [Errno 2] No "
            "such file or directory: 'nowhere.json'",
        ),
        (
            "%compiles --cell x",
            "UsageError: argument --cell: invalid int value: 'x'",
        ),
    ],
)
def test_what_cannot_be_read_is_said(shell: Shell, line: str, says: str) -> None:
    shell.run(FRESH)
    shell.run("total(jnp.ones(2))")
    assert shell.read(line).strip() == says


def test_help(shell: Shell) -> None:
    assert "%compiles --diff 12 14" in shell.read("%compiles -h")
    found = shell.ip.object_inspect("%compiles")
    assert "--save FILE" in inspect.cleandoc(found["docstring"])


def completions(shell: Shell, text: str) -> list[str]:
    with provisionalcompleter():
        found = shell.ip.Completer.completions(text, len(text))
        return [c.text for c in found]


def test_completion(shell: Shell) -> None:
    shell.run(FRESH)
    shell.run("total(jnp.ones(2))")
    assert completions(shell, "%compiles t") == ["total"]
    assert completions(shell, "%compiles --s") == ["--save"]
    assert completions(shell, "%compiles --cell ") == ["3"]
    assert set(completions(shell, "%compiles ")) >= {"on", "off", "forget", "total"}


def test_what_happens_after_a_cell_is_removed(bare: Shell) -> None:
    before = installed(bare.ip)
    bare.run("%load_ext jaxdbg")
    assert len(bare.ip.events.callbacks["post_run_cell"]) > 0
    bare.run("%unload_ext jaxdbg")
    assert installed(bare.ip) == before
    assert not recorder.recorder().is_on


def test_recording_can_be_off_from_the_start(bare: Shell) -> None:
    bare.ip.config.Compiles.record = False
    bare.run("%load_ext jaxdbg")
    assert not recorder.recorder().is_on
    bare.run("%unload_ext jaxdbg")


def test_public_names(shell: Shell) -> None:
    shell.run(FRESH)
    shell.run(PARTIAL)
    every: Any = jaxdbg.compilations()
    assert every.of("total").seconds > 0
    assert every.seconds_lost > 0
    assert "possibly the last partial batch" in str(every)


def test_a_stale_closure_is_told_once(shell: Shell) -> None:
    shell.run("import jax\nscale = 2.0\nf = jax.jit(lambda x: x * scale)\nf(1.0)")
    text = shell.read("scale = 3.0")
    assert text == (
        "jaxdbg: <lambda> was traced with scale = 2.0, which is 3.0 now: the "
        "compiled program still uses 2.0. Pass scale as an argument.\n"
    )
    assert shell.read("f(1.0);") == ""
