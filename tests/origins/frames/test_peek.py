"""What is peeked is what the jitted function returns by hand, and nothing else is."""

from __future__ import annotations

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.origins.frames import peek as peeking, peeked_values
from jaxdbg.records import Peeked, serial
from tests import quick
from tests.programs.peeking import PROGRAMS, Peeking

SLOW = {
    *("types_of_all_kinds", "training_step_of_nnx", "rematerialised_in_a_scan"),
    "model_of_nnx_that_is_not_jitted",
}


def peeked(peek: Any, query: str) -> Any:
    """What a query of a program gives."""
    *scopes, name = query.split(" / ")
    for scope in scopes:
        peek = peek[scope]
    name, _, number = name.partition("#")
    return peek[name, int(number)] if number else peek[name]


@pytest.mark.parametrize(
    "program",
    [quick.row(p, when=p.name not in SLOW, name=p.name) for p in PROGRAMS],
)
def test_values_are_those_returned_by_hand(program: Peeking) -> None:
    function, *args = program.build()
    truth = function(*program.build()[1:])
    peek = jaxdbg.peek(function, *args)
    for query in truth.keys() - {"_"}:
        found, known = peeked(peek, query), np.asarray(truth[query])
        assert (found.shape, found.dtype) == (known.shape, known.dtype), query
        wide = np.complex128 if known.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(
            found.astype(wide), known.astype(wide), rtol=1e-5, atol=1e-6, err_msg=query
        )
    for name in program.absent:
        assert name in peek.values.left_out
        with pytest.raises(jaxdbg.UsageError, match="is not known"):
            peek[name]
    axes = {q: peeked(peek, q).batch_axes for q in program.axes}
    assert axes == program.axes
    loops = {q: peeked(peek, q).loops for q in program.loops}
    assert {q: tuple(n for _, n in of) for q, of in loops.items()} == program.loops
    assert program.name.count("not_jitted") == sum(
        "as if it" in n for n in peek.values.notes
    )


