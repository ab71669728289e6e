"""Programs on which the first advice that comes to mind is not the right one.

In the style of `fields`: each has a twin that is mended by the advice. Beside what
helps (`advice`) it is stated what would lead astray (`wrong`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy import special, stats

from tests.programs.fields import Build, grad_of, one_of
from tests.programs.origins import Built, Program, f32, grid

PROGRAMS: list[Program] = []
BENIGN: list[Program] = []


def twins(*primitive: str, **truth: object) -> Callable[[Build], Build]:
    """Adds a program that goes wrong, with the truth about it, and its mended twin."""

    def add(build: Build) -> Build:
        bad = functools.partial(Program, one_of(build, mended=False), primitive)
        PROGRAMS.append(bad(**truth))
        BENIGN.append(Program(one_of(build, mended=True)))
        return build

    return add


def gradient_only(loss: Callable[..., jax.Array], *args: jax.Array) -> Built:
    """A call that gives the gradient alone."""
    return Built(jax.jit(jax.grad(loss)), args)


# -- special functions at their bounds -------------------------------------------------


@twins(direction="backward", advice="arctanh", wrong="jnp.maximum")
def slope_of_fisher_z_of_a_copy(mended: bool) -> Built:
    def loss(r):
        r = jnp.clip(r, -0.999, 0.999) if mended else r
        return jnp.arctanh(r).sum()  # <- origin

    return gradient_only(loss, f32(0.5, 1))


@twins("atanh", advice="arctanh", wrong="by rounding")
def fisher_z_of_a_copy(mended: bool) -> Built:
    @jax.jit
    def z(r):
        r = jnp.clip(r, -0.999, 0.999) if mended else r
        return jnp.arctanh(r).mean()  # <- origin

    return Built(z, (f32(0.5, 1),))


@twins("div", "log", advice="logit", wrong="denominator|softmax")
def logit_of_a_certain_label(mended: bool) -> Built:
    @jax.jit
    def calibrate(p, t):
        p = jnp.clip(p, 1e-6, 1 - 1e-6) if mended else p
        logit = special.logit(p)  # <- origin
        return (jax.nn.sigmoid(logit / t) + logit).sum()

    return Built(calibrate, (f32(0.5, 1), jnp.float32(2)))


@twins("exp", "mul", advice="i0e|scaled", wrong="softmax")
def von_mises_of_a_sharp_peak(mended: bool) -> Built:
    @jax.jit
    def log_prob(x, kappa):
        if mended:
            norm = jnp.log(special.i0e(kappa)) + kappa
        else:
            norm = jnp.log(special.i0(kappa))  # <- origin
        return (kappa * jnp.cos(x) - norm).mean()

    return Built(log_prob, (f32(0.1, 0.2), f32(1, 200)))


@twins("zeta", "polygamma", advice="pole", wrong="clip it into the domain")
def trigamma_of_no_counts(mended: bool) -> Built:
    @jax.jit
    def information(counts):
        counts = counts + 0.5 if mended else counts
        return special.polygamma(1, counts).sum()  # <- origin

    return Built(information, (f32(3, 0),))


@twins("digamma", direction="backward", advice="pole|above 0", wrong="eps under")
def slope_of_gammaln_of_no_counts(mended: bool) -> Built:
    def loss(counts):
        counts = counts + 0.5 if mended else counts
        return special.gammaln(counts).sum()  # <- origin

    return gradient_only(loss, f32(3, 0))


@twins(advice="support|log of 0|inside", wrong="log_softmax")
def beta_density_at_its_end(mended: bool) -> Built:
    @jax.jit
    def loss(a, x):
        x = jnp.clip(x, 1e-6, 1 - 1e-6) if mended else x
        return -stats.beta.logpdf(x, a, 2.0).mean()  # <- origin

    return Built(loss, (jnp.float32(2), f32(0.5, 1)))


@twins(verdict="placed", advice="support", wrong="log of")
def beta_density_beyond_its_end(mended: bool) -> Built:
    @jax.jit
    def loss(a, x):
        x = jnp.clip(x, 1e-6, 1 - 1e-6) if mended else x
        return -stats.beta.logpdf(x, a, 2.0).mean()  # <- origin

    return Built(loss, (jnp.float32(2), f32(0.5, 1.2)))


@twins(verdict="born or placed", advice="quantile|erfinv|inside", wrong="log of 0")
def normal_score_of_the_lowest_rank(mended: bool) -> Built:
    @jax.jit
    def scores(rank):
        u = (rank + (0.5 if mended else 0)) / 4
        return (stats.norm.ppf(u) ** 2).mean()  # <- origin

    return Built(scores, (f32(0, 1, 2, 3),))


@twins(verdict="placed", advice="range of the knots|out of range")
def yield_beyond_the_curve(mended: bool) -> Built:
    @jax.jit
    def price(t, knots, rates):
        t = jnp.clip(t, knots[0], knots[-1]) if mended else t
        rate = jnp.interp(t, knots, rates, left=jnp.nan, right=jnp.nan)  # <- origin
        return jnp.exp(-rate * t).sum()

    return Built(price, (f32(0.5, 12), f32(0, 5, 10), f32(1, 2, 3)))


@twins("cosh", "exp", advice="overflow", wrong="softmax")
def energy_of_a_large_boost(mended: bool) -> Built:
    @jax.jit
    def energy(rapidity):
        rapidity = jnp.clip(rapidity, -20, 20) if mended else rapidity
        return jnp.cosh(rapidity).mean()  # <- origin

    return Built(energy, (f32(1, 200),))


@twins("asin", advice="arcsin outside", wrong="^gradient")
def great_circle_of_antipodes(mended: bool) -> Built:
    @jax.jit
    def distance(h):
        root = jnp.sqrt(h)
        root = jnp.clip(root, 0, 1) if mended else root
        return (2 * jnp.arcsin(root)).sum()  # <- origin

    return Built(distance, (f32(0.5, 1.0000002),))


@twins(direction="backward", advice="log at 0", wrong="sqrt")
def slope_of_the_entropy_of_a_corner(mended: bool) -> Built:
    def loss(p):
        p = p + 1e-6 if mended else p
        return special.entr(p).sum()  # <- origin

    return gradient_only(loss, f32(0, 1))


@twins("pow", direction="backward", advice="power|base from 0", wrong="sqrt")
def slope_of_a_gamma_correction(mended: bool) -> Built:
    def loss(image, gamma):
        image = image + 1e-6 if mended else image
        return (image**gamma).sum()  # <- origin

    return grad_of(loss, f32(0, 0.5), jnp.float32(0.45))


# -- linear algebra --------------------------------------------------------------------


@twins(
    verdict="born or placed",
    direction="forward or backward",
    advice="singular",
    wrong="log_softmax",
)
def volume_of_a_flow_that_folds(mended: bool) -> Built:
    def loss(w, x):
        w = w + (0.1 * jnp.eye(2) if mended else 0)
        log_det = jnp.linalg.slogdet(w)[1]  # <- origin
        return ((x @ w) ** 2).mean() - log_det

    return grad_of(loss, jnp.ones((2, 2)), grid(3, 2))


@twins(direction="backward", advice="singular", wrong="norm at 0")
def slope_of_the_volume_of_a_fold(mended: bool) -> Built:
    def loss(w):
        w = w + (0.1 * jnp.eye(2) if mended else 0)
        return jnp.linalg.slogdet(w)[1]  # <- origin

    return gradient_only(loss, jnp.ones((2, 2)))


@twins(direction="backward", advice="singular|rank|depend", wrong="softmax")
def slope_of_qr_of_equal_columns(mended: bool) -> Built:
    def loss(w):
        w = w + (jnp.eye(3, 2) if mended else 0)
        return jnp.abs(jnp.linalg.qr(w)[0]).sum()  # <- origin

    return gradient_only(loss, jnp.zeros((3, 2)))


@twins("cholesky", advice="diagonal|positive definite|singular")
def slope_of_a_covariance_of_rank_1(mended: bool) -> Built:
    def loss(scale):
        cov = jnp.diag(scale) + (1e-3 * jnp.eye(2) if mended else 0)
        return jnp.linalg.cholesky(cov).sum()  # <- origin

    return gradient_only(loss, f32(1, 0))


@twins(
    "triangular_solve",
    loop=(("scan", 2, 4),),
    advice="singular",
    wrong="not positive definite",
)
def kalman_gain_without_noise(mended: bool) -> Built:
    @jax.jit
    def track(xs, noise):
        def update(mean, step):
            x, r = step
            cov = jnp.ones((2, 2)) + (r + (0.1 if mended else 0)) * jnp.eye(2)
            gain = jnp.linalg.solve(cov, x - mean)  # <- origin
            return mean + gain, gain

        return jax.lax.scan(update, jnp.zeros(2), (xs, noise))

    return Built(track, (grid(4, 2), f32(1, 1, 0, 1)))


@twins("div", advice="constant|variance of 0", wrong="^division by zero")
def correlation_with_a_dead_sensor(mended: bool) -> Built:
    @jax.jit
    def correlation(x):
        x = x + (0.1 * grid(3, 4) ** 2 if mended else 0)
        return jnp.corrcoef(x).sum()  # <- origin

    return Built(correlation, (grid(3, 4).at[1].set(2),))


@twins("div", advice="weights|division by zero")
def average_without_weights(mended: bool) -> Built:
    @jax.jit
    def pooled(x, weights):
        weights = weights + (1e-6 if mended else 0)
        return jnp.average(x, axis=1, weights=weights).sum()  # <- origin

    return Built(pooled, (grid(2, 3), f32(0, 0, 0)))


@twins("div", direction="backward", advice="norm at 0", wrong="double where")
def forces_of_a_matern_kernel(mended: bool) -> Built:
    def loss(x, y):
        difference = x[:, None] - x[None]
        if mended:
            d = jnp.sqrt((difference**2).sum(-1) + 1e-9)
        else:
            d = jnp.linalg.norm(difference, axis=-1)  # <- origin
        k = (1 + d) * jnp.exp(-d) + 0.1 * jnp.eye(3)
        return y @ jnp.linalg.solve(k, y)

    return grad_of(loss, grid(3, 2), f32(1, 2, 3))


# -- reinforcement learning, diffusion, graphs, sampling, equations --------------------


@twins("mul", advice="mask|where|xlogy", wrong="log of 0|overflow")
def entropy_with_illegal_moves(mended: bool) -> Built:
    @jax.jit
    def entropy(logits, legal):
        floor = -1e9 if mended else -jnp.inf
        log_p = jax.nn.log_softmax(jnp.where(legal, logits, floor))
        return -(jnp.exp(log_p) * log_p).sum()  # <- origin

    return Built(entropy, (f32(1, 2, 3), jnp.array([True, False, True])))


@twins("div", advice="division by zero", wrong="log space")
def returns_after_the_end_of_an_episode(mended: bool) -> Built:
    @jax.jit
    def returns(rewards, discounts):
        factors = jnp.cumprod(discounts)
        factors = jnp.maximum(factors, 1e-6) if mended else factors
        return (jnp.cumsum(rewards * factors) / factors).mean()  # <- origin

    return Built(returns, (f32(1, 2, 3), f32(1, 0.9, 0)))


@twins("log", advice="factor is 0|log of 0|above 0", wrong="log_softmax.*sigmoid")
def transmittance_behind_a_wall(mended: bool) -> Built:
    @jax.jit
    def log_light(alpha):
        alpha = jnp.minimum(alpha, 0.999) if mended else alpha
        return jnp.log(jnp.cumprod(1 - alpha)).sum()  # <- origin

    return Built(log_light, (f32(0.5, 1, 0.2),))


@twins("div", advice="division by zero", wrong="log of 0")
def signal_to_noise_without_noise(mended: bool) -> Built:
    @jax.jit
    def log_snr(alpha):
        noise = 1 - alpha**2 + (1e-5 if mended else 0)
        return jnp.log(alpha**2 / noise).mean()  # <- origin

    return Built(log_snr, (f32(0.5, 1),))


@twins("div", direction="backward", advice="sqrt at 0", wrong="norm")
def slope_of_the_noise_at_the_first_step(mended: bool) -> Built:
    def loss(alpha_bar, noise):
        sigma = jnp.sqrt(1 - alpha_bar + (1e-6 if mended else 0))  # <- origin
        return (sigma * noise).sum()

    return grad_of(loss, f32(1, 0.5), f32(1, 2))


@twins(verdict="placed", advice="segment", wrong="log|masked altogether")
def max_over_a_node_without_edges(mended: bool) -> Built:
    @jax.jit
    def layer(w, x, at):
        pooled = jax.ops.segment_max(x, at, 3)  # <- origin
        pooled = jnp.where(jnp.isfinite(pooled), pooled, 0) if mended else pooled
        return (pooled @ w).sum()

    return Built(layer, (grid(2, 2), grid(3, 2), jnp.array([0, 0, 2])))


@twins("div", loop=(("fori_loop", 1, 3),), advice="division by zero")
def step_size_of_an_exact_step(mended: bool) -> Built:
    @jax.jit
    def solve(h, errors):
        def step(i, h):
            error = errors[i] + (1e-9 if mended else 0)
            return h * (1e-3 / error) ** 0.2  # <- origin

        return jax.lax.fori_loop(0, 3, step, h)

    return Built(solve, (jnp.float32(0.1), f32(1e-2, 0, 1e-2)))


@twins(loop=None, advice="overflow of float32", wrong="float16|loss scal")
def leapfrog_with_long_steps(mended: bool) -> Built:
    @jax.jit
    def trajectory(q, p, step):
        step = step * 0.01 if mended else step

        def leap(state, _):
            q, p = state
            p = p - step * 4 * q**3  # <- origin
            return (q + step * p, p), None

        return jax.lax.scan(leap, (q, p), None, length=12)[0]

    return Built(trajectory, (f32(3, 1), f32(1, 1), jnp.float32(1)))


# -- data behind a mask ----------------------------------------------------------------


@twins(verdict="came in", argument="x[1, 0]", advice="mask `x`", wrong="parameter")
def padded_rows_masked_after_a_layer(mended: bool) -> Built:
    def loss(w, x, valid):
        x = jnp.where(valid[:, None], x, 0) if mended else x
        out = jnp.tanh(x @ w)
        return (jnp.where(valid[:, None], out, 0) ** 2).mean()

    x, valid = grid(3, 2).at[1].set(jnp.nan), jnp.array([True, False, True])
    return grad_of(loss, grid(2, 4), x, valid)


@twins(verdict="came in", argument="y[2]", advice="mask `y`|where", wrong="parameter")
def labels_times_a_mask(mended: bool) -> Built:
    def loss(w, x, y, mask):
        y = jnp.where(mask > 0, y, 0) if mended else y
        return (((x @ w - y) ** 2) * mask).sum() / mask.sum()

    return grad_of(loss, f32(1, 2), grid(3, 2), f32(1, 2, np.nan), f32(1, 1, 0))


# -- mixed precision -------------------------------------------------------------------


@twins(direction="backward", advice="loss scale", wrong="x.astype")
def loss_scale_that_overflows_a_cast(mended: bool) -> Built:
    scale = 2.0**8 if mended else 2.0**17

    def loss(w, x):
        out = x.astype(jnp.float16) @ w.astype(jnp.float16)
        out = out.astype(jnp.float32)  # <- origin
        return ((out - 1) ** 2).sum() * scale

    return grad_of(loss, grid(3, 1), grid(4, 3))


@twins("dot_general", direction="backward", advice="loss scale", wrong="x.astype")
def loss_scale_that_overflows_a_product(mended: bool) -> Built:
    scale = 2.0**2 if mended else 2.0**13

    def loss(w, x):
        w, x = w.astype(jnp.float16), x.astype(jnp.float16)
        out = x @ w  # <- origin
        return ((out - 1).astype(jnp.float32) ** 2).mean() * scale

    return grad_of(loss, grid(3, 1), 20 + grid(64, 3))


@twins(direction="backward", advice="loss scale", wrong="x.astype")
def loss_scale_that_is_an_argument(mended: bool) -> Built:
    def loss(w, x, scale):
        out = (x @ w.astype(jnp.float16)).astype(jnp.float32)  # <- origin
        return (out**2).sum() * scale

    scale = jnp.float32(2.0**8 if mended else 2.0**20)
    return grad_of(loss, grid(3, 1), grid(4, 3).astype(jnp.float16), scale)


@twins("sub", "div", advice="masked altogether", wrong="overflow")
def mask_of_minus_1e9_in_float16(mended: bool) -> Built:
    @jax.jit
    def attend(scores, mask, values):
        floor = -1e4 if mended else -np.inf  # what -1e9 is in float16
        scores = jnp.where(mask, scores, np.float16(floor))
        return jax.nn.softmax(scores) @ values  # <- origin

    mask = jnp.array([[True, True], [False, False]])
    half = grid(2, 2).astype(jnp.float16)
    return Built(attend, (half, mask, half))


@twins(
    "square", "mul", "integer_pow", advice="overflow of float16", wrong="loss scale of"
)
def variance_of_large_activations(mended: bool) -> Built:
    @jax.jit
    def normalise(x):
        wide = x.astype(jnp.float32) if mended else x
        mean = (wide * wide).mean()  # <- origin
        return x, jnp.sqrt(mean)

    return Built(normalise, (jnp.full(4, 300, jnp.float16),))


@twins("div", advice="underflows in float16", wrong="double where")
def adam_in_float16(mended: bool) -> Built:
    @jax.jit
    def update(g, v):
        eps = 1e-4 if mended else 1e-8
        return g / (jnp.sqrt(v) + eps)  # <- origin

    return Built(update, (jnp.zeros(2, jnp.float16), jnp.zeros(2, jnp.float16)))


# -- what is right, and looks as if it were not ----------------------------------------


def benign(build: Callable[[], Built]) -> Callable[[], Built]:
    """Adds a program in which nothing is wrong."""
    BENIGN.append(Program(build))
    return build


@benign
def slope_of_a_product_with_zeros() -> Built:
    return gradient_only(lambda x: jnp.prod(x) + jnp.cumprod(x).sum(), f32(0, 0, 2))


@benign
def slope_of_equal_eigenvalues() -> Built:
    return gradient_only(lambda a: jnp.linalg.eigvalsh(a).sum(), jnp.eye(3))


@benign
def acceptance_of_a_far_better_state() -> Built:
    @jax.jit
    def accept(log_ratio):
        return jnp.minimum(1, jnp.exp(log_ratio)).mean()

    return Built(accept, (f32(1, 200),))


@benign
def safe_norm_at_0() -> Built:
    return gradient_only(lambda x: optax.safe_norm(x, 1e-6).sum(), f32(0, 0))


@benign
def log_with_a_double_where() -> Built:
    def loss(p):
        ok = p > 0
        return jnp.where(ok, jnp.log(jnp.where(ok, p, 1)), 0).sum()

    return gradient_only(loss, f32(0, 1))
