"""Where ✓ does not stand: each way in which a call is not checked, and the report."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.checks import checker, diagnosis, hub, judge
from jaxdbg.compiles import listener, reasons
from jaxdbg.compiles.recorder import Recorder, forget
from jaxdbg.origins.search.time_limit import OutOfTime
from jaxdbg.records import Report

GOOD, BAD = np.array([1.0, 2.0], np.float32), np.array([1.0, np.nan], np.float32)


@jax.jit
def double(x: jax.Array) -> jax.Array:
    return x * 2


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("a bug")


def unchecked(report: Report | None) -> dict[str, int]:
    assert report is not None
    assert not report.ok
    assert not str(report).startswith("✓")
    return dict(report.unchecked)


def test_the_quiet_line_counts_them() -> None:
    some = Report(calls=6, unchecked={"interrupted": 1, "a part of jaxdbg broke": 2})
    assert str(some).startswith(
        "! 3 of 6 calls were not checked: a part of jaxdbg broke (2), interrupted (1) ·"
    )
    one = Report(calls=1, eager_ops=1, unchecked={"interrupted": 1})
    assert str(one).startswith("! 1 of 2 calls was not checked: interrupted ·")
    unknown = Report(calls=6, unchecked={"interrupted": 0})
    assert str(unknown).startswith("! not everything was checked: interrupted ·")
    assert Report.from_json(some.to_json()) == some


@pytest.mark.parametrize(
    ("module", "part"), [(checker, "plan_of"), (hub, "function_called")]
)
def test_a_part_that_breaks(
    monkeypatch: pytest.MonkeyPatch, module: object, part: str
) -> None:
    with jaxdbg.checked() as region:
        double(GOOD)
        with monkeypatch.context() as patch:
            patch.setattr(module, part, broken)
            assert double(GOOD).tolist() == [2, 4]
    assert unchecked(region.report) == {"a part of jaxdbg broke": 1}
    assert region.report.calls == 2
    assert str(region.report).startswith("! 1 of 2 calls was not checked: a part of ")


@pytest.mark.parametrize(
    ("owner", "part"),
    [
        (listener, "read_jit_trace"),
        (listener, "read_stack"),
        (listener.Listener, "_close"),
        (Recorder, "began"),
        (Recorder, "ended"),
        (reasons.History, "remember"),
    ],
)
def test_a_part_that_breaks_while_traces_are_counted(
    monkeypatch: pytest.MonkeyPatch, owner: object, part: str
) -> None:
    with jaxdbg.checked(max_traces=1) as region:
        with monkeypatch.context() as patch:
            patch.setattr(owner, part, broken)
            assert jax.jit(lambda x: x * 3)(GOOD).tolist() == [3, 6]
        assert double(GOOD).tolist() == [2, 4]
    assert unchecked(region.report) == {"a part of jaxdbg broke": 0}
    assert region.report.calls == 2
    forget()


def test_a_part_that_breaks_ahead_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = double.lower(GOOD).compile()
    with jaxdbg.checked() as region:
        for module, part in ((hub, "executable_name"), (judge.Judge, "opaque")):
            with monkeypatch.context() as patch:
                patch.setattr(module, part, broken)
                assert compiled(GOOD).tolist() == [2, 4]
    assert unchecked(region.report) == {"a part of jaxdbg broke": 2}


def test_the_hooks_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "all_missing", broken)
    with jaxdbg.checked() as region:
        double(GOOD)
    assert unchecked(region.report) == {"a part of jaxdbg broke": 0}


def test_bad_inputs_that_are_donated_and_lost() -> None:
    step = functools.partial(jax.jit, donate_argnums=0)(lambda x: x * 2)
    with jaxdbg.checked(keep_donation=True) as region:
        step(jnp.array(BAD))
        step(jnp.array(GOOD))
    ((why, calls),) = unchecked(region.report).items()
    assert calls == 1
    assert why.endswith("what the call was given is gone")


def test_a_search_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bad inputs: whether they spread is not known, in the later calls too."""

    def slow(*_: object) -> None:
        raise OutOfTime("the search took longer than 60 s")

    monkeypatch.setattr(diagnosis, "search", slow)
    step = jax.jit(lambda x: x + 2)
    with jaxdbg.checked() as region:
        step(BAD)
        step(BAD)
        step(GOOD)
    ((why, calls),) = unchecked(region.report).items()
    assert calls == 2
    assert why.endswith("the search took longer than 60 s")


def test_an_opaque_call_with_bad_inputs() -> None:
    compiled = double.lower(GOOD).compile()
    with jaxdbg.checked() as region:
        compiled(BAD)
    ((why, calls),) = unchecked(region.report).items()
    assert calls == 1
    assert why.endswith("it was compiled ahead of time")


def test_a_call_that_fails_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU raises at the call; a result that is an error takes an accelerator."""
    monkeypatch.setattr(checker, "_wait", lambda _: False)
    with jaxdbg.checked() as region:
        double(GOOD)
    assert unchecked(region.report) == {checker.FAILED: 1}


def test_an_interrupt_between_calls() -> None:
    with pytest.raises(KeyboardInterrupt), jaxdbg.checked() as region:
        double(GOOD)
        raise KeyboardInterrupt
    assert unchecked(region.report) == {"interrupted": 0}


def test_what_async_has_left_at_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "_ready", lambda _: False)
    with pytest.raises(KeyboardInterrupt), jaxdbg.checked(async_=True) as region:
        double(GOOD)
        raise KeyboardInterrupt
    why = unchecked(region.report)
    assert why == {checker.PENDING: 1, checker.INTERRUPTED: 0}


def test_an_interrupt_while_a_call_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checker, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt), jaxdbg.checked() as region:
        double(GOOD)
    assert unchecked(region.report) == {"interrupted": 1}
