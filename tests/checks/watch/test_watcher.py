"""What a region keeps of the trees that its calls are given."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks.watch import watched_tree as watched, watcher as watch
from jaxdbg.records import Report
from jaxdbg.trees import statistics


@pytest.fixture(autouse=True)
def every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at each call, however long a look takes."""
    monkeypatch.setattr(watch, "SHARE", 1e9)


class Net(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.ones(3))
        self.b = nnx.Param(jnp.zeros(2))
        self.steps = nnx.Variable(jnp.array(0))


@nnx.jit
def double(net: Net) -> None:
    net.w[...] *= 2


@nnx.jit
def shift(net: Net, by: Any) -> None:
    net.b[...] = net.b[...] + jnp.log(by)


@jax.jit
def halve(params: Any) -> Any:
    return jax.tree.map(lambda x: x / 2, params)


def test_modules_that_calls_are_given_are_watched() -> None:
    model = Net()
    with jaxdbg.checked() as region:
        for _ in range(4):
            double(model)
    (history,) = region.report.histories
    assert (history.name, history.paths) == ("model", ("model.b", "model.w"))
    assert history.calls == (1, 2, 3, 4)
    assert history.functions == ("double",) * 4
    assert [row[1] for row in history.largest] == [2, 4, 8, 16]
    assert history.bad == ((0, 0),) * 4
    assert (history.first_bad, history.first_bad_call) == (-1, 0)
    assert Report.from_json(region.report.to_json()).histories == (history,)


def test_optimizers_are_watched_too() -> None:
    model = Net()
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model: Net, optimizer: Any) -> None:
        grads = nnx.grad(lambda m: (m.w[...] ** 2).sum() + m.b.sum())(model)
        optimizer.update(model, grads)

    with jaxdbg.checked() as region:
        for _ in range(3):
            step(model, optimizer)
    histories = {h.name: h for h in region.report.histories}
    assert set(histories) == {"model", "optimizer"}
    assert "optimizer.opt_state[0].mu.w" in histories["optimizer"].paths
    assert histories["optimizer"].calls == (1, 2, 3)


def test_the_call_that_fails_is_the_last_row() -> None:
    model = Net()
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked() as region:
        for by in (1.0, 2.0, 0.5, -1.0):
            shift(model, jnp.full(2, by))
    (history,) = region.report.histories
    assert history.calls == (1, 2, 3, 4)
    assert history.bad == history.nan == ((0, 0), (0, 0), (0, 0), (2, 0))
    assert (history.first_bad, history.first_bad_call) == (0, 4)
    assert jnp.isfinite(model.b[...]).all()


def test_a_recorded_failure_is_seen_in_the_tree() -> None:
    model = Net()
    with jaxdbg.checked(record=True) as region:
        for by in (1.0, -1.0, 1.0):
            shift(model, jnp.full(2, by))
    (history,) = region.report.histories
    assert history.paths[history.first_bad] == "model.b"
    assert history.first_bad_call == 2
    assert history.calls == (1, 2, 3)


def test_the_kinds_are_those_of_each_call() -> None:
    model = Net()
    with jaxdbg.checked(record=True) as region:
        for by in (1.0, 0.0, 1.0, -1.0):
            shift(model, jnp.array([by, 1.0]))
    (history,) = region.report.histories
    assert [row[0] for row in history.bad] == [0, 1, 1, 1]
    assert [row[0] for row in history.nan] == [0, 0, 0, 1]


def test_a_layer_that_is_replaced_is_followed() -> None:
    model = Net()
    with jaxdbg.checked() as region:
        double(model)
        double(model)
        model.w = nnx.Param(jnp.full(3, 100.0))
        double(model)
        double(model)
    (history,) = region.report.histories
    assert [row[1] for row in history.largest] == [2, 100, 200, 400]


def test_a_layer_that_is_new_begins_another_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched, "APART_EVERY", 4)
    model = Net()
    with jaxdbg.checked() as region:
        double(model)
        double(model)
        model.more = nnx.Param(jnp.ones(1))
        for _ in range(20):
            double(model)
    (history,) = region.report.histories
    assert sorted(history.paths) == ["model.b", "model.more", "model.w"]
    assert history.calls[-1] == 22
    assert len(history.calls) > 15


def test_an_array_in_the_place_of_a_variable_is_read_where_it_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = []
    plain = watched.leaves_of
    monkeypatch.setattr(
        watched, "leaves_of", lambda *args: times.append(1) or plain(*args)
    )
    params: Any = {"w": nnx.Param(jnp.ones(2))}
    with jaxdbg.checked(watch="params") as region:
        halve(jnp.ones(2))
        halve(jnp.ones(2))
        params = {"w": jnp.ones(2)}
        for _ in range(20):
            params = halve(params)
    (history,) = region.report.histories
    assert len(history.calls) == 22
    assert len(times) < 6


def test_a_tree_is_taken_apart_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    plain = watched.leaves_of
    monkeypatch.setattr(
        watched, "leaves_of", lambda *args: times.append(1) or plain(*args)
    )
    model = Net()
    params = {"layers": [{"w": jnp.ones(2)}, {"w": jnp.ones(3)}], "it's": jnp.ones(1)}
    with jaxdbg.checked(watch="model,params") as region:
        for _ in range(60):
            double(model)
            params = halve(params)  # and their keys are in another order
    assert [len(h.calls) for h in region.report.histories] == [60, 61]
    assert len(times) < 20


