"""Options: what is refused, and in which words."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import jaxdbg
from jaxdbg.notebook.checked import PANEL, PANEL_HELP, Checked
from jaxdbg.options import (
    OPTIONS,
    Option,
    Options,
    parse_budget,
    parse_errors,
    parse_seconds,
)

PAGE = Path(__file__).parents[1] / "docs" / "checks.md"


def test_budgets_are_read_as_typed():
    assert parse_budget("3") == 3
    assert parse_budget("train_step=1, eval=2") == {"train_step": 1, "eval": 2}


@pytest.mark.parametrize("text", ["", "many", "f=", "f=1,2", "1.5", "f=1=2"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(jaxdbg.UsageError) as caught:
        parse_budget(text)
    assert str(caught.value) == (
        f"Not a budget: {text!r}. Expected a number for every function (`3`), or a "
        "number for each (`train_step=1,eval=2`)."
    )


@pytest.mark.parametrize("budget", [-1, 1.5, True, {"f": None}, {"f": -1}])
def test_a_budget_is_a_whole_number(budget):
    with pytest.raises(jaxdbg.UsageError, match=r"max_traces is .*Expected a whole"):
        jaxdbg.checked(max_traces=budget)


def test_budgets_of_seconds_are_read_as_typed():
    assert parse_seconds("2.5") == 2.5
    assert parse_seconds("step=30, eval=2.5") == {"step": 30, "eval": 2.5}


@pytest.mark.parametrize("text", ["", "30 s", "step=", "step=1,2", "f=1=2"])
def test_what_is_no_budget_of_seconds_is_refused(text):
    with pytest.raises(jaxdbg.UsageError) as caught:
        parse_seconds(text)
    assert str(caught.value) == (
        f"Not a budget: {text!r}. Expected seconds for all functions together (`30`), "
        "or seconds for each (`train_step=30,eval=2.5`)."
    )


@pytest.mark.parametrize("budget", [-1, float("nan"), True, "30", {"f": None}])
def test_a_budget_of_seconds_is_a_number(budget):
    with pytest.raises(jaxdbg.UsageError) as caught:
        jaxdbg.checked(max_compile_seconds=budget)
    assert str(caught.value) == (
        f"max_compile_seconds is {budget!r}. Expected a number of seconds of at least "
        "0, a mapping from function names to such numbers, or None for no limit."
    )


def test_error_categories_are_known():
    assert parse_errors("index, div") == ("index", "div")
    with pytest.raises(jaxdbg.UsageError) as caught:
        jaxdbg.checked(errors=["indx"])
    assert str(caught.value) == (
        "Unknown error category 'indx'. Did you mean 'index'? Expected some of index, "
        "div; NaN, Inf and the checks of chex and checkify are always on."
    )


def test_one_category_may_be_a_word():
    assert Options(errors="index").errors == ("index",)


def test_options_are_said_as_typed():
    budgets = {"f": 1, "g": 2}, 3, 2.5
    options = Options(*budgets, True, ("div",), True, True, True, ("m", "o"))
    assert str(options) == (
        "--max-traces f=1,g=2 --max-compiles 3 --max-compile-seconds 2.5 --every-op "
        "--errors div --async --record --keep-donation --watch m,o"
    )
    assert str(Options()) == ""


def test_watched_trees_have_names():
    assert Options(watch="model, state.opt").watch == ("model", "state.opt")
    assert Options(watch=["model"]).watch == ("model",)
    with pytest.raises(jaxdbg.UsageError) as caught:
        jaxdbg.checked(watch="model,3")
    assert str(caught.value) == (
        "Not the name of a tree: '3'. Expected names or paths as you would type them "
        "(`model,opt`)."
    )


# What is written by hand agrees with the table.


def test_the_signature_has_the_options_of_the_table() -> None:
    parameters = inspect.signature(jaxdbg.Region).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    found = [(p.name, p.default) for p in positional]
    assert found == [(o.name, o.default) for o in OPTIONS]


def test_the_docstring_says_what_the_table_says() -> None:
    said = described(inspect.getdoc(jaxdbg.Region) or "")
    assert [o.name for o in OPTIONS if not says(said.get(o.name, ""), o)] == []


def test_another_text_is_found() -> None:
    record = next(o for o in OPTIONS if o.name == "record")
    assert says("collect failures, and let the program run on.", record)
    assert not says("collect failures.", record)


def described(docstring: str) -> dict[str, str]:
    """What a docstring says of each argument."""
    pairs = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", docstring, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in pairs}


def says(text: str, option: Option) -> bool:
    return text.startswith((f"{option.help}.", f"{option.help};"))


def test_the_page_has_the_rows_of_the_table() -> None:
    written = re.findall(r"^\| `--.*", PAGE.read_text(), re.MULTILINE)
    assert [r for r in written if not r.startswith(f"| `{PANEL}`")] == rows()
    assert f"| `{PANEL}` | {PANEL_HELP} |" in written


def rows() -> list[str]:
    found = []
    for option in OPTIONS:
        ways = ", ".join(f"`{way}`" for way in option.ways)
        if option.flag != f"--{option.name.replace('_', '-')}":
            ways += f" (`{option.name}=True`)"
        found.append(f"| {ways} | {option.help} |")
    return found


def test_the_magic_has_the_options_of_the_table() -> None:
    actions = Checked.checked.parser._actions
    flags = [flag for action in actions for flag in action.option_strings[:1]]
    table = [o.flag for o in OPTIONS]
    assert [flag for flag in flags if flag in table] == table
    assert {o.name for o in OPTIONS} <= set(Checked.class_trait_names(config=True))
