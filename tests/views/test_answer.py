"""What a finding says first: what, where, in which call, and how far it has come."""

from __future__ import annotations

from dataclasses import replace

from jaxdbg.records import Finding, LeafStats, Origin, TreeHistory, TreeStats
from jaxdbg.views import answer
from jaxdbg.views.origin_text import text

from .test_origin import BORN

NAN = Finding("nan", "train_step", 3, "NaN in loss, from train_step (call 3)", "loss")


def said(origin: Origin | None) -> str:
    finding = replace(NAN, origin=origin)
    return " · ".join(filter(None, (answer.what(finding), answer.where(finding))))


def test_what_where_and_in_which_call() -> None:
    assert said(BORN) == (
        "division by zero in `x / …` · cell 7, line 4 · model.blocks[2].ln1 · "
        "train_step, call 3"
    )
    assert said(replace(BORN, likely=True)).startswith("likely division by zero in")


def test_what_is_not_certain_names_no_cause() -> None:
    assert said(replace(BORN, candidate=True)).startswith(
        "a candidate, not certain: NaN was born in `x / …` · cell 7"
    )
    assert said(Origin("not reproduced", "nan")) == NAN.headline
    assert said(None) == NAN.headline


def test_what_an_earlier_call_made_is_looked_for_there() -> None:
    came = Origin("came in", "nan", argument="h[2]", made_by="init (call 1)")
    assert said(came) == "NaN came in through h[2], and spread · train_step, call 3"
    assert said(replace(came, made_at=BORN)) == (
        "division by zero in `x / …` · cell 7, line 4 · model.blocks[2].ln1 · "
        "made by init (call 1) · came in to train_step, call 3"
    )


def test_the_effect_says_of_which_trees_all_is_bad() -> None:
    model = TreeStats("model", (LeafStats("model.a"), LeafStats("model.b")))
    opt = TreeHistory("opt", ("opt.a", "opt.b", "opt.c"))
    floats = answer.floats_of((model,), (opt,))

    def effect(*paths: str) -> str:
        return answer.effect(replace(NAN, paths=paths), floats)

    assert effect("loss") == "NaN in loss"
    assert effect("model.a", "model.b", "opt.b", "opt.c", "loss", "g[0]", "g[1]") == (
        "NaN in 7 leaves: all of model, 2 of the 3 leaves of opt, loss, 2 leaves of g"
    )
    assert effect("a", "b") == "NaN in 2 leaves"
    assert effect() == ""


def test_of_a_call_with_a_short_name_the_call_is_said() -> None:
    # The g of `x / …` and of "standard" is not the function g.
    finding = replace(NAN, function="g", origin=replace(BORN, expression="jnp.log"))
    assert answer.where(finding).endswith("g, call 3")


def test_what_came_in_can_be_listed() -> None:
    came = Origin("came in", "nan", argument='b["x"][2]', argument_leaf='b["x"]')
    line = '`np.argwhere(~np.isfinite(b["x"]))` lists the bad elements of `b["x"]`'
    assert line in text(came)
    for known in (
        replace(came, made_by="init (call 1)"),
        replace(came, argument_leaf="f(...)[0]"),
    ):
        assert "argwhere" not in text(known)
