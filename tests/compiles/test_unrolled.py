"""Loops of Python that a trace unrolls: said where each could be a scan, else not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.compiles import equations, unrolled
from jaxdbg.records.equations import Equations

ROUNDS = 6
X = np.ones((2, 3), np.float32)
WEIGHTS = [np.ones((3, 3), np.float32)] * ROUNDS
STACKED = np.ones((ROUNDS, 3, 3), np.float32)


def layer(w: Any, h: Any) -> Any:
    return jnp.tanh(h @ w) + h * 0.1


def listed(ws: Any, h: Any) -> Any:
    for w in ws:
        h = layer(w, h)
    return h.sum()


def indexed(ws: Any, h: Any) -> Any:
    for i in range(ROUNDS):
        h = layer(ws[i], h) * i
    return h


def while_it_holds(ws: Any, h: Any) -> Any:
    i = 0
    while i < ROUNDS:
        h = layer(ws[i], h)
        i += 1
    return h


def with_a_key(ws: Any, h: Any) -> Any:
    key = jax.random.key(0)
    for w in ws:
        key, now = jax.random.split(key)
        h = layer(w, h) + jax.random.normal(now, h.shape)
    return h


def around_another(ws: Any, h: Any) -> Any:
    for w in ws:
        for _ in range(2):
            h = layer(w, h)
        h = h * 2 - 1
    return h


@pytest.mark.parametrize(
    "function",
    [
        listed,
        jax.value_and_grad(listed),
        jax.checkpoint(listed),
        indexed,
        while_it_holds,
        with_a_key,
        around_another,
    ],
)
def test_a_loop_that_could_be_a_scan(function: Callable[..., Any], small: None) -> None:
    ws = STACKED if function in (indexed, while_it_holds) else WEIGHTS
    found = counted(function, ws, X)
    (loop,) = found.loops
    assert loop.rounds == ROUNDS
    assert loop.source.code.startswith(("for ", "while ", "h = layer"))
    assert 2 < found.times_fewer(loop) <= ROUNDS


def other_shapes(ws: Any, h: Any) -> Any:
    for _ in ws:
        h = jnp.concatenate([h, jnp.tanh(h[:1]) * 2])
    return h


def another_first_round(ws: Any, h: Any) -> Any:
    h = h[:, :2]
    for w in [np.ones((2, 3), np.float32), *ws]:
        h = jnp.tanh(h @ w) * 2 + 1
    return h


def leaves_of_a_tree(ws: Any, h: Any) -> Any:
    return jax.tree.map(lambda w: w - 0.1 * jnp.tanh(w) * h.sum(), ws)


def leaves_in_each_round(ws: Any, h: Any) -> Any:
    for _ in range(5):
        ws = jax.tree.map(lambda w: w - 0.1 * jnp.tanh(w) * h.sum(), ws)
    return ws


def independent(ws: Any, h: Any) -> Any:
    return [layer(w, h) for w in ws]


def a_branch(ws: Any, h: Any) -> Any:
    for i, w in enumerate([*ws, *ws]):
        h = layer(w, h)
        if i % 2:
            h = h * 2
    return h


def what_older_rounds_made(ws: Any, h: Any) -> Any:
    made = [h, h, h]
    for w in ws:
        made.append(jnp.tanh((made[-1] + made[-3]) @ w))
    return made[-1]


def a_loop_that_no_frame_shows(ws: Any, h: Any) -> Any:
    for _ in range(5):
        h = functools.reduce(lambda h, w: layer(w, h), ws, h)
    return h


def mapped(ws: Any, h: Any) -> Any:
    for _ in ws:
        h, _ = map(lambda y: jnp.tanh(y) * 2 + 1 - jnp.cos(y), (h, h))  # noqa: C417
    return h


@pytest.mark.parametrize(
    "function",
    [
        other_shapes,
        another_first_round,
        leaves_of_a_tree,
        leaves_in_each_round,
        independent,
        a_branch,
        what_older_rounds_made,
        a_loop_that_no_frame_shows,
        mapped,
    ],
)
def test_a_loop_that_could_not_be_one_for_certain(
    function: Callable[..., Any], small: None
) -> None:
    assert counted(function, WEIGHTS, X).loops == ()


def test_lines_of_a_function(small: None) -> None:
    found = counted(listed, WEIGHTS, X)
    assert [line.source.code for line in found.lines] == [
        "return jnp.tanh(h @ w) + h * 0.1",
        "return h.sum()",
    ]
    assert sum(line.count for line in found.lines) == found.count


def test_the_table_says_so(small: None) -> None:
    with jaxdbg.record_compilations() as recording:
        jax.jit(lambda ws, h: listed(ws, h))(WEIGHTS, X)
    compilations = recording.compilations()
    text = str(compilations)
    assert f"is unrolled {ROUNDS} times, 24 of 25 equations" in text
    assert "jax.lax.scan" in text
    assert type(compilations).from_json(compilations.to_json()) == compilations


def test_of_few_equations_nothing_is_said() -> None:
    assert equations.equations(jax.make_jaxpr(listed)(WEIGHTS, X)) is None


def counted(function: Callable[..., Any], *args: Any) -> Equations:
    found = equations.equations(jax.make_jaxpr(function)(*args))
    assert found is not None
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small programs are looked at, too."""
    monkeypatch.setattr(equations, "MIN_EQUATIONS", 2)
    monkeypatch.setattr(unrolled, "MIN_EQUATIONS", 2)
