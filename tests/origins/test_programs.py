"""Programs whose truth is known: the origin says it; what is benign stays silent."""

from __future__ import annotations

import ast
import builtins
import traceback
from collections.abc import Sequence
from types import CodeType, FrameType

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks import diagnosis
from jaxdbg.origins.found import Birth
from jaxdbg.origins.frames.evaluated import same
from jaxdbg.origins.location import source_lines
from jaxdbg.records import SourceFrame
from tests import quick
from tests.programs import advised, fields, origins
from tests.programs.masks import MASKS
from tests.programs.origins import Program
from tests.programs.spreads import SPREADS

PROGRAMS = [*origins.PROGRAMS, *fields.PROGRAMS, *advised.PROGRAMS]
BENIGN = [*origins.BENIGN, *fields.BENIGN, *advised.BENIGN]


def failure_of(program: Program) -> jaxdbg.NonFiniteError:
    """What a region raises for a program."""
    # An underscore: else the arrays' names would be ways through this variable.
    _built = program.build()
    with (
        pytest.raises(jaxdbg.NonFiniteError) as raised,
        jaxdbg.checked(namespace=_built.names),
    ):
        _built.call(*_built.args)
    return raised.value


LARGE = [
    "attention_in_float16",
    "attention_of_flax",
    "backward_in_a_block",
    "batch_norm_without_eps",
    "cast_to_float8",
    "layer_norm_without_eps",
    "model_that_was_bad_before",
    "nested_modules",
    "recurrent_cell",
    "remat_of_blocks",
    "training_of_twelve_blocks",
]
"""Programs that take more than a second; `one_of_twelve_blocks` and `scan_over_layers`
have what these have."""


def each(programs: Sequence[Program]) -> pytest.MarkDecorator:
    """Runs a test for each of some programs."""
    rows = [quick.row(p, when=p.name not in LARGE, name=p.name) for p in programs]
    return pytest.mark.parametrize("program", rows)


@each(PROGRAMS)
def test_the_origin_is_the_true_one(program, births):
    failure = failure_of(program)
    origin = failure.finding.origin
    assert origin.verdict in program.verdict
    said = f"{origin.cause}: {origin.advice}"
    assert program.judged(origin.cause, origin.advice) == "right", said
    if program.verdict == "came in":
        assert origin.argument == program.argument
        return
    assert origin.source.line == program.line()
    assert origin.source.file == program.file
    assert "# <- origin" in origin.source.code
    assert not program.primitive or origin.primitive in program.primitive
    assert origin.module == program.module
    assert origin.direction
    assert origin.direction in program.direction
    if program.loop is not None:
        assert origin.loop == program.loop
    if program.forward:
        assert origin.forward_source.line == program.line(program.forward)
    if origin.verdict == "born":
        assert_stands_at_the_birth(failure, births[-1])


@pytest.fixture
def births(monkeypatch):
    """The births whose frames a diagnosis has asked for."""
    found, plain = [], diagnosis.frames_inside

    def noting(birth, *args):
        found.append(birth)
        return plain(birth, *args)

    monkeypatch.setattr(diagnosis, "frames_inside", noting)
    return found


def assert_stands_at_the_birth(failure: jaxdbg.NonFiniteError, birth: Birth) -> None:
    """In the frame of the traceback the operands are as the search has found them."""
    origin = failure.finding.origin
    assert origin.frames, origin.frames_note
    frame = innermost(failure)
    source = origin.source
    if source.function != origin.frames[-1].source.function:
        source = origin.forward_source
    assert (frame.f_code.co_filename, frame.f_lineno) == (source.file, source.line)
    assert origin.frames[-1].source == source
    on_line = names_in(source, frame.f_code)
    assert on_line <= {*frame.f_locals, *frame.f_globals, *dir(builtins)}
    for operand, value in zip(origin.operands, birth.operands, strict=False):
        is_written = operand.name and operand.name in source.code
        if not is_written or origin.direction == "backward":
            continue
        there = eval(operand.name, frame.f_globals, dict(frame.f_locals))
        # As the operation takes it: of its type, broadcast.
        there = jnp.broadcast_to(jnp.asarray(there, value.dtype), value.shape)
        if "(" in operand.name:  # XLA's functions are not NumPy's
            assert jnp.allclose(there, value, rtol=1e-5, atol=0, equal_nan=True)
        else:
            assert same(there, value)


