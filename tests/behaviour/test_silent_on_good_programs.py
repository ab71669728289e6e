"""Programs full of NaN and Inf in which nothing is wrong: a region says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks.calls.call import Run
from tests.programs.hard_cases import bits

INF, NAN = jnp.inf, jnp.nan

Function = Callable[..., Any]


@dataclass(frozen=True)
class Row:
    """A function, what it is called with, and whether it makes a NaN and discards it.

    That is benign where a result is all that counts: not where each operation does.
    """

    function: Function
    args: tuple[Any, ...]
    discards: bool


ROWS: list[Row] = []


def benign(*args: Any, discards: bool = False) -> Callable[[Function], Function]:
    """Adds a row."""

    def add(function: Function) -> Function:
        ROWS.append(Row(function, args, discards))
        return function

    return add


VALUES = np.linspace(-2, 2, 24, dtype=np.float32).reshape(4, 6)
WITH_NAN = np.where(VALUES > 1, np.nan, VALUES)
KEY = jax.random.key(0)


# -- masks ----------------------------------------------------------------------------


@benign(VALUES[:, :4])
def causal_mask(scores):
    mask = jnp.tril(jnp.ones(scores.shape, bool))
    return jax.nn.softmax(jnp.where(mask, scores, -INF))


@benign(VALUES[:, :4])
def added_mask(scores):
    bias = jnp.triu(jnp.full(scores.shape, -INF), 1)
    return scores + bias, jax.nn.log_softmax(scores + bias)


@benign(VALUES, np.array([6, 3, 1, 2]))
def padding_mask(scores, lengths):
    mask = jnp.arange(6) < lengths[:, None]
    return jnp.where(mask, scores, -INF), jax.nn.softmax(scores, where=mask)


@benign(VALUES[:, :4])
def gradient_through_a_mask(scores):
    def loss(scores):
        mask = jnp.tril(jnp.ones(scores.shape, bool))
        return jax.nn.softmax(jnp.where(mask, scores, -INF)).max(1).sum()

    return jax.value_and_grad(loss)(scores)


@benign(VALUES, np.array([True, False, True, False, True, True]))
def logsumexp(x, mask):
    return jax.nn.logsumexp(jnp.where(mask, x, -INF), axis=1)


@benign(np.full((2, 3), -np.inf, np.float32))
def logsumexp_of_nothing(x):
    return jax.nn.logsumexp(x, axis=1)


@benign(VALUES.reshape(1, 2, 3, 4), np.tril(np.ones((2, 2), bool)))
def dot_product_attention(x, mask):
    return jax.nn.dot_product_attention(x, x, x, mask=mask[None, None])


@benign(VALUES.reshape(1, 2, 3, 4))
def causal_attention(x):
    return jax.nn.dot_product_attention(x, x, x, is_causal=True)


# -- missing data ---------------------------------------------------------------------


@benign(WITH_NAN)
def nan_statistics(x):
    return jnp.nanmean(x, 0), jnp.nanstd(x), jnp.nanmax(x), jnp.nansum(x, 1)


@benign(WITH_NAN)
def filled_in(x):
    return jnp.where(jnp.isnan(x), 0.0, x), jnp.nan_to_num(x)


@benign(WITH_NAN)
def missing_stays_missing(x):
    return (x - 1.0) * 2.0, x.T, x[1:], jnp.concatenate([x, x])


@benign(VALUES)
def coded_as_missing(x):
    return jnp.where(x > 1, NAN, x), jnp.full((3,), NAN)


@benign(np.array([0.0, 4.0, -1.0], np.float32))
def double_where(x):
    def root(x):
        safe = jnp.where(x > 0, x, 1.0)
        return jnp.where(x > 0, jnp.sqrt(safe), 0.0)

    return root(x), jax.grad(lambda x: root(x).sum())(x)


@benign(np.array([0.0, 4.0, -1.0], np.float32), discards=True)
def discarded_by_where(x):
    return jnp.where(x > 0, jnp.log(x), 0.0)


# -- infinite bounds and start values -------------------------------------------------


@benign(VALUES[0])
def running_minimum(x):
    best = jnp.full((), INF)
    return jax.lax.scan(lambda b, v: (jnp.minimum(b, v), b), best, x)


@benign(VALUES)
def start_values(x):
    return jnp.full((3,), INF), jnp.min(x, initial=INF), jnp.max(x, initial=-INF)


@benign(VALUES)
def best_so_far(x):
    state = {"best": jnp.array(INF), "at": jnp.array(-1)}
    return {**state, "now": x.min()}


@benign(VALUES)
def infinite_bounds(x):
    return jnp.clip(x, -INF, 1.0), jnp.clip(x, 0.0, INF), jnp.minimum(x, INF)


@benign(np.zeros((0,), np.float32))
def maximum_of_nothing(x):
    return jnp.max(x, initial=-INF), jax.ops.segment_max(x, jnp.zeros(0, int), 3)


@benign(np.zeros((3, 0), np.float32))
def minimum_of_nothing(x):
    return jnp.min(x, axis=1, initial=INF), jax.lax.reduce_min(x, (1,))


@benign(VALUES[0], np.array([0, 0, 2, 2, 2, 0]))
def segment_extremes(x, ids):
    return jax.ops.segment_max(x, ids, 4), jax.ops.segment_min(x, ids, 4)


@benign(VALUES)
def comparisons_with_inf(x):
    return x < INF, jnp.isfinite(x), jnp.argmin(jnp.where(x > 0, x, INF), 1)


@benign(VALUES.reshape(1, 4, 6, 1))
def max_pooling(x):
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


@benign(VALUES.reshape(1, 4, 6, 1))
def gradient_of_max_pooling(x):
    return jax.grad(lambda x: nnx.max_pool(x, (3, 3), padding="SAME").sum())(x)


@benign(VALUES)
def top_of_masked(x):
    return jax.lax.top_k(jnp.where(x > 0, x, -INF), 3)


@benign(VALUES)
def cumulative(x):
    masked = jnp.where(x > 0, x, -INF)
    return jax.lax.cummax(masked, 1), jax.lax.cummin(x, 1), jnp.cumsum(x, 1)


@benign(np.array([[0.0, 1.0], [3.0, 0.0]], np.float32))
def shortest_paths(weights):
    d = jnp.where(weights > 0, weights, INF)
    return jnp.min(d[:, :, None] + d[None], axis=1)


# -- statistics -----------------------------------------------------------------------


@benign(VALUES)
def statistics(x):
    return jnp.var(x), jnp.std(x, 0), jnp.median(x), jnp.quantile(x, 0.3, axis=1)


@benign(VALUES)
def sorting(x):
    return jnp.sort(x), jnp.argsort(x), jnp.percentile(x, 50), jnp.unique(x, size=30)


@benign(VALUES)
def probabilities(x):
    p = jax.nn.softmax(x)
    return optax.softmax_cross_entropy(x, p), jax.scipy.special.xlogy(p, p)


@benign(np.array([0.0, 1.0], np.float32), discards=True)
def entropy_at_the_ends(p):
    return jax.scipy.special.entr(p), jax.scipy.special.xlogy(p, p)


@benign(np.array([0.0, 1.0], np.float32))
def placed_logarithm_of_zero(p):
    return jnp.where(p > 0, jnp.log(jnp.where(p > 0, p, 1)), -INF)


# -- no numbers at all ----------------------------------------------------------------


@benign(KEY)
def keys(key):
    return (
        jax.random.split(key, 3),
        jax.random.key_data(key),
        jax.random.fold_in(key, 1),
    )


@benign(np.arange(6))
def integers(x):
    return x // 4, x % 4, -x, x > 3, jnp.cumsum(x), jnp.iinfo(x.dtype).max + 0 * x


@benign(KEY)
def random_numbers(key):
    r = jax.random
    return (
        r.normal(key, (50,)),
        r.uniform(key, (50,)),
        r.gumbel(key, (50,)),
        r.truncated_normal(key, -2.0, 2.0, (50,)),
        r.exponential(key, (50,)),
        r.bernoulli(key, 0.3, (50,)),
        r.permutation(key, 10),
    )


@benign(KEY)
def slower_random_numbers(key):
    r = jax.random
    return r.gamma(key, 0.5, (5,)), r.beta(key, 0.5, 0.5, (5,)), r.cauchy(key, (5,))


@benign(KEY, VALUES)
def categorical(key, logits):
    masked = jnp.where(logits > 0, logits, -INF).at[:, 0].set(0.0)
    return jax.random.categorical(key, masked)


@benign(KEY, VALUES)
def dropout(key, x):
    keep = jax.random.bernoulli(key, 0.5, x.shape)
    return jnp.where(keep, x / 0.5, 0.0)


# -- each row, jitted and eager -------------------------------------------------------


def parametrized(rows: list[Row]) -> Any:
    """A mark that runs a test for each row."""
    return pytest.mark.parametrize("row", rows, ids=[r.function.__name__ for r in rows])


@parametrized(ROWS)
def test_a_benign_program_is_silent(row: Row) -> None:
    call = jax.jit(lambda *args: row.function(*args))
    plain = bits(call(*row.args))
    for options in ({}, {"async_": True}):
        with jaxdbg.checked(**options) as region:
            checked = call(*row.args)
        assert bits(checked) == plain
        assert region.report.findings == ()
        assert region.report.notices == ()


@pytest.mark.slow
@parametrized([row for row in ROWS if not row.discards])
def test_a_benign_program_is_silent_with_every_op(row: Row) -> None:
    with jaxdbg.checked(every_op=True) as region:
        jax.jit(lambda *args: row.function(*args))(*row.args)
    assert region.report.findings == ()
    assert region.report.notices == ()


@pytest.mark.slow
@parametrized([row for row in ROWS if not row.discards])
def test_a_benign_program_is_silent_without_jit(row: Row) -> None:
    with jaxdbg.checked() as region:
        jax.block_until_ready(row.function(*row.args))
    assert region.report.findings == ()
    assert region.report.notices == ()


def test_what_was_placed_is_in_the_report() -> None:
    @jax.jit
    def masked(x):
        return jnp.where(x > 0, x, -INF)

    with jaxdbg.checked() as region:
        masked(jnp.array(VALUES))
    assert len(region.report.placed) == 1
    assert region.report.placed[0].startswith("masked: ")


# -- layers and training --------------------------------------------------------------


def test_data_with_missing_values_is_put_on_a_device() -> None:
    with jaxdbg.checked() as region:
        x = jnp.asarray(WITH_NAN)
        y = jax.device_put(WITH_NAN)
        z = jnp.array(WITH_NAN.tolist())
        mask = ~jnp.isnan(x)
        (x[mask].sum() + y[0] + jnp.nansum(z[:, 0])).block_until_ready()
    assert region.report.findings == ()


class Transformer(nnx.Module):
    """Every layer that makes, masks or divides by something."""

    def __init__(self, rngs: nnx.Rngs):
        self.embed = nnx.Embed(7, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(2, 8, rngs=rngs, decode=False)
        self.batch_norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.out = nnx.Linear(8, 7, rngs=rngs)

    def __call__(self, tokens):
        mask = nnx.combine_masks(
            nnx.make_causal_mask(tokens),
            nnx.make_attention_mask(tokens > 0, tokens > 0),
        )
        x = self.embed(tokens)
        x = x + self.attend(self.norm(x), mask=mask)
        return self.out(self.drop(nnx.gelu(self.batch_norm(x))))


TOKENS = np.array([[1, 2, 3, 4, 0, 0], [5, 6, 1, 0, 0, 0]])


def train_step(model, optimizer, tokens):
    """One step of training, with its loss over what is no padding."""

    def loss_of(model):
        losses = optax.softmax_cross_entropy_with_integer_labels(model(tokens), tokens)
        return jnp.mean(losses, where=tokens > 0)

    loss, grads = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, grads)
    return loss


@pytest.mark.slow
@pytest.mark.parametrize("every_op", [False, True])
def test_training_a_transformer_is_silent(every_op: bool) -> None:
    model = Transformer(nnx.Rngs(0))
    steps = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    optimizer = nnx.Optimizer(model, steps, wrt=nnx.Param)
    step = nnx.jit(train_step)
    with jaxdbg.checked(every_op=every_op) as region:
        losses = [float(step(model, optimizer, TOKENS)) for _ in range(3)]
    assert region.report.findings == ()
    assert region.report.notices == ()
    assert losses[2] < losses[0]


@pytest.mark.slow
def test_training_eagerly_is_silent() -> None:
    model = Transformer(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    with jaxdbg.checked() as region:
        train_step(model, optimizer, TOKENS)
    assert region.report.findings == ()
    assert region.report.notices == ()


def test_a_mask_is_named_once_however_often_it_comes(monkeypatch):
    named = []
    plain = Run.result_names

    def counted(*args):
        named.append(args)
        return plain(*args)

    monkeypatch.setattr(Run, "result_names", counted)

    @jax.jit
    def mask(x):
        return jnp.where(x > 0, 0.0, -jnp.inf)

    with jaxdbg.checked() as region:
        for _ in range(5):
            mask(np.zeros(3, np.float32))
    assert len(named) == 1
    assert region.report.placed == ("mask: mask(...)",)
