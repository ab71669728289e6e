"""What one process can know of a call in several: never more than is so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdbg.jax_internals.jaxprs.evaluate import evaluate
from jaxdbg.origins.bad_elements import NAN
from jaxdbg.origins.search.evaluate import Run, Value
from jaxdbg.origins.search.evaluate_here import PartlyKnown, RecorderHere
from jaxdbg.origins.search.time_limit import TimeLimit

ROWS, HERE = 6, slice(2, 4)
"""Of the rows of each argument, those of this process."""

W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)

TABLE = jnp.asarray(W)

Given = tuple[Any, Any]
"""Rows of numbers, and a class of each row."""


def normalised(x: Any, _: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def gradient(x: Any, classes: Any) -> Any:
    def loss(w: Any) -> Any:
        logits = jax.nn.log_softmax(jnp.tanh(x @ w) @ w)
        return -(logits * jax.nn.one_hot(classes, 4)).sum(1).mean()

    return jax.value_and_grad(loss)(W)


def moved(x: Any, classes: Any) -> Any:
    parts = jnp.concatenate([x[::-1], jnp.pad(x, ((1, 0), (0, 0)))])
    shifted = lax.dynamic_slice(parts, (1, 0), (4, 4))
    return x.T.reshape(-1), shifted, jnp.stack([x, -x])[1], TABLE[classes], x[classes]


def added_up(x: Any, classes: Any) -> Any:
    table = jnp.zeros((4, 4)).at[classes].add(x)
    return table, jnp.zeros((ROWS, 4)).at[:3].add(x[:3]), jnp.cumsum(x, 0), x.max(0)


def sorted_rows(x: Any, classes: Any) -> Any:
    return jnp.sort(x, 1), x[jnp.argsort(classes)], lax.top_k(x, 2)[0]


def chosen(x: Any, classes: Any) -> Any:
    by_class = jnp.where(jnp.roll(classes, 2)[:, None] < 2, x, 1.0)
    branch = lax.cond(classes[0] > 1, jnp.sin, jnp.cos, x)
    return by_class, branch, jnp.where(x > 0, x, jnp.nan).sum()


def looped(x: Any, _: Any) -> Any:
    def layer(h: Any, w: Any) -> tuple[Any, Any]:
        h = jnp.sqrt(h @ w)
        return h, (h.sum(), h[:, 0])

    return lax.scan(layer, x, jnp.stack([W, W]))


def looped_for_long(x: Any, _: Any) -> Any:
    until = lax.while_loop(lambda v: v[0] < 9, lambda v: (v[0] + 1, v[1] * 2), (0.0, x))
    of_rows = lax.while_loop(lambda v: v.sum() < 50, lambda v: v + 1, x)
    return until, of_rows, jax.vmap(lambda r: lax.while_loop(_low, _up, r))(x)


def _low(row: Any) -> Any:
    return row.sum() < 20


def _up(row: Any) -> Any:
    return row + 1


def convolved(x: Any, _: Any) -> Any:
    image = x.reshape(ROWS, 1, 4)
    return lax.conv_general_dilated(image, W[:1, None, :3], (1,), "SAME")


def drawn(x: Any, classes: Any) -> Any:
    key = jax.random.key(0)
    noise = jax.random.normal(jax.random.fold_in(key, classes[2]), (4,))
    return x + jax.random.normal(key, x.shape), noise, jnp.linalg.cholesky(x[:4])


def partly(value: np.ndarray) -> PartlyKnown:
    """What this process has of an argument."""
    unknown = np.ones(value.shape, bool)
    unknown[HERE] = False
    here = np.zeros_like(value)
    here[HERE] = value[HERE]
    codes = np.where(np.isnan(here), NAN, 0).astype(np.uint8)
    return PartlyKnown(here, codes if codes.any() else None, unknown)


class Recorder(RecorderHere):
    def lift(self, array: Any) -> Any:
        return array if isinstance(array, Value) else super().lift(array)


def arguments(seed: int, bad: bool) -> Given:
    """The rows of this process are the same, whatever the others hold."""
    chance, here = np.random.default_rng(seed), np.random.default_rng(9)
    x = chance.normal(size=(ROWS, 4)).astype(np.float32)
    classes = chance.integers(4, size=ROWS).astype(np.int32)
    x[HERE], classes[HERE] = here.normal(size=(2, 4)), [1, 3]
    if bad:
        x[2, 1] = np.nan
    return x, classes


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize(
    "program",
    [
        normalised,
        gradient,
        moved,
        added_up,
        sorted_rows,
        chosen,
        looped,
        looped_for_long,
        convolved,
        drawn,
    ],
)
def test_what_is_known_is_so_whatever_other_processes_hold(
    program: Callable[..., Any], bad: bool
) -> None:
    given = arguments(0, bad)
    jaxpr = jax.make_jaxpr(program)(*given)
    run, recorder = Run(jaxpr), Recorder(TimeLimit())
    values = recorder.run(run, list(map(partly, given)))
    for seed in range(1, 4):
        truth = evaluate(jaxpr, arguments(seed, bad))
        for value, true in zip(values, truth, strict=True):
            known = np.ones(np.shape(true), bool)
            if value.unknown is not None:
                known = ~value.unknown
            np.testing.assert_allclose(
                np.asarray(value.array)[known], np.asarray(true)[known], rtol=1e-6
            )
            if value.codes is not None:
                assert np.isnan(np.asarray(true)[value.codes == NAN]).all()


@pytest.mark.parametrize(
    ("program", "output"),
    [(normalised, 0), (moved, 0), (looped, 0), (convolved, 0), (sorted_rows, 0)],
)
def test_the_rows_of_this_process_are_known(
    program: Callable[..., Any], output: int
) -> None:
    given = arguments(0, bad=False)
    jaxpr = jax.make_jaxpr(program)(*given)
    value = Recorder(TimeLimit()).run(Run(jaxpr), list(map(partly, given)))[output]
    assert isinstance(value, PartlyKnown)
    assert value.unknown is not None
    assert (~value.unknown).sum() == 8


def test_a_nan_makes_a_sum_nan_whatever_the_other_parts_are() -> None:
    given = arguments(0, bad=True)
    jaxpr = jax.make_jaxpr(gradient)(*given)
    loss, gradients = Recorder(TimeLimit()).run(Run(jaxpr), list(map(partly, given)))
    for value in (loss, gradients):
        assert value.codes is not None
        assert (value.codes == NAN).all()
