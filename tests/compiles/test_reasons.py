"""Calls are compared with the right earlier one, and all that differs is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdbg.compiles import listener, reasons, recorder
from jaxdbg.compiles.signatures import Signature
from jaxdbg.jax_internals.array_types import Leaf
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.identities import Identity
from jaxdbg.jax_internals.stack import Stack
from jaxdbg.records import Reason
from jaxdbg.records.retrace_causes import CAUSES

COMPILES = sorted(Path(reasons.__file__).parent.glob("*.py"))

F = Function("f", "somewhere.py:1")


def call(**shapes: tuple[int, ...]) -> Signature:
    return Signature(F, leaves={n: Leaf(shape, "f32") for n, shape in shapes.items()})


def test_the_call_that_differs_least():
    earlier = [call(x=(3,), y=(3,)), call(x=(4,), y=(4,))]
    reason = reasons.explain(call(x=(3,), y=(5,)), earlier)
    assert (reason.where, reason.before, reason.after) == ("y", "f32[3]", "f32[5]")
    assert reason.others == ()


def test_of_those_alike_the_last():
    earlier = [call(x=(n,)) for n in (9, 5, 7)]
    reason = reasons.explain(call(x=(8,)), earlier)
    assert (reason.before, reason.after) == ("f32[7]", "f32[8]")


def test_many_that_read_the_same_are_one():
    names = [f"w{i}" for i in range(6)]
    before, now = (call(**dict.fromkeys(names, s)) for s in ((3, 3), (3, 4)))
    reason = reasons.explain(now, [before])
    assert (reason.where, reason.after) == ("w0 and 5 more", "f32[3,4]")
    assert reason.others == ()


def test_a_partial_batch_is_only_that():
    full = call(x=(32, 8), y=(32,))
    assert reasons.explain(call(x=(17, 8), y=(17,)), [full]).cause == "partial batch"
    assert reasons.explain(call(x=(17, 8), y=(16,)), [full]).cause == "shape"
    assert reasons.explain(call(x=(17, 9), y=(17,)), [full]).cause == "shape"
    assert reasons.explain(call(x=(40, 8), y=(40,)), [full]).cause == "shape"


def test_a_smaller_batch_of_another_line_is_no_last_one():
    full = replace(call(x=(32, 8)), line=("train.py", 3))
    other = replace(call(x=(1, 8)), line=("train.py", 9))
    reason = reasons.explain(other, [full])
    assert (reason.cause, reason.note) == ("shape", "")
    other = replace(other, line=full.line)
    assert reasons.explain(other, [full]).note == "possibly the last partial batch"


def test_nothing_known_is_said_to_be_unknown():
    before, now = replace(call(x=(3,)), exact=False), call(x=(3,))
    reason = reasons.explain(now, [before])
    assert reason == Reason(
        "unknown", note="no argument of it is known to have changed"
    )


def test_history_is_bounded(monkeypatch):
    monkeypatch.setattr(reasons, "MAX_WEIGHT", 100)
    history = reasons.History()
    for i in range(200):
        leaves = {f"x{j}": Leaf((j,), "f32") for j in range(9)}
        signature = Signature(Function(f"f{i}", "somewhere.py:1"), leaves=leaves)
        around = Stack()
        history.remember(listener.Phase("trace", signature, around, None))
    assert len(history._calls) == 10
    assert history._weight == 100


def test_an_object_that_took_the_address_of_another_is_another():
    class Thing:
        pass

    first = Thing()
    known = Identity(first)
    assert known.same(Identity(first))
    del first
    assert not known.same(Identity(Thing()))
    assert not known.same(known)  # it is gone: nothing is the same as it


def test_each_cause_that_is_detected_is_in_the_table() -> None:
    assert [c for f in COMPILES for c in causes(f.read_text()) if c not in CAUSES] == []


def test_a_cause_that_is_not_in_the_table_is_found() -> None:
    source = (
        'yield CallDifference("shape", x)\nreplace(d, cause="slow")\nReason("late")'
    )
    assert [cause for cause in causes(source) if cause not in CAUSES] == [
        "slow",
        "late",
    ]


def causes(source: str) -> list[str]:
    """The causes that a module writes as text."""
    pattern = r'(?:CallDifference|Reason|_between)\(\s*"([^"]+)"|\bcause="([^"]+)"'
    return [a or b for a, b in re.findall(pattern, source)]


@pytest.fixture
def recording() -> Iterator[int]:
    recorder.start()
    yield recorder.position()
    recorder.stop()


def test_a_recompilation_without_a_retrace_is_one(recording: int) -> None:
    f = jax.jit(lambda x: x + 1)
    x = np.ones(3, np.float32)
    f(x)
    f(jax.device_put(x, jax.devices()[1]))
    events = [e for e in recorder.events(recording) if e.user]
    phases = [e.phase for e in events]
    assert phases == ["trace", "lower", "compile", "lower", "compile"]
    told = {(e.reason.cause, e.reason.after) for e in events[3:] if e.reason}
    assert told == {("committed", "on cpu:1")}
