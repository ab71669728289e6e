"""Programs whose place is hard to say: the origin has it; what is fine is silent."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.experimental import pallas as pl

import jaxdbg
from jaxdbg.origins.search import compiled, evaluations
from tests.programs.places import PLACES, QUIET, Place


def by_name(place: Place) -> str:
    return place.name


def finding_of(place: Place):
    _built = place.build()
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked(namespace={}):
        _built.call(*_built.args)
    return raised.value.finding


def skip_if_compiled_otherwise(place: Place) -> None:
    if not place.compiled:
        return
    built = place.build()
    result = float(built.call(*built.args))
    kind = "finite" if math.isfinite(result) else str(result)
    if kind != place.compiled:
        pytest.skip(f"this version of XLA makes it {kind}")


@pytest.mark.parametrize("place", PLACES, ids=by_name)
def test_the_place_is_the_true_one(place):
    skip_if_compiled_otherwise(place)
    finding = finding_of(place)
    origin = finding.origin
    assert origin.argument == place.argument
    if not place.argument:
        assert origin.verdict == "born"
        assert origin.source.line == place.line()
        assert origin.source.file == PLACES[0].build.__code__.co_filename
        assert origin.direction == place.direction
        assert origin.loop == place.loop
    if place.kind:
        assert origin.kind == place.kind
    if place.expression is not None:
        assert origin.expression == place.expression
    if place.rows is not None:
        assert origin.rows == place.rows
    assert origin.candidate == place.candidate
    assert [o.source.line for o in origin.others] == [*map(place.line, place.others)]
    if place.paths is not None:
        assert finding.paths == place.paths
    if place.function:
        assert finding.function == place.function
    assert "module" not in "".join(origin.notes)


@pytest.mark.parametrize("place", QUIET, ids=by_name)
def test_what_is_fine_stays_silent(place):
    skip_if_compiled_otherwise(place)
    _built = place.build()
    with jaxdbg.checked(namespace={}) as region:
        _built.call(*_built.args)
    assert region.report.findings == ()


def test_what_cannot_be_proved_is_a_candidate(monkeypatch):
    """Without the compiled program's own values, of which there are too many."""
    monkeypatch.setattr(compiled, "MAX_EQUATIONS", 0)
    place = next(p for p in PLACES if p.name.startswith("likelihood"))
    skip_if_compiled_otherwise(place)
    finding = finding_of(place)
    origin = finding.origin
    assert (origin.candidate, origin.likely, origin.kind) == (True, True, "inf")
    assert origin.source.line == place.line()
    said = "a candidate, not certain: Inf was born in `error / sigma` at "
    assert said in finding.message
    assert "likely cause: " in finding.message
    assert "the compiled program gave Inf where" in origin.notes[0]


def test_a_look_at_the_compiled_program_that_breaks_is_reported(monkeypatch):
    def breaks(*_):
        raise LookupError("broken")

    monkeypatch.setattr(evaluations, "intermediate_results", breaks)
    place = next(p for p in PLACES if p.name.startswith("likelihood"))
    skip_if_compiled_otherwise(place)
    built = place.build()
    with jaxdbg.checked(record=True, namespace={}) as region:
        built.call(*built.args)
    (notice,) = region.report.notices
    assert "looking at intermediate results of the compiled program" in notice
    assert "LookupError" in notice
    assert region.report.findings[0].origin.candidate


def test_the_values_of_the_compiled_program_are_a_proof():
    place = next(p for p in PLACES if p.name.startswith("likelihood"))
    skip_if_compiled_otherwise(place)
    origin = finding_of(place).origin
    assert origin.operands[1].value == "0"
    assert origin.notes == (
        "these are the values of the compiled program; run one by one, its operations "
        "give others",
    )


def test_further_births_are_listed_with_their_places():
    place = next(p for p in PLACES if p.name.startswith("three_births"))
    finding = finding_of(place)
    message = " ".join(finding.message.split())
    lines = [place.line(mark) for mark in place.others]
    file = finding.origin.source.file
    assert (
        f"2 more births: NaN in `y.sum() / (y > 9).sum()` at {file}:{lines[0]}; "
        f"NaN in `jnp.arccos` at {file}:{lines[1]}"
    ) in message.replace("Inf in `y", "NaN in `y")
    assert "more births" in str(finding.origin)


def test_a_step_of_a_grid():
    def kernel(x_ref, out_ref):
        out_ref[...] = jnp.log(x_ref[...])

    @jax.jit
    def f(x):
        row = pl.BlockSpec((1, 2), lambda i: (i, 0))
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        call = pl.pallas_call(
            kernel, shape, grid=(3,), in_specs=[row], out_specs=row, interpret=True
        )
        return call(x)

    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        f(jnp.ones((3, 2)).at[1, 0].set(-1))
    assert raised.value.finding.origin.loop == (("grid", 1, 3),)


@pytest.mark.parametrize("modules", [False, True])
def test_that_a_module_is_not_known_is_said_where_there_are_modules(modules):
    """A trace that cannot be repeated: the function draws a number of its own."""
    numbers = itertools.count()

    def f(model, x):
        for _ in range(next(numbers)):
            x = x + 1
        return jnp.log(x * (model.kernel[0, 0] if modules else model["w"]))

    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0)) if modules else {"w": 1.0}
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        nnx.jit(f)(model, -jnp.ones(2)) if modules else jax.jit(f)(model, -jnp.ones(2))
    assert (
        any("module" in note for note in raised.value.finding.origin.notes) == modules
    )


def test_a_birth_without_a_line_of_the_users_is_no_further_birth_of_itself():
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        jax.jit(jnp.vectorize(jnp.log))(-jnp.ones(2))
    assert raised.value.finding.origin.source is None
    assert raised.value.finding.origin.others == ()
