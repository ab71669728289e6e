"""What each supported JAX must offer, by name; and what happens where it does not."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg
import jaxdbg.checks.region
from jaxdbg.compiles import listener as compiles
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals import requirements
from jaxdbg.jax_internals.requirements import (
    CAPABILITIES,
    REQUIREMENTS,
    Private,
    private,
)
from tests import quick

loaded()  # NNX: it declares what is needed of it


def str_of(requirement: Private) -> str:
    return f"{requirement.capability}-{requirement.name}"


def parts(requirement: Private) -> tuple[object, ...]:
    return (*requirement.variables, *requirement.constants)


DUE = [r for r in REQUIREMENTS if r.is_due]


@pytest.mark.parametrize("requirement", DUE, ids=str_of)
def test_the_installed_versions_offer_it(requirement):
    assert not requirement.absent


def test_the_doctor_is_content():
    said = jaxdbg.doctor()
    assert "✓ jitted calls and eager ops are checked" in said
    assert "✗" not in said


@pytest.mark.parametrize(
    ("since", "until", "is_due"),
    [("", "", True), ("99", "", False), ("", "99", True), ("", "0.1", False)],
)
def test_a_name_is_due_in_the_versions_that_have_it(since, until, is_due):
    name = Private("jax._src.core.gone", "search", "it", since=since, until=until)
    assert name.is_due is is_due


def test_an_old_name_and_its_new_one_are_missed_by_no_version(monkeypatch):
    monkeypatch.setattr(requirements, "REQUIREMENTS", [])
    private("jax._src.core.old_name", "search", until="0.9")
    private("jax._src.core.Jaxpr", "search", since="0.9")
    assert not requirements.all_missing()


def test_each_capability_rests_on_something():
    assert {r.capability for r in REQUIREMENTS} == set(CAPABILITIES)


LOADING = """
import jax, jax.numpy as jnp
from jax._src import config
traced = []
@jax.jit
def f(x):
    traced.append(1)
    return x + 1
f(1.0)
before = config.trace_context()
import jaxdbg
with jaxdbg.checked():
    f(1.0)
