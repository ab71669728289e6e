"""The log of a process: what it holds, and that it disturbs nobody."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import util

import jaxdbg
from jaxdbg.compiles import listener, recorder, signatures
from jaxdbg.jax_internals.array_types import Leaf
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.stack import Stack
from jaxdbg.records import CompileEvent
from jaxdbg.records.costs import costs, repeats
from tests import leaks


@pytest.fixture
def log():
    """Records during a test; gives what the user's functions did since it began."""
    recorder.recorder().forget()  # what other tests of this process have left
    recorder.start()
    since = recorder.position()
    yield lambda: tuple(e for e in recorder.events(since) if e.user)
    recorder.stop()


def phases(events: tuple[CompileEvent, ...]) -> list[tuple[str, str]]:
    return [(e.function, e.phase) for e in events]


def test_each_phase_of_a_call(log):
    @jax.jit
    def step(x):
        return x + 1

    x = np.ones((8, 4), np.float32)
    step(x)
    step(x)
    trace, lower, compile_ = log()
    assert phases(log()) == [
        ("step", "trace"),
        ("step", "lower"),
        ("step", "compile"),
    ]
    for event in log():
        assert event.duration > 0
        assert event.self_time == event.duration
        assert event.parent == -1
        assert event.thread == threading.current_thread().name
        assert event.defined.startswith(__file__)
        assert event.source.file == __file__
        assert event.source.code == "step(x)"
        assert dict(event.signature) == {"x": "f32[8,4]"}
        assert (event.reason, event.cell, event.cache) == (None, None, "off")
    assert trace.start <= lower.start <= compile_.start


def test_an_inner_function_is_nested(log):
    @jax.jit
    def inner(x):
        return x * 2

    @jax.jit
    def outer(x):
        return inner(x) + 1

    outer(1.0)
    first, second, *rest = log()
    assert phases((first, second)) == [("outer", "trace"), ("inner", "trace")]
    assert (first.parent, second.parent) == (-1, 0)
    assert first.self_time == pytest.approx(first.duration - second.duration)
    assert phases(tuple(rest)) == [("outer", "lower"), ("outer", "compile")]


def test_forward_and_backward(log):
    @jax.jit
    def f(x):
        return (x**2).sum()

    jax.grad(f)(np.ones(3, np.float32))
    assert [(e.phase, e.role) for e in log()] == [
        ("trace", ""),
        ("lower", "forward"),
        ("compile", "forward"),
        ("lower", "backward"),
        ("compile", "backward"),
    ]
    assert all(e.reason is None for e in log())


def test_ahead_of_time(log):
    @jax.jit
    def f(x):
        return x + 1

    lowered = f.lower(np.ones(3, np.float32))
    lowered.compile()
    assert phases(log()) == [("f", "trace"), ("f", "lower"), ("f", "compile")]
    assert all(dict(e.signature) == {"x": "f32[3]"} for e in log())


def test_a_worker_thread(log):
    f = jax.jit(lambda x: x + 1)
    thread = threading.Thread(target=f, args=(1.0,), name="a worker")
    thread.start()
    thread.join()
    assert {e.thread for e in log()} == {"a worker"}


def test_a_trace_that_raises(log):
    @jax.jit
    def f(x):
        raise ValueError("the user's own")

    for _ in range(2):
        with pytest.raises(ValueError, match="the user's own"):
            f(1.0)
    first, second = log()
    assert first.failed
    assert second.failed
    assert first.reason is None
    assert second.reason.cause == "failed before"


def test_an_error_in_an_except_block_is_not_a_failure(log):
    f = jax.jit(lambda x: x + 1)
    try:
        raise ValueError
    except ValueError:
        f(1.0)
    assert not any(e.failed for e in log())


def test_a_region_records_without_the_extension():
    assert not recorder.recorder().is_on
    f = jax.jit(lambda x: x + 1)
    with jaxdbg.checked() as region:
        f(np.ones(3, np.float32))
    assert not recorder.recorder().is_on
    assert [e.phase for e in region.report.compilations if e.user] == [
        "trace",
        "lower",
        "compile",
    ]


def test_a_region_takes_its_own_part(log):
    f = jax.jit(lambda x: x + 1)
    f(np.ones(3, np.float32))
    with jaxdbg.checked() as region:
        f(np.ones(4, np.float32))
    f(np.ones(5, np.float32))
    of_region = [e for e in region.report.compilations if e.user]
    assert [dict(e.signature) for e in of_region] == [{"x": "f32[4]"}] * 3
    assert len(log()) == 9


def test_our_own_work_is_not_recorded():
    f = jax.jit(lambda x: x + 1)
    f(jnp.ones(7))
    with jaxdbg.checked() as region:
        f(jnp.ones(7))
    told = {e.function for e in region.report.compilations if e.phase == "trace"}
    assert told <= {"ones", "broadcast_in_dim", "convert_element_type"}


def test_the_log_is_bounded(log, monkeypatch):
    monkeypatch.setattr(recorder, "MAX_SIGNATURES", 5)
    own = recorder.Recorder()
    function = Function("f", "file.py:1")
    for i in range(recorder.MAX_EVENTS + 100):
        leaves = {"x": Leaf((i,), "f32")}
        signature = signatures.Signature(function, leaves=leaves)
        phase = listener.Phase("trace", signature, Stack(), None)
        own.began(phase)
        own.ended(phase)
    events = own.events()
    assert len(events) == recorder.MAX_EVENTS
    assert sum(bool(e.signature) for e in events) == 5
    assert own.position() == recorder.MAX_EVENTS + 100
    assert len(own.events(since=own.position() - 3)) == 3
    own.forget()
    assert own.events() == ()


