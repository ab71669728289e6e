"""A value that a function closed over and that has changed is told, once."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jaxdbg
from jaxdbg.compiles import recorder

SCALE, SHAPE = 2.0, 7
X = np.ones(3, np.float32)


@pytest.fixture(autouse=True)
def recording():
    recorder.start()
    recorder.stale()  # of other tests
    yield
    recorder.stop()


def told() -> list[tuple[str, str, str]]:
    reasons = [r.reason for r in recorder.stale()]
    return [(r.where, r.before, r.after) for r in reasons]


def test_a_closed_over_value_is_told_once():
    scale, name = 2.0, "a"
    f = jax.jit(lambda x: x * scale if name else x)
    f(X)
    assert told() == []
    scale = 3.0
    assert told() == [("scale", "2.0", "3.0")]
    assert told() == []
    scale, name = 4.0, "b"
    assert sorted(told()) == [("name", "'a'", "'b'"), ("scale", "2.0", "4.0")]
    scale, name = 2.0, "a"  # as it was traced: nothing is stale
    assert told() == []


def test_a_global(monkeypatch):
    f = jax.jit(lambda x: x * SCALE + len(x.shape))
    f(X)
    monkeypatch.setitem(globals(), "SHAPE", 8)
    assert told() == []  # `x.shape` is an attribute, not that global
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert told() == [("SCALE", "2.0", "5.0")]


def test_another_trace_reads_anew():
    scale = 2.0
    f = jax.jit(lambda x: x * scale)
    f(X)
    scale = 3.0
    f(np.ones(4, np.float32))
    assert told() == []


def test_a_function_that_is_gone_is_forgotten():
    scale = 2.0
    jax.jit(lambda x: x * scale)(X)
    scale = 3.0
    assert told() == []
    assert scale == 3.0


def test_a_region_says_so():
    scale = 2.0

    @jax.jit
    def f(x):
        return x * scale

    with jaxdbg.checked() as region:
        f(X)
        scale = 3.0
        f(X)
    (remark,) = region.report.remarks
    assert str(remark) == (
        "f was traced with scale = 2.0, which is 3.0 now: the compiled program still "
        "uses 2.0. Pass scale as an argument."
    )
    assert str(remark) in str(region.report)
    assert jaxdbg.Report.from_json(region.report.to_json()) == region.report


def test_a_body_that_was_replaced_is_told_once() -> None:
    def plus(x):
        return x + 1

    f = jax.jit(plus)
    f(X)
    assert told() == []
    plus.__code__ = (lambda x: x + 100).__code__
    assert f(X)[0] == 2  # JAX does not look at it
    (remark,) = recorder.stale()
    assert str(remark) == (
        "plus was traced before its body was replaced: the compiled program still runs "
        "the old one. jax.clear_caches() makes JAX trace the new body."
    )
    assert recorder.stale() == ()
    jax.clear_caches()
    assert f(X)[0] == 101
    assert recorder.stale() == ()


def test_a_region_tells_of_a_body_that_was_replaced() -> None:
    def plus(x):
        return x + 1

    f = jax.jit(plus)
    f(X)
    plus.__code__ = (lambda x: x + 100).__code__
    with jaxdbg.checked() as region:
        f(X)
    assert [r.reason.cause for r in region.report.remarks] == ["replaced body"]
