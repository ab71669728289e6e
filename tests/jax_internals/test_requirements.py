"""What each supported JAX must offer, by name; and what happens where it does not."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.compiles import listener as compiles
from jaxdbg.jax_internals import doctor as installation, names as _compat

NEEDED = {
    "jax._src.pjit._pjit_call_impl_python",
    "jax._src.pjit._pjit_call_impl",
    "jax._src.config.bool_state",
    "jax._src.stages.Compiled.__call__",
    "jax._src.util.test_event_listener",
    "jax._src.pjit._trace_for_jit",
    "jax._src.pjit._pjit_lower",
    "jax._src.config.trace_context",
    "jax._src.config.config_states",
    "jax._src.traceback_util.register_exclusion",
    "jax._src.checkify.error_checks",
    "jax._src.interpreters.partial_eval.trace_to_jaxpr.evict_weakref",
    "jax._src.interpreters.batching.fancy_primitive_batchers",
    "chex._src.asserts_internal.CHEXIFY_STORAGE",
    "chex._src.asserts_internal.TRACE_COUNTER",
    "jax._src.source_info_util.raw_frame_to_frame",
    "jax._src.config.hlo_source_file_canonicalization_regex",
    "jax._src.source_info_util._source_info_context",
    "jax._src.source_info_util.user_context",
}


def test_the_table_names_what_is_needed():
    assert {r.name for r in _compat.REQUIREMENTS} == NEEDED


@pytest.mark.parametrize("requirement", _compat.REQUIREMENTS, ids=lambda r: r.name)
def test_the_installed_versions_offer_it(requirement):
    assert requirement.found()


def test_codes_are_found():
    assert len(_compat.jit_trace_codes()) == 1
    assert len(_compat.calling_codes()) == 1


def test_the_doctor_is_content():
    told = jaxdbg.doctor()
    assert "✓ jitted calls and eager ops are checked" in told
    assert "✗" not in told


def test_the_doctor_looks_at_all_that_is_needed():
    assert set(installation._CAPABILITIES) == {
        r.capability for r in _compat.REQUIREMENTS
    }


def lacking(monkeypatch, capability):
    real = _compat.missing
    monkeypatch.setattr(
        _compat,
        "REQUIREMENTS",
        tuple(
            _compat.Requirement(r.capability, f"{r.name}_gone", r.lost)
            if r.capability == capability
            else r
            for r in _compat.REQUIREMENTS
        ),
    )
    assert real(capability)


def test_the_doctor_says_what_is_lost(monkeypatch):
    lacking(monkeypatch, "aot")
    assert (
        "✗ AOT-compiled calls are checked\n"
        "    jax._src.stages.Compiled.__call___gone is missing: AOT calls are not "
        "checked"
    ) in jaxdbg.doctor()


@pytest.mark.parametrize(
    "capability", ["interpose", "aot", "counts", "chex", "origin", "modules"]
)
def test_without_a_capability_the_program_runs_and_says_so(monkeypatch, capability):
    lacking(monkeypatch, capability)
    with jaxdbg.checked(record=True) as region:
        out = jnp.log(jnp.asarray(-1.0))
    assert np.isnan(out)
    assert any("_gone" in notice for notice in region.report.notices)
    assert region.report.ok == (capability == "interpose")


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

    monkeypatch.setattr("jaxdbg.checks.checker._wait", failed)
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
