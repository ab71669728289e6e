"""Everyday programs that live with placed Infs and NaNs: all are silent.

They mix values beside the placed ones, or neutralise these first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.programs.origins import f32, grid

MASKS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

INF, NAN = jnp.inf, jnp.nan


def masks(*args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds a function, with what it is called with."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        MASKS.append((function, args))
        return function

    return add


@masks(grid(4, 4))
def causal_attention(x):
    scores = jnp.where(jnp.tri(4, dtype=bool), x @ x.T, -INF)
    return jax.nn.softmax(scores) @ x, scores


@masks(grid(4, 4))
def gradient_of_causal_attention(x):
    def loss(x):
        scores = jnp.where(jnp.tri(4, dtype=bool), x @ x.T, -INF)
        return (jax.nn.softmax(scores) @ x).sum()

    return jax.value_and_grad(loss)(x)


@masks(f32(1, -1, 2))
def log_sum_of_what_is_left(x):
    masked = jnp.where(x > 0, x, -INF)
    return jax.nn.logsumexp(masked), jax.nn.log_softmax(masked)


@masks(f32(1, -1, 2), jnp.array([1]))
def logits_that_are_banned(x, banned):
    return x.at[banned].add(-INF)


@masks(grid(3, 3))
def forward_algorithm(x):
    transitions = jnp.where(jnp.tri(3, dtype=bool), x, -INF)
    start = jnp.array([0.0, -INF, -INF])

    def step(alpha, _):
        alpha = jax.nn.logsumexp(alpha[:, None] + transitions, 0)
        return alpha, alpha

    return jax.lax.scan(step, start, None, length=3)


@masks(grid(3, 3))
def viterbi(x):
    transitions = jnp.where(jnp.tri(3, dtype=bool), x, -INF)

    def step(score, _):
        each = score[:, None] + transitions
        return each.max(0), each.argmax(0)

    return jax.lax.scan(step, jnp.array([0.0, -INF, -INF]), None, length=3)


@masks(f32(3, 1, 2))
def shortest_paths(x):
    edges = jnp.full((3, 3), INF).at[jnp.arange(3), jnp.arange(3)].set(0)
    edges = edges.at[0, 1].set(x[0])
    return jax.lax.fori_loop(
        0, 2, lambda _, d: (d[:, :, None] + edges[None]).min(1), edges
    )


@masks(f32(1, -1, 2))
def running_log_sum(x):
    return jax.lax.cumlogsumexp(jnp.where(x > 1, x, -INF))


@masks(f32(1, -1, 2))
def statistics_without_what_is_missing(x):
    known = jnp.where(x > 0, x, NAN)
    return jnp.nanmean(known), jnp.nanstd(known), jnp.nanmax(known), known


@masks(f32(1, -1, 2))
def median_of_what_is_there(x):
    known = jnp.where(x > 0, x, NAN)
    return jnp.nanmedian(known), jnp.nanquantile(known, 0.25)


@masks(f32(1, 5, 2), jnp.array([0, 0, 1]))
def largest_of_each_segment(x, ids):
    return jax.ops.segment_max(x, ids, 3), jax.ops.segment_min(x, ids, 3)


@masks(f32(5, 1, 3))
def beam_search(x):
    scores = jnp.array([0.0, -INF, -INF])
    best, at = jax.lax.top_k((scores[:, None] + x).reshape(-1), 4)
    return best, at


@masks(f32(0.5, 2.5))
def table_with_open_ends(x):
    edges = jnp.array([-INF, 0.0, 1.0, 2.0, INF])
    return jnp.searchsorted(edges, x), jnp.digitize(x, edges), edges


@masks(grid(2, 4, 4, 1))
def pooling(x):
    return jax.lax.reduce_window(
        x, -INF, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"
    )


@masks(f32(0.5, 0.2))
def bounds_of_a_box(x):
    low, high = jnp.array([-INF, 0.0]), jnp.array([INF, 1.0])
    return jnp.clip(x, low, high), low


@masks(jax.random.key(0), grid(4))
def sampling_with_a_mask(key, x):
    logits = jnp.where(x > 0, x, -INF)
    return jax.random.categorical(key, logits), jax.random.gumbel(key, (4,)) + logits


@masks(grid(5))
def table_that_is_filled(x):
    history = jnp.full((3, 5), NAN)
    return history.at[0].set(x)


@masks(grid(4))
def best_loss_so_far(x):
    def step(best, x):
        better = x < best
        return jnp.where(better, x, best), better

    return jax.lax.scan(step, INF, x)


@masks(grid(3, 3), np.array([3, 1, 2]))
def nearest_other(x, n):
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    d = jnp.where(jnp.eye(3, dtype=bool), INF, d)
    return d.argmin(1), d.min(1), jnp.sort(d, 1)