def test_a_tree_with_a_path_that_leads_nowhere_is_taken_apart_each_time() -> None:
    class Box:
        def __init__(self, x: Any) -> None:
            self.x = x

    jax.tree_util.register_pytree_with_keys(
        Box,
        lambda b: ([(jax.tree_util.GetAttrKey("y"), b.x)], None),
        lambda _, x: Box(*x),
    )
    box = Box(jnp.ones(2))
    with jaxdbg.checked(watch="box") as region:
        for _ in range(3):
            box = halve(box)
    (history,) = region.report.histories
    assert (history.paths, history.calls) == (("box.y",), (1, 2, 3))


def test_a_tree_can_be_watched_by_its_name() -> None:
    params = {"w": jnp.ones(2)}
    with jaxdbg.checked(watch="params") as region:
        for _ in range(3):
            params = halve(params)
    (history,) = region.report.histories
    assert (history.name, history.paths[0]) == ("params", 'params["w"]')
    assert [row[0] for row in history.largest] == [0.5, 0.25, 0.125]


def test_an_unknown_name_is_told() -> None:
    params = {"w": jnp.ones(2)}
    with jaxdbg.checked(watch="parms") as region:
        params = halve(params)
    assert region.report.histories == ()
    assert region.report.notices == (
        "--watch parms: nothing of this name was there when a call began. Did you mean "
        "'params'?",
    )


def test_what_has_not_changed_is_not_kept_again() -> None:
    model = Net()
    total = jax.jit(lambda net: net.w[...].sum())
    with jaxdbg.checked() as region:
        for _ in range(5):
            total(model)
    assert [h.calls for h in region.report.histories] == [(1,)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "MAX_CALLS", 16)
    model = Net()
    with jaxdbg.checked() as region:
        for _ in range(100):
            double(model)
    (history,) = region.report.histories
    assert len(history.calls) <= 16
    assert history.calls[0] == 1
    assert history.calls[-4:] == (97, 98, 99, 100)
    assert list(history.calls) == sorted(set(history.calls))


def test_looking_takes_its_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SHARE", 1e-9)
    monkeypatch.setattr(watch, "ALLOWANCE", 0)
    model = Net()
    with jaxdbg.checked() as region:
        for _ in range(10):
            double(model)
    (history,) = region.report.histories
    assert history.calls == (1, 10)  # the first, and what the region has left


def test_statistics_are_taken_between_calls_when_they_are_asked_for() -> None:
    model = Net()
    with jaxdbg.checked() as region:
        double(model)
        double(model)
        assert region.watcher.statistics() == ()  # nobody has asked before
        assert region.watcher.statistics() == ()  # and no other call has begun since
        double(model)
        (now,) = region.watcher.statistics()
        assert (now.name, now.call) == ("model", "double (call 2 in this region)")
        assert {leaf.path: leaf.largest for leaf in now.leaves}["model.w"] == 4
        double(model)
        (later,) = region.watcher.statistics()
        assert later.call == "double (call 3 in this region)"
        double(model)
        double(model)
        (once,) = region.watcher.statistics()  # for the last time that it was asked
        assert once.call == "double (call 4 in this region)"


def test_statistics_take_their_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SHARE", 1e-9)
    monkeypatch.setattr(watch, "ALLOWANCE", 0)
    model = Net()
    with jaxdbg.checked() as region:
        for _ in range(3):
            double(model)
            assert region.watcher.statistics() == ()


def test_another_thread_may_ask_while_arrays_are_donated() -> None:
    import threading

    params = {"w": jnp.ones(100)}
    step = jax.jit(lambda p: jax.tree.map(lambda x: x + 1, p), donate_argnums=0)
    told: list[str] = []
    stop = threading.Event()
    with jaxdbg.checked(watch="params") as region:

        def follow() -> None:
            while not stop.is_set():
                told.extend(one.call for one in region.watcher.statistics())
                region.session.report()

        thread = threading.Thread(target=follow)
        thread.start()
        for _ in range(200):
            params = step(params)
        stop.set()
        thread.join()
    assert len(set(told)) > 1
    assert params["w"][0] == 201
    assert region.report.notices == ()


def test_a_break_is_told_and_the_program_runs_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(watched, "leaves_of", broken)
    model = Net()
    with jaxdbg.checked() as region:
        double(model)
        double(model)
    assert model.w[0] == 4
    assert "a part of jaxdbg broke while watching trees" in region.report.notices[0]


def test_models_are_not_kept_alive() -> None:
    import gc
    import weakref

    model = Net()
    gone = weakref.ref(model)
    with jaxdbg.checked() as region:
        double(model)
        del model
        gc.collect()
        assert gone() is None
        halve(jnp.ones(2))
    assert region.report.notices == ()


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "float8_e4m3fn"]
)
def test_peaks_are_the_largest_magnitudes(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 200_000):
        x = rng.normal(size=size).astype(jnp.dtype(dtype))
        wide = x.astype(complex if dtype == "complex64" else float)
        (peak,) = statistics.peaks([x])
        assert peak == pytest.approx(np.abs(wide).max(initial=-1) if size else -1)
        if size:
            for bad in (np.nan, -np.inf):
                x[size // 2] = bad
                assert not np.isfinite(statistics.peaks([x])[0])