def innermost(error: BaseException) -> FrameType:
    """The innermost frame of a traceback."""
    return list(traceback.walk_tb(error.__traceback__))[-1][0]


def names_in(source: SourceFrame, code: CodeType) -> set[str]:
    """The variables of a frame that its expression names."""
    text = source_lines.expression_text(source)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return set()
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return names & {*code.co_names, *code.co_varnames, *code.co_freevars}


def test_a_wrong_cause_is_not_right():
    program = Program(lambda: None, cause="log of 0", advice="above 0")
    assert program.judged("log of 0", "") == "right"
    assert program.judged("another name", "keep it above 0") == "right"
    assert program.judged("division by zero", "add an eps") == "wrong"
    assert program.judged(None, "") == "none"
    assert Program(lambda: None).judged(None, "") == "right"
    assert Program(lambda: None).judged("log of 0", "") == "wrong"


@each(BENIGN)
def test_what_is_benign_stays_silent(program):
    _built = program.build()
    with jaxdbg.checked(namespace=_built.names) as region:
        _built.call(*_built.args)
        _built.call(*_built.args)
    assert region.report.findings == ()


@pytest.mark.parametrize("row", SPREADS, ids=lambda row: row.name)
def test_what_is_placed_and_spreads_is_a_failure(row):
    _built = row.build(False)
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked(namespace={}):
        _built.call(*_built.args)
    origin = raised.value.finding.origin
    assert (origin.verdict, origin.kind) == (row.verdict, row.kind)
    assert "# <- origin" in origin.source.code
    _twin = row.build(True)
    with jaxdbg.checked(namespace={}) as region:
        _twin.call(*_twin.args)
    assert region.report.findings == ()
    assert region.report.ok


@pytest.mark.parametrize("row", MASKS, ids=lambda row: row[0].__name__)
def test_what_is_placed_and_masked_stays_silent(row):
    function, args = row
    with jaxdbg.checked() as region:
        jax.jit(function)(*args)
    assert region.report.findings == ()
    assert region.report.ok


def test_what_is_placed_says_how_to_leave_it_out():
    _built = SPREADS[0].build(False)
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        _built.call(*_built.args)
    lines = str(raised.value).splitlines()
    assert lines[2].startswith(
        "  NaN was placed by a literal or a constant in `x.std(0, ddof=1)` at "
    )
    assert lines[2].endswith(", and spread")
    assert "  cause: a variance of too few elements: n - ddof is 0" in lines


def test_there_are_enough_of_them():
    assert len(PROGRAMS) >= 40
    assert len(BENIGN) >= 10
    assert len({p.name for p in PROGRAMS + BENIGN}) == len(PROGRAMS) + len(BENIGN)


class Block(nnx.Module):
    """Goes wrong forward where its scale is 0, and backward where its root is."""

    def __init__(self, rngs):
        self.ln1 = nnx.LayerNorm(4, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(4))
        self.root = nnx.Param(jnp.ones(4))

    def __call__(self, x):
        x = self.ln1(x) / self.scale[...]  # <- forward
        return x + jnp.sqrt(self.root[...])  # <- backward


class Twelve(nnx.Module):
    def __init__(self, rngs):
        self.blocks = nnx.List([Block(rngs) for _ in range(12)])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_path_follows_the_broken_one_of_twelve_equal_blocks(direction):
    model = Twelve(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def train_step(model, optimizer, x):
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    x = jnp.linspace(-1, 1, 12).reshape(3, 4)
    train_step(model, optimizer, x)  # traced before any region
    for broken in (7, 0, 11):
        block = model.blocks[broken]
        parameter = block.scale if direction == "forward" else block.root
        good = parameter[...]
        parameter[...] = jnp.zeros(4)
        with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
            train_step(model, optimizer, x)
        origin = raised.value.finding.origin
        assert origin.module == f"model.blocks[{broken}]"
        assert origin.direction == direction
        assert f"# <- {direction}" in origin.source.code
        parameter[...] = good