def step(w: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    hidden = jnp.log(x @ w)

    def body(carry, row):
        scores = jnp.log(carry + row)
        return scores, None

    last, _ = jax.lax.scan(body, hidden[0], hidden)
    return w - last.sum(), last


W, X = np.eye(2, dtype=np.float32), np.array([[1, 2], [3, 4], [0, 4]], np.float32)


def test_the_listing_has_each_name_in_the_order_of_execution() -> None:
    peek = jaxdbg.peek(jax.jit(step), W, X)
    lines = str(peek).splitlines()
    assert lines[0].startswith("step: 7 values, evaluated operation by operation")
    rows = [line.split() for line in lines[1:]]
    assert [row[1] for row in rows if row[0].startswith("test_peek.py")] == [
        *("w", "x", "hidden", "carry", "row", "scores", "last"),
    ]
    assert ["step"] in rows
    assert ["step.<locals>.body"] not in rows
    (scores,) = [v for v in peek if v.name == "scores"]
    assert scores.loops == (("scan", 3),)
    assert [s.nan for s in scores.steps] == [0, 1, 1]  # log(0 + 0) is -Inf
    assert "✗ 2 NaN, 1 -Inf in iteration 0, 1, 2" in next(
        line for line in lines if " scores " in line
    )
    assert serial.record(Peeked, json.loads(json.dumps(serial.plain(peek.values)))) == (
        peek.values
    )


def test_names_of_a_line_of_a_function_and_numbers() -> None:
    peek = jaxdbg.peek(jax.jit(step), W, X)
    (scores,) = [v for v in peek if v.name == "scores"]
    at = peek.at("test_peek.py", scores.source.line)
    assert [v.name for v in at] == ["scores"]
    assert at["scores"].shape == peek["body"]["scores"].shape == (3, 2)
    with pytest.raises(jaxdbg.UsageError, match=r"Bound in: .*test_peek\.py:"):
        peek.at("test_peek.py", 1)
    with pytest.raises(jaxdbg.UsageError, match=r"Did you mean 'scores'\?"):
        peek["scoress"]


def test_a_name_that_is_bound_to_several_values_is_asked_for_by_number() -> None:
    @jax.jit
    def f(x):
        x = x + 1
        return {"result": x}

    peek = jaxdbg.peek(f, jnp.float32(1))
    with pytest.raises(jaxdbg.UsageError, match=r"bound 2 times: .*p\['x', 0\]"):
        peek["x"]
    assert [float(peek["x", i]) for i in (0, 1)] == [1, 2]
    with pytest.raises(jaxdbg.UsageError, match="there is no 2"):
        peek["x", 2]


def test_nothing_is_done_that_the_call_does(capsys) -> None:
    traces = []

    @functools.partial(jax.jit, donate_argnums=0)
    def f(x):
        traces.append(x)
        print("traced")
        y = x + 1
        jax.debug.print("y {y}", y=y)
        return y

    x = jnp.ones(3)
    f(jnp.zeros(3))
    capsys.readouterr()
    before = len(traces)
    peek = jaxdbg.peek(f, x)
    np.testing.assert_array_equal(peek["y"], np.full(3, 2))
    jax.effects_barrier()
    assert capsys.readouterr().out == ""
    assert len(traces) == before + 1
    f(x)  # it has been compiled before, without markers
    assert len(traces) == before + 1
    assert x.is_deleted()
    with pytest.raises(jaxdbg.UsageError, match="donated to a call"):
        peek["y"]
    assert "jaxdbg_value" not in str(jax.make_jaxpr(f)(jnp.ones(3)))


def test_a_call_that_has_run_before_does_not_run_again() -> None:
    f = jax.jit(step, donate_argnums=0)  # without effects: JAX runs it past Python
    f(jnp.asarray(W), X)
    w = jnp.asarray(W)
    assert jaxdbg.peek(f, w, X)["hidden"].shape == (3, 2)
    assert not w.is_deleted()


def test_what_remat_computes_again_is_listed_once() -> None:
    (program,) = [p for p in PROGRAMS if p.name == "rematerialised"]
    peek = jaxdbg.peek(*program.build())
    assert [v.name for v in peek["block"]] == ["w", "x", "hidden", "twice"]


def test_modules_are_not_updated() -> None:
    model = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
    before = jax.tree.map(np.asarray, nnx.state(model))
    train = nnx.jit(lambda model, x: model(x))
    for function in (train, lambda model, x: model(x), model):
        args = (model, X) if function is not model else (X,)
        assert len(jaxdbg.peek(function, *args).values.values) >= (
            function is not model
        )
        after = jax.tree.map(np.asarray, nnx.state(model))
        jax.tree.map(np.testing.assert_array_equal, before, after)
    train(model, X)


def test_only_what_is_asked_for_is_evaluated(monkeypatch) -> None:
    bound = []
    plain = peeked_values._Markers.bind

    def bind(self, frame, n, ins):
        bound.append(frame.eqns[n].primitive.name)
        return plain(self, frame, n, ins)

    monkeypatch.setattr(peeked_values._Markers, "bind", bind)

    @jax.jit
    def f(x):
        first = jnp.sin(x)
        return jnp.cos(first) + jnp.tan(x)

    peek = jaxdbg.peek(f, jnp.ones(3))
    assert bound == []
    peek["first"]
    assert bound == ["sin"]


def test_values_that_take_too_many_bytes_are_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(peeking, "MOST_BYTES", 20)
    peek = jaxdbg.peek(jax.jit(step), W, X)
    with pytest.raises(jaxdbg.UsageError, match="more than 20 B"):
        peek["scores"]
    assert "scores" in str(peek)


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        (3, (), "takes a function and what to call it with"),
        (jax.jit(step), (W,), "step cannot be traced .* missing 1 required"),
        (step, (W, "text"), "step cannot be traced with these arguments"),
        (jax.jit(step), (W, object()), "step cannot be traced .*TypeError"),
        (lambda x: x if x > 0 else -x, (jnp.ones(()),), "TracerBoolConversionError"),
    ],
)
def test_what_cannot_be_peeked_is_said(function: Any, args: Any, said: str) -> None:
    with pytest.raises(jaxdbg.UsageError, match=said):
        jaxdbg.peek(function, *args)


def test_a_function_compiled_ahead_of_time_is_not_run() -> None:
    compiled = jax.jit(step).lower(W, X).compile()
    with pytest.raises(jaxdbg.UsageError, match="Compiled cannot be traced"):
        jaxdbg.peek(compiled, W, X)


def test_a_region_does_not_see_what_is_peeked() -> None:
    with jaxdbg.checked(namespace={}) as region:
        bad = jaxdbg.peek(jax.jit(step), W, X)["hidden"]
    assert np.isneginf(bad).any()
    assert (region.report.calls, region.report.findings) == (0, ())


def test_the_figure_of_a_value_shows_what_is_bad() -> None:
    found = jaxdbg.peek(jax.jit(step), W, X)["scores"]
    figure = found.figure()
    (image,) = figure.axes[0].get_images()
    assert figure.axes[0].get_title(loc="left") == "scores float32[3,2]"
    assert image.get_array().mask.sum() == np.isnan(found).sum() + np.isinf(found).sum()
