"""NaNs and Infs that a literal or a constant places, mixed into results, and twins.

The line that places the value is marked with a comment, `# <- origin`. Each program has
a twin in which the same value stays in its own elements, or is masked in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.programs.origins import Built, f32


@dataclass(frozen=True)
class Spread:
    """A program and its twin, with the truth about the program.

    Attributes:
        build: takes whether the twin is wanted.
        kind: what is placed: "nan", "inf" or "-inf".
        verdict: "placed", or "born" where the library computes the value.
    """

    build: Callable[[bool], Built]
    kind: str = "nan"
    verdict: str = "placed"

    @property
    def name(self) -> str:
        """Of the function that builds it."""
        return self.build.__name__


SPREADS: list[Spread] = []


def spread(
    kind: str = "nan", verdict: str = "placed"
) -> Callable[[Callable[[bool], Built]], Callable[[bool], Built]]:
    """Adds a program, with the truth about it."""

    def add(build: Callable[[bool], Built]) -> Callable[[bool], Built]:
        SPREADS.append(Spread(build, kind, verdict))
        return build

    return add


@spread()
def standard_deviation_of_one_row(twin: bool) -> Built:
    @jax.jit
    def step(w, x):
        scale = x.std(0, ddof=1)  # <- origin
        scale = jnp.where(jnp.isnan(scale), 1.0, scale) if twin else scale
        return w - 0.1 * jax.grad(lambda w: ((x / scale) @ w).sum())(w)

    return Built(step, (jnp.ones((4, 2)), jnp.ones((1, 4))))


@spread()
def mean_of_what_was_marked_as_missing(twin: bool) -> Built:
    mean = jnp.nanmean if twin else jnp.mean

    @jax.jit
    def loss(x):
        known = jnp.where(x > 0, x, jnp.nan)  # <- origin
        return mean(known)

    return Built(loss, (f32(1, -1, 3),))


@spread("inf")
def quantile_of_one(twin: bool) -> Built:
    @jax.jit
    def loss(u):
        u = jnp.clip(u, 1e-6, 1 - 1e-6) if twin else u
        z = jax.scipy.special.ndtri(u)  # <- origin
        return 0.5 * (z**2).mean()

    return Built(loss, (f32(0.2, 1, 0.3),))


@spread("-inf")
def density_outside_of_its_support(twin: bool) -> Built:
    @jax.jit
    def nll(x):
        logp = jax.scipy.stats.uniform.logpdf(x)  # <- origin
        return jnp.where(x < 1, -logp, 0.0).mean() if twin else -logp.mean()

    return Built(nll, (f32(0.2, 1.5),))


@spread()
def interpolation_out_of_range(twin: bool) -> Built:
    @jax.jit
    def loss(x, knots):
        y = jnp.interp(x, knots, knots**2, left=jnp.nan, right=jnp.nan)  # <- origin
        return y if twin else (y**2).mean()

    return Built(loss, (f32(0.5, 3), f32(0, 1, 2)))


@spread("-inf")
def determinant_of_a_singular_matrix(twin: bool) -> Built:
    @jax.jit
    def loss(a):
        sign, logdet = jnp.linalg.slogdet(a)  # <- origin
        return jnp.where(sign > 0, logdet, 0.0).sum() if twin else -logdet.sum()

    singular = jnp.zeros((3, 3))
    return Built(loss, (jnp.stack([jnp.eye(3), singular]),))


@spread(verdict="born")
def take_of_an_index_out_of_range(twin: bool) -> Built:
    @jax.jit
    def loss(table, i):
        rows = jnp.take(table, i, axis=0, mode="fill")  # <- origin
        return (
            jnp.where((i < len(table))[:, None], rows, 0).sum() if twin else rows.sum()
        )

    return Built(loss, (jnp.ones((3, 2)), jnp.array([0, 7])))


@spread()
def segments_of_filled_rows(twin: bool) -> Built:
    @jax.jit
    def pool(x, ids, n):
        i = jnp.arange(len(x))
        filled = jnp.where(i < n, x, jnp.nan)  # <- origin
        filled = jnp.nan_to_num(filled) if twin else filled
        return jax.ops.segment_sum(filled, ids, 2)

    return Built(pool, (f32(1, 2, 3, 4), jnp.array([0, 0, 1, 1]), 3))


@spread()
def product_with_a_constant_that_has_a_nan(twin: bool) -> Built:
    weights = np.array([1.0, np.nan], np.float32)

    @jax.jit
    def score(x):
        weighted = x * weights  # <- origin
        return weighted if twin else weighted.sum()

    return Built(score, (f32(0.5, 2),))


@spread("-inf")
def attention_row_that_is_masked_entirely(twin: bool) -> Built:
    @jax.jit
    def pool(scores, mask):
        masked = jnp.where(mask, scores, -jnp.inf)  # <- origin
        best = masked.max(-1)
        return jnp.where(mask.any(-1), best, 0).mean() if twin else best.mean()

    mask = jnp.array([[True, True], [False, False]])
    return Built(pool, (jnp.ones((2, 2)), mask))


@spread("inf")
def distance_to_nothing(twin: bool) -> Built:
    @jax.jit
    def chamfer(x, y, there):
        d = (x[:, None] - y[None]) ** 2
        d = jnp.where(there, d, jnp.inf)  # <- origin
        nearest = d.min(1)
        return jnp.where(there.any(1), nearest, 0).sum() if twin else nearest.sum()

    there = jnp.array([[True, True], [False, False]])
    return Built(chamfer, (f32(0, 1), f32(1, 2), there))


@spread()
def running_sum_of_a_padded_series(twin: bool) -> Built:
    total = jnp.nancumsum if twin else jnp.cumsum

    @jax.jit
    def prices(x):
        series = jnp.full(5, jnp.nan).at[:3].set(x)  # <- origin
        return total(series)[-2:]

    return Built(prices, (f32(1, 2, 3),))


@spread()
def smoothing_over_a_gap(twin: bool) -> Built:
    @jax.jit
    def smooth(x):
        gap = x.at[2].set(jnp.nan)  # <- origin
        return gap if twin else jnp.convolve(gap, jnp.ones(3) / 3, mode="same")

    return Built(smooth, (f32(1, 2, 3, 4, 5, 6),))


@spread()
def one_hot_that_is_filled(twin: bool) -> Built:
    @jax.jit
    def embed(table, i):
        known = jax.nn.one_hot(i, 3)
        known = jnp.where((i < 3)[:, None], known, jnp.nan)  # <- origin
        return known if twin else known @ table

    return Built(embed, (jnp.ones((3, 2)), jnp.array([0, 7])))


@spread("inf")
def carry_that_starts_at_inf(twin: bool) -> Built:
    @jax.jit
    def follow(x):

        def step(best, x):
            new = jnp.minimum(best, x.min()) if twin else best + 0 * x.sum() + x.min()
            return new, new

        best, _ = jax.lax.scan(step, jnp.inf, x)  # <- origin
        return best if twin else (jnp.stack([best, best]) * 2).sum()

    return Built(follow, (jnp.ones((3, 2)),))


@spread()
def loss_of_an_empty_group(twin: bool) -> Built:
    @jax.jit
    def loss(x, group):
        n = (group == jnp.arange(3)[:, None]).sum(1)
        total = jnp.where(group == jnp.arange(3)[:, None], x, 0).sum(1)
        mean = jnp.where(n > 0, total / jnp.maximum(n, 1), jnp.nan)  # <- origin
        return (
            optax.l2_loss(mean).sum(where=n > 0) if twin else optax.l2_loss(mean).sum()
        )

    return Built(loss, (f32(1, 2, 3), jnp.array([0, 0, 1])))


@spread("-inf")
def initial_value_of_a_maximum_of_nothing(twin: bool) -> Built:
    @jax.jit
    def centred(x):
        top = jnp.max(x, where=x > 5, initial=-jnp.inf)  # <- origin
        return x if twin else (x - top).sum()

    return Built(centred, (f32(-1, 0.5),))