class Hostile:
    """Nothing may be asked of it."""

    armed = False

    def _refuse(self, *args):
        if Hostile.armed:
            raise RuntimeError("this object is not to be asked")

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return type(other) is Hostile

    __repr__ = __str__ = __bool__ = __len__ = _refuse


@jax.tree_util.register_pytree_node_class
class HostileNode:
    """A tree whose static part is hostile."""

    def __init__(self, x):
        self.x = x

    def tree_flatten(self):
        return (self.x,), Hostile()

    @classmethod
    def tree_unflatten(cls, data, children):
        return cls(*children)

    def __repr__(self):
        raise RuntimeError("this node is not to be asked")

    __eq__ = __hash__ = __repr__


def test_hostile_objects_are_left_alone(log):
    calls = []

    @jax.jit
    def f(node):
        calls.append(1)
        return node.x + 1

    jitted = jax.jit(lambda how, x: x, static_argnums=0)
    Hostile.armed = True
    try:
        for n in (3, 4):
            f(HostileNode(np.ones(n, np.float32)))
            jitted(Hostile(), np.ones(n, np.float32))
    finally:
        Hostile.armed = False
    assert len(calls) == 2
    assert recorder.recorder().notices() == ()
    again = [e.reason for e in log() if e.reason and e.phase == "trace"]
    assert [(r.cause, r.where) for r in again] == [("shape", "node[0]"), ("shape", "x")]


def test_a_break_of_ours_is_told_and_the_program_goes_on(log, monkeypatch):
    def broken(*args):
        raise KeyError("a bug of ours")

    monkeypatch.setattr(signatures, "of_trace", broken)
    monkeypatch.setattr(signatures, "lowered", broken)
    assert jax.jit(lambda x: x + 1)(1.0) == 2.0
    (told, *_) = recorder.recorder().notices()
    assert "KeyError: 'a bug of ours'" in told
    recorder.forget()


def test_persistent_cache(log, tmp_path):
    from jax.experimental.compilation_cache import compilation_cache

    options = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: jax.config.values[name] for name in options}
    compilation_cache.reset_cache()
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        for _ in range(2):
            jax.jit(lambda x: x * 3 + 1)(np.ones(3, np.float32))
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
    compiled = [e for e in log() if e.phase == "compile"]
    assert [e.cache for e in compiled] == ["miss", "hit"]
    assert compiled[1].saved != 0.0


def test_listeners_that_another_has_cleared_are_no_matter(monkeypatch):
    before = util.test_event_listener
    for name in leaks._LISTENERS:  # no other's are lost
        monkeypatch.setattr(f"jax._src.monitoring.{name}", [])
    with jaxdbg.checked() as region:
        jax.monitoring.clear_event_listeners()
        jax.jit(lambda x: x + 1)(1.0)
    assert region.report.notices == ()
    assert util.test_event_listener is before


def test_a_script_records_what_it_wants() -> None:
    f = jax.jit(lambda x: x + 2)
    with jaxdbg.record_compilations() as recording:
        f(np.ones(3, np.float32))
    f(np.ones(4, np.float32))
    names = {(e.function, e.phase) for e in recording.compilations().events}
    assert ("<lambda>", "compile") in names
    assert len(recording.compilations().of("<lambda>")) == 3
    assert not recorder.recorder().is_on
    recording.stop()
    assert not recorder.recorder().is_on


def test_a_recording_leaves_that_of_others_running(log) -> None:
    with jaxdbg.record_compilations():
        pass
    jax.jit(lambda x: x + 3)(np.ones(3, np.float32))
    assert len(log()) == 3


def test_control_flow_outside_of_jit_is_one_row(log) -> None:
    xs = np.ones(3, np.float32)
    for k in range(3):
        jax.lax.scan(lambda c, x: (c + x * k, c), np.float32(0), xs)  # noqa: B023
    every = jaxdbg.Compilations(log())
    (cost,) = costs(every.events)
    assert (cost.function, cost.traces, cost.compiles) == ("scan of <lambda>", 3, 3)
    (repeat,) = repeats(cost)
    first, second = repeat.builds
    assert [e.phase for e in second.events] == ["trace", "lower", "compile"]
    assert (first.trace, second.trace, second.compilation) == (2, 3, 3)
    assert second.head.function == "scan"
    assert second.reason.where == "the body of scan"
    # Each name gives what has that name; the control flow has its bodies with it.
    for name in ("scan", "scan of <lambda>"):
        assert every.of(name).events == every.events
    assert {e.phase for e in every.of("<lambda>").events} == {"trace"}
    assert len(every.of("<lambda>")) == 3
    assert len(every.of("body")) == 0


def test_of_two_threads_the_one_that_traces_first_runs_nothing_again(log) -> None:
    began, other_is_done = threading.Event(), threading.Event()

    @jax.jit
    def f(x):
        if x.shape == (3,):
            began.set()
            other_is_done.wait(60)
        return x + 1

    first = threading.Thread(target=lambda: f(np.ones(3, np.float32)))
    first.start()
    assert began.wait(60)
    f(np.ones(4, np.float32))
    other_is_done.set()
    first.join()
    (cost,) = costs(log())
    assert (cost.traces, cost.compiles) == (2, 2)
    again = [b for b in cost.builds if b.reason]
    assert [b.reason.after for b in again] == ["f32[4]"]
    assert {e.reason for e in log() if e.thread == first.name} == {None}
