"""When the calls of a region ran: what is kept, and what a region notes."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import pytest

import jaxdbg
from jaxdbg.checks.calls.call_times import MOST, CallLog
from jaxdbg.records import Report
from jaxdbg.views.panel.data import panel_data


def test_calls_lie_as_they_ran() -> None:
    log = CallLog()
    log.add("f", 1, 0.5, 0.25)
    log.add("g", 1, 1.0, 0.125)
    log.add("f", 2, 1.5, 0.0625)
    times = log.frozen()
    assert times.functions == ("f", "g")
    assert times.which == (0, 1, 0)
    assert times.numbers == (1, 1, 2)
    assert times.starts == (0.5, 1.0, 1.5)
    assert times.seconds == (0.25, 0.125, 0.0625)
    assert times.share == 1


def test_of_many_calls_the_slow_ones_stay() -> None:
    log = CallLog()
    for i in range(50 * MOST):
        log.add("f", i + 1, i / 100, 0.5 if i in (7, 33_333) else 0.001)
    times = log.frozen()
    assert len(times) <= MOST
    assert times.share == 64
    slow = [n for n, s in zip(times.numbers, times.seconds, strict=True) if s == 0.5]
    assert slow == [8, 33_334]
    assert list(times.starts) == sorted(times.starts)
    assert times.numbers[-1] > 50 * MOST - 64  # to the very end


def test_the_call_that_failed_stays_however_quick_it_was() -> None:
    log = CallLog()
    for i in range(5000):
        log.add("f", i + 1, float(i), 0.5)
    log.add("f", 5001, 5000.0, 0.001)
    log.failed("f", 5001)
    log.failed("g", 1)  # not the last one
    times = log.frozen()
    assert times.numbers[-1] == 5001
    assert list(times.starts) == sorted(times.starts)


def test_a_region_notes_its_calls_and_not_the_search_for_an_origin() -> None:
    @jax.jit
    def f(x: jax.Array) -> jax.Array:
        return jnp.log(x)

    with pytest.raises(FloatingPointError), jaxdbg.checked() as region:
        f(jnp.ones(3))
        time.sleep(0.05)
        f(-jnp.ones(3))
    report = region.report
    times = report.call_times
    assert times.functions == ("f",)
    assert times.numbers == (1, 2)
    first, second = times.starts
    assert 0 <= first < second - 0.05 < report.seconds
    # The second call neither traces nor compiles, and what it was searched for is ours.
    assert times.seconds[1] < times.seconds[0]
    assert second + times.seconds[1] < report.findings[0].time - report.began
    assert Report.from_json(report.to_json()).call_times == times


def test_async_calls_are_noted_once() -> None:
    @jax.jit
    def g(x: jax.Array) -> jax.Array:
        return x + 1

    with jaxdbg.checked(async_=True) as region:
        for _ in range(3):
            g(jnp.ones(3))
    assert region.report.call_times.numbers == (1, 2, 3)


def test_the_timeline_of_a_whole_session() -> None:
    @jax.jit
    def h(x: jax.Array) -> jax.Array:
        return x * 2

    with jaxdbg.checked() as region:
        h(jnp.ones(3))
    every = jaxdbg.Compilations(region.report.compilations, "since then")
    told = panel_data(None, (), "compilations", every)["timeline"]
    assert told["headline"].startswith(every.text().split("\n")[0][:20])
    assert "since then" in told["headline"]
    (cell,) = told["cells"]
    last = region.report.compilations[-1]
    assert cell["start"] == region.report.compilations[0].start
    assert cell["end"] >= last.start + last.duration
    assert told["calls"]["length"] == 0
