"""How a story reads, word for word; the records are made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jaxdbg.records import (
    CallFrame,
    LocalValue,
    Operand,
    Origin,
    Reached,
    SourceFrame,
    Turn,
)
from jaxdbg.views import origin_brief_text, reached
from jaxdbg.views.excerpt import excerpt
from jaxdbg.views.origin_html import html
from jaxdbg.views.origin_text import text
from jaxdbg.views.origin_wording import operand

CELL = SourceFrame(
    file="<ipython-input-7>",
    line=4,
    function="Block.__call__",
    code="        return x / (var + self.eps)",
    cell=7,
    column=15,
    end_line=4,
    end_column=35,
)
LIBRARY = SourceFrame(
    file="lib/python3.11/site-packages/flax/nnx/nn/linear.py",
    line=422,
    function="Linear.__call__",
    code="    y = self.dot_general(x, kernel)",
    column=8,
    end_line=422,
    end_column=35,
)
ZERO = Operand(
    name="var + self.eps",
    role="denominator",
    shape=(8, 64),
    dtype="float32",
    low=0.0,
    high=2.5,
    size=512,
    zeros=3,
    element=(2, 5),
    value="0",
)
BORN = Origin(
    verdict="born",
    kind="nan",
    primitive="div",
    expression="x / …",
    source=CELL,
    module="model.blocks[2].ln1",
    direction="forward",
    loop=(("scan", 4, 16), ("while", 2, None)),
    branches=((1, 2), (2, 5)),
    operands=(ZERO,),
    reached=(Reached("loss", 1, 1, ("nan",)), Reached("model.w", 3, 4, ("nan", "inf"))),
    rows=(("batch['x']", 17),),
    rows_note="row 17 alone",
    device="TFRT_CPU_1",
    wider="float16 range (largest 65504): finite in float32 (7e+04)",
    cause="division by zero",
    advice="keep the denominator from 0",
    headline="NaN in loss, from train_step (call 3 in this cell)",
)


def short(origin):
    """The lines of a message."""
    return origin_brief_text.text(origin).split("\n")


def test_a_birth_in_a_message():
    assert "\n".join(short(BORN)) == (
        "  NaN was born in `x / …` at cell 7, line 4\n"
        "      return x / (var + self.eps)\n"
        "             ^^^^^^^^^^^^^^^^^^^^\n"
        "    in model.blocks[2].ln1\n"
        "    scan step 5 of 16, while iteration 3, true branch of a cond, branch 2 of "
        "a switch of 5\n"
        "    on TFRT_CPU_1\n"
        "    denominator `var + self.eps` is exactly 0 at [2, 5]; 3 zeros in 512\n"
        "    batch batch['x']: row 17 alone causes it\n"
        "    float16 range (largest 65504): finite in float32 (7e+04)\n"
        "  cause: division by zero\n"
        "    likely fix: keep the denominator from 0"
    )


def test_the_whole_of_it():
    assert text(BORN) == (
        "NaN in loss, from train_step (call 3 in this cell)\n"
        "  born\n"
        "    NaN was born in `x / …` at cell 7, line 4\n"
        "      return x / (var + self.eps)\n"
        "             ^^^^^^^^^^^^^^^^^^^^\n"
        "  cause\n"
        "    division by zero\n"
        "  likely fix\n"
        "    keep the denominator from 0\n"
        "  where\n"
        "    in model.blocks[2].ln1\n"
        "    scan step 5 of 16, while iteration 3, true branch of a cond, branch 2 of "
        "a switch\n"
        "        of 5\n"
        "    on TFRT_CPU_1\n"
        "  operands\n"
        "    denominator `var + self.eps` is exactly 0 at [2, 5] (float32[8,64], 0 to "
        "2.5, 3\n"
        "        zeros)\n"
        "  batch\n"
        "    batch['x']: row 17 alone\n"
        "  range\n"
        "    float16 range (largest 65504): finite in float32 (7e+04)\n"
        "  reached\n"
        "    loss: 1 of 1 (NaN)\n"
        "    model.w: 3 of 4 (NaN, Inf)"
    )


def test_the_backward_pass():
    same = replace(BORN, direction="backward", forward_source=CELL, loop=())
    lines = short(same)
    assert lines[0] == "  NaN was born in the derivative of `x / …` at cell 7, line 4"
    assert lines[3] == "    in model.blocks[2].ln1, in the backward pass"
    rule = replace(CELL, line=9, code="    return g / x", column=11, end_line=9)
    other = replace(same, source=replace(rule, end_column=16))
    assert [*short(other)[:4], *short(other)[6:8]] == [
        "  NaN was born in `x / …` at cell 7, line 9",
        "      return g / x",
        "             ^^^^^",
        "    in model.blocks[2].ln1, in the backward pass",
        "    it differentiates cell 7, line 4",
        "      return x / (var + self.eps)",
    ]


def test_a_line_of_a_library():
    told = short(replace(BORN, library_source=LIBRARY))
    assert told[3:6] == [
        "    inside Linear.__call__, flax/nnx/nn/linear.py:422",
        "      y = self.dot_general(x, kernel)",
        "          ^^^^^^^^^^^^^^^^^^^^^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("vectorize.<locals>.wrapped", "inside vectorize, "),
        ("_check_output_dims.<locals>.wrapped", "inside "),
        ("", "inside "),
    ],
)
def test_a_function_that_a_library_makes_has_the_name_of_its_maker(function, said):
    told = short(replace(BORN, library_source=replace(LIBRARY, function=function)))
    assert told[3] == f"    {said}flax/nnx/nn/linear.py:422"


def test_turns():
    turn = Turn("nan", "mul", CELL, direction="backward", text="NaN at 0 * Inf")
    told = short(replace(BORN, steps=(turn,) * 5))
    assert "  then NaN at 0 * Inf at cell 7, line 4 in the backward pass" in told
    assert "  then 2 more turns" in told
    bare = Turn("inf", "dot_general", module="model.head")
    assert "  then Inf in `dot_general` in model.head" in short(
        replace(BORN, steps=(bare,))
    )


@pytest.mark.parametrize("leaf", ["model.blocks[2].scale", 'opt["lr"]'])
def test_the_whole_path_of_a_scalar_that_came_in(leaf):
    came = Origin(
        "came in", "nan", argument=leaf, argument_leaf=leaf, made_by="init (call 1)"
    )
    assert f"  {leaf} was made by init (call 1)" in short(came)


def test_what_came_in():
    came = Origin("came in", "nan", argument="batch['x'][17, 3]")
    assert short(came) == ["  NaN came in through batch['x'][17, 3], and spread"]
    made = replace(
        came,
        argument="h[2]",
        argument_leaf="h",
        made_by="init_state (call 1)",
        made_at=BORN,
    )
    assert short(made) == [
        "  NaN came in through h[2], and spread",
        "  h was made by init_state (call 1)",
        "    there NaN was born in `x / …` at cell 7, line 4",
        "        return x / (var + self.eps)",
        "               ^^^^^^^^^^^^^^^^^^^^",
        "      in model.blocks[2].ln1",
        "      scan step 5 of 16, while iteration 3, true branch of a cond, "
        "branch 2 of a switch of 5",
        "      on TFRT_CPU_1",
        "      denominator `var + self.eps` is exactly 0 at [2, 5]; 3 zeros in 512",
    ]
    assert "  there: born\n    NaN was born in `x / …` at cell 7, line 4\n" in text(
        made
    )


def test_what_is_not_known():
    unknown = Origin(
        "not reproduced",
        "nan",
        notes=("evaluated again, operation by operation, it is finite",),
    )
    assert short(unknown) == [
        "  where it was born is not known",
        "  note: evaluated again, operation by operation, it is finite",
    ]
    assert text(unknown) == (
        "  not known\n"
        "    where it was born is not known\n"
        "  note\n"
        "    evaluated again, operation by operation, it is finite"
    )


def test_what_was_placed():
    assert text(Origin("placed", "-inf")) == (
        "  placed\n"
        "    -Inf was placed by a literal or a constant, not born by arithmetic"
    )


def test_values_that_explode():
    grown = replace(
        BORN, cause="exploding values", likely=True, growth=(0.5, 3.0, 2e4, 7e11)
    )
    assert "  likely cause: exploding values" in short(grown)
    assert "    in the last calls: 0.5, 3, 2e+04, 7e+11" in short(grown)
    assert "  last calls\n    0.5, 3, 2e+04, 7e+11\n" in text(grown)


def test_operands():
    def told(**changes):
        return operand(replace(ZERO, **changes))

    assert told() == (
        "denominator `var + self.eps` is exactly 0 at [2, 5]; 3 zeros in 512"
    )
    assert told(value="1e+04", zeros=0) == (
        "denominator `var + self.eps` is 1e+04 at [2, 5]; 0 to 2.5 in 512"
    )
    assert told(value="-2", negatives=1) == (
        "denominator `var + self.eps` is -2 at [2, 5]; 1 negative in 512"
    )
    assert told(value="Inf", posinf=4) == (
        "denominator `var + self.eps` is Inf at [2, 5]; 4 Inf in 512"
    )
    assert told(name="", role="", value="", element=None) == (
        "operand: 0 to 2.5, float32[8,64]"
    )
    assert told(value="2", low=2.0, high=2.0) == (
        "denominator `var + self.eps` is 2 at [2, 5]; all 2 in 512"
    )
    assert told(size=1, shape=(), element=(), zeros=1) == (
        "denominator `var + self.eps` is exactly 0"
    )


def test_code_is_excerpt():
    two = replace(CELL, code="    x = (a /\n         b)", column=9, end_line=5)
    assert excerpt(two) == ["x = (a /", "     b)"]
    assert excerpt(replace(CELL, end_line=0)) == ["return x / (var + self.eps)"]
    assert excerpt(replace(CELL, code="")) == []
    long = "    y = " + "first(" * 20 + "x / z" + ")" * 20
    start = long.index("x / z")
    cut = replace(CELL, code=long, column=start, end_column=start + 5)
    line, below = excerpt(cut)
    assert len(line) < 110
    assert line.startswith("… ")
    assert below.index("^") == line.index("x / z")
    assert below.count("^") == 5


def test_html_is_escaped():
    evil = replace(
        BORN,
        headline="<script>alert(1)</script>",
        advice="write `a < b` & `c`",
        source=replace(CELL, code="        return x / (var + self.eps)  # <b>"),
    )
    shown = html(evil)
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "a &lt; b" in shown
    assert ">x / (var + self.eps)</span>" in shown


def test_many_leaves_that_are_wholly_bad_have_one_line_for_each_tree():
    model = [Reached(f"model.w[{i}]", 4, 4, ("nan",)) for i in range(20)]
    partly = Reached("model.head.kernel", 3, 4, ("nan", "inf"))
    opt = [Reached(f'opt["mu"][{i}]', 2, 2, ("inf",)) for i in range(3)]
    loss = Reached("train_step(...)[0]", 1, 1, ("nan",))
    assert reached.lines([loss, *model, partly, *opt]) == [
        "model.head.kernel: 3 of 4 (NaN, Inf)",
        "train_step(...)[0]: 1 of 1 (NaN)",
        "model: every element of 20 leaves (NaN), from model.w[0] to model.w[19]",
        'opt: every element of 3 leaves (Inf), from opt["mu"][0] to opt["mu"][2]',
    ]


def test_of_many_leaves_that_are_bad_in_part_some_are_told():
    leaves = [Reached(f"grads[{i}]", 1, 4, ("nan",)) for i in range(14)]
    assert reached.lines(leaves)[-2:] == [
        "grads[11]: 1 of 4 (NaN)",
        "and 2 more leaves in part",
    ]


STEP = CallFrame(replace(CELL, line=9, function="train_step"))
HERE = CallFrame(
    CELL,
    (
        LocalValue("self", "Block"),
        LocalValue("count", "int", "3"),
        LocalValue("x", "ArrayImpl", array=replace(ZERO, value=""), batch_axes=(0,)),
        LocalValue("var", "ArrayImpl", array=Operand(shape=(), dtype="int32", size=1)),
        LocalValue("var + self.eps", "ArrayImpl", array=ZERO),  # said as an operand
    ),
    ("ct",),
)


def test_the_values_in_the_frame_of_birth_are_in_the_story():
    story = text(replace(BORN, frames=(STEP, HERE)))
    assert (
        "  values here\n"
        "    self is a Block\n"
        "    count is 3\n"
        "    x (float32[8,64], 0 to 2.5, 3 zeros, vmap over axis 0)\n"
        "    var (int32[])\n"
        "    not known: ct\n"
        "  frames\n"
        "    train_step at cell 7, line 9\n"
        "    Block.__call__ at cell 7, line 4\n"
    ) in story
    differentiated = replace(BORN, frames=(HERE,), forward_source=CELL)
    assert "  values here\n    these are of the forward pass\n" in text(differentiated)
    assert "  frames\n" not in text(differentiated)
    why = "the frames inside the call are not known: the call is over, or none of jit"
    assert f"  frames\n    {why}\n" in text(replace(BORN, frames_note=why))
    assert "var (int32[])" in html(replace(BORN, frames=(HERE,)))
