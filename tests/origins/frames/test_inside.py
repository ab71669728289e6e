"""The frames inside a failing call are the user's, and hold what they held."""

from __future__ import annotations

import gc
import json
import pickle
import sys
import weakref
from types import FrameType, TracebackType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.records import Finding, serial
from tests import quick
from tests.programs.frames import PROGRAMS, Inside, logarithm

SLOW = {
    "backward_in_the_second_of_three_equal_layers",
    "module_of_nnx",
    "rematerialised",
    "scan_under_vmap",
    "sharded",
    "tangent_rule",
}


def failed(call: Any, *args: Any) -> jaxdbg.NonFiniteError:
    """What a region raises for a call."""
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked(namespace={}):
        call(*args)
    return raised.value


def frames_below(traceback: TracebackType | None) -> list[FrameType]:
    """The frames of a traceback, from outside in, below those of this file."""
    found = []
    while traceback is not None:
        found.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return [f for f in found if f.f_code.co_filename != __file__]


def value(frame: FrameType, expression: str) -> Any:
    """What an expression is in a frame."""
    return eval(expression, frame.f_globals, dict(frame.f_locals))


def are_those_of(frames: list[FrameType], program: Inside) -> bool:
    names = program.frames.split()
    if sys.version_info >= (3, 12):  # a comprehension has no frame of its own
        names = [n for n in names if n != "<listcomp>"]
    return [f.f_code.co_name for f in frames] == names


@pytest.mark.parametrize(
    "program",
    [quick.row(p, when=p.name not in SLOW, name=p.name) for p in PROGRAMS],
)
def test_a_debugger_stands_in_the_users_frames(program):
    built = program.build()
    error = failed(built.call, *built.args)
    frames = frames_below(error.__traceback__)
    assert are_those_of(frames, program), error.finding.origin.frames_note
    for frame, truth in ((frames[-1], program.here), (frames[0], program.outer)):
        for expression, known in truth.items():
            found = value(frame, expression)
            np.testing.assert_array_equal(np.asarray(found), np.float32(known))
    records = error.finding.frames
    assert [r.source.line for r in records] == [f.f_lineno for f in frames]
    inner = {v.name: v for v in records[-1].values}
    assert {n: inner[n].batch_axes for n in program.axes} == program.axes
    assert set(program.absent) <= set(records[-1].left_out)
    assert not set(program.absent) & set(frames[-1].f_locals)


def test_records_of_frames_go_to_json_and_the_error_to_pickle():
    error = failed(jax.jit(lambda x: jnp.log(x)), jnp.float32(-1))
    (frame,) = error.finding.frames
    (local,) = frame.values
    assert (local.name, local.type) == ("x", "ArrayImpl")
    assert (local.array.value, local.array.dtype) == ("-1", "float32")
    text = json.dumps(serial.plain(error.finding))
    assert serial.record(Finding, json.loads(text)) == error.finding
    assert pickle.loads(pickle.dumps(error)).finding == error.finding


def test_values_that_differ_from_the_search_are_not_believed(monkeypatch):
    from jaxdbg.origins.frames import evaluated

    monkeypatch.setattr(evaluated, "same", lambda *_: False)
    error = failed(jax.jit(lambda x: jnp.log(x)), jnp.float32(-1))
    assert error.finding.frames == ()
    assert "no operation has the operands" in error.finding.origin.frames_note
    assert frames_below(error.__traceback__) == []


def test_values_that_take_too_many_bytes_are_left_out(monkeypatch):
    from jaxdbg.origins.frames import inside

    monkeypatch.setattr(inside, "MOST_BYTES", 100)

    def f(x):
        small, large = x - 1, jnp.tile(x, 100)
        return jnp.log(small) + large.sum()

    (frame,) = failed(jax.jit(f), jnp.zeros(2)).finding.frames
    assert [v.name for v in frame.values] == ["x", "small"]
    assert frame.left_out == ("large",)


def test_what_the_frames_hold_goes_with_the_error():
    error = failed(jax.jit(logarithm), jnp.ones(3) * 0.5)
    (frame,) = frames_below(error.__traceback__)
    held = weakref.ref(frame.f_locals["shifted"])
    assert held() is not None
    del error, frame
    gc.collect()
    assert held() is None


def test_a_function_that_raises_when_it_is_traced_again_is_no_part_that_broke():
    traced = []

    @jax.jit
    def f(x):
        traced.append(x)
        if len(traced) > 2:
            raise ValueError("too often")
        return jnp.log(x)

    error = failed(f, jnp.float32(-1))
    assert error.finding.frames == ()
    assert error.finding.origin.frames_note == (
        "the frames inside the call are not known: "
        "tracing it again failed (ValueError: too often)"
    )
    assert error.report.notices == ()
