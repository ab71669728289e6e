"""Options: what is refused, and in which words."""

from __future__ import annotations

import pytest

import jaxdbg
from jaxdbg.options import Options, parse_budget, parse_errors


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
    options = Options({"f": 1, "g": 2}, 3, True, ("div",), True, True, True, ("m", "o"))
    assert str(options) == (
        "--max-traces f=1,g=2 --max-compiles 3 --every-op --errors div --async "
        "--record --keep-donation --watch m,o"
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