assert len(traced) == 1, "traced again because jaxdbg was loaded"
assert config.trace_context() == before, "the trace context has changed"
"""


def test_loading_makes_nothing_be_traced_again():
    """jax.extend imports pallas in newer JAX, which would."""
    subprocess.run([sys.executable, "-c", LOADING], check=True)


# -- without any one of them ---------------------------------------------------------


@pytest.fixture
def without(monkeypatch) -> Iterator[Callable[..., None]]:
    """Takes a private name away, or a part of it, as if the version lacked it."""

    def take_away(name: str, part: object = None) -> None:
        for one in REQUIREMENTS:
            if one.name == name and (part is None or part in parts(one)):
                absent = name if part is None else f"{part} in {name}"
                monkeypatch.setitem(requirements._ABSENT, one, absent)
        requirements.forget()

    yield take_away
    monkeypatch.undo()
    requirements.forget()


def test_the_doctor_says_what_is_lost(without):
    without("jax._src.stages.Compiled.__call__")
    assert (
        "✗ AOT-compiled calls are checked\n"
        "    jax._src.stages.Compiled.__call__ is missing: AOT calls are not checked"
    ) in jaxdbg.doctor()


class Norm(nnx.Module):
    def __init__(self):
        self.scale = nnx.Param(jnp.ones(3))

    def __call__(self, x):
        return self.scale[...] * jnp.log(x)


class Model(nnx.Module):
    def __init__(self):
        self.norm = Norm()

    def __call__(self, x):
        return self.norm(x * 2)


@jax.custom_jvp
def _safe(x):
    return x * 2


_safe.defjvps(lambda t, ans, x: t * 2)


def program(model: Model, asserts: bool = True) -> jax.Array:
    """A little of all: NNX, chex, derivatives, vmap, static arguments, AOT, eager ops.

    Arguments:
        asserts: whether a chex assertion runs in it, which needs a region.
    """

    @nnx.jit
    def step(model, x):
        return model(x).sum()

    @jax.jit
    def asserting(x):
        if asserts:
            chex.assert_scalar_positive(x)
        return jax.grad(_safe)(x)

    @functools.partial(jax.jit, static_argnames="times")
    def loop(x, times):
        return jax.lax.scan(lambda c, _: (c * 2, c), x, length=times)[0]

    asserting(jnp.float32(1))
    jax.vmap(loop, in_axes=(0, None))(jnp.ones(2), 3)
    loop(jnp.float32(1), times=4)
    jax.jit(lambda x: x + 1).lower(1.0).compile()(1.0)
    jnp.log(jnp.float32(-1))
    return step(model, -jnp.ones(3))


FALSE_REASONS = (
    "a part of jaxdbg broke",
    "the call is over, or none of jit",
    "traced again it is another program",
    "its arguments are not those of the trace",
)


NAMES = sorted({r.name for r in DUE})
PARTS = sorted({(r.name, part) for r in DUE for part in parts(r)})


def _first_of_its_capability(name):
    capabilities = {r.capability for r in DUE if r.name == name}
    return any(
        name == min(r.name for r in DUE if r.capability == c) for c in capabilities
    )


@pytest.mark.parametrize(
    "name", [quick.row(n, when=_first_of_its_capability(n)) for n in NAMES]
)
def test_without_it_the_program_runs_and_says_what_is_lost(without, name):
    without(name)
    runs_and_says([r for r in DUE if r.name == name])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), PARTS)
def test_without_a_part_of_it_too(without, name, part):
    without(name, part)
    runs_and_says([r for r in DUE if r.name == name and part in parts(r)])


def runs_and_says(lost: list[Private]) -> None:
    doctor = jaxdbg.doctor()
    assert all(f"{r.absent} is missing: {r.lost}" in doctor for r in lost)
    capabilities = {r.capability for r in lost}
    with jaxdbg.checked(record=True) as region:
        assert jnp.isnan(program(Model(), not capabilities & {"chex", "interpose"}))
    report = region.report
    assert {f"{r}." for r in lost} <= set(report.notices)
    for text in (*report.notices, *(f.message for f in report.findings)):
        assert not [reason for reason in FALSE_REASONS if reason in text]
    assert bool(report.findings) == ("interpose" not in capabilities)
    assert bool(report.unchecked) == bool(capabilities & {"interpose", "aot", "chex"})
    births = [f.origin for f in report.findings if f.function == "step"]
    if "modules" in capabilities:
        assert any(r.name in " ".join(births[0].notes) for r in lost)
    elif not capabilities & {"interpose", "search", "libraries"}:
        assert births[0].module == "model.norm"


def test_with_all_of_them_nothing_is_lost():
    with jaxdbg.checked(record=True) as region:
        program(Model())
    assert region.report.notices == ()
    assert [f.function for f in region.report.findings] == ["log", "step"]


# -- parts of jaxdbg that break ------------------------------------------------------


def test_a_part_of_ours_that_breaks_is_reported_as_ours(monkeypatch):
    from jaxdbg.trees import finiteness as finite

    def broken(arrays):
        raise KeyError("a bug of ours")

    monkeypatch.setattr(finite, "suspects", broken)
    with jaxdbg.checked() as region:
        out = jnp.log(np.float32(-1.0))
    assert np.isnan(out)
    (notice,) = region.report.notices
    assert "a part of jaxdbg broke while checking log" in notice
    assert "KeyError: 'a bug of ours'" in notice


@pytest.mark.parametrize("when", ["installing", "removing"])
def test_a_hook_that_breaks_leaves_the_program_alone(monkeypatch, when):
    method = {"installing": "start", "removing": "stop"}[when]
    real = getattr(compiles.Listener, method)

    def broken(listener):
        if when == "removing":
            real(listener)
        raise KeyError("a bug of ours")

    monkeypatch.setattr(compiles.Listener, method, broken)
    with jaxdbg.checked(record=True) as region:
        out = jax.jit(lambda x: x + 1)(1.0)
    assert out == 2.0
    (notice,) = region.report.notices
    assert f"a part of jaxdbg broke while {when} its hooks" in notice
    monkeypatch.undo()
    with jaxdbg.checked() as region:
        jax.jit(lambda x: x + 1)(1.0)
    assert region.report.calls == 1


def test_a_computation_that_fails_late_is_not_ours(monkeypatch):
    def failed(out):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr("jaxdbg.checks.checker._is_there", failed)
    with jaxdbg.checked() as region:
        jax.jit(lambda x: x + 1)(1.0)
    assert region.report.notices == ()


BREAKABLE = [
    ("jaxdbg.checks.checker.plan_of", "a plan"),
    ("jaxdbg.checks.judge.Judge.judged", "a judgement"),
    ("jaxdbg.checks.hub._counted", "a count"),
    ("jaxdbg.checks.session.Session.began", "the counts of phases"),
    ("jaxdbg.checks.session.Session.ended", "the counts of what has ended"),
    ("jaxdbg.compiles.reasons.History.why", "a reason"),
    ("jaxdbg.compiles.signatures.of_trace", "a signature"),
    ("jaxdbg.compiles.signatures.lowered", "a signature of what runs"),
    ("jaxdbg.checks.diagnosis.search", "a search"),
]


@pytest.mark.parametrize("part", [name for name, _ in BREAKABLE])
def test_whatever_breaks_the_program_goes_on(monkeypatch, part):
    def broken(*args, **kwargs):
        raise KeyError("a bug of ours")

    monkeypatch.setattr(part, broken)
    with jaxdbg.checked(record=True) as region:
        out = jax.jit(lambda x: jnp.log(x))(np.float32(-1.0))
    assert np.isnan(out)
    report = region.report
    told = [*report.notices, *(f.message for f in report.findings)]
    assert any("KeyError: 'a bug of ours'" in text for text in told)


@pytest.mark.parametrize(
    "part",
    [
        "checks.calls.call.output_names",
        "checks.diagnosis.bad_of",
        "checks.diagnosis.search",
    ],
)
def test_a_diagnosis_that_breaks_does_not_lose_the_failure(monkeypatch, part):
    def broken(*args, **kwargs):
        raise KeyError("a bug of ours")

    monkeypatch.setattr(f"jaxdbg.{part}", broken)
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        jax.jit(lambda x: jnp.log(x))(np.float32(-1.0))
    assert "<lambda> (call 1 in this region)" in str(caught.value)
