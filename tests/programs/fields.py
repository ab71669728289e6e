"""Programs of many fields that go wrong, each with a mended twin that does not.

In the style of `origins`. The twin is the same program after the advice was taken, on
the same data. `advice` is a pattern of what helps; it is looked for in the cause and in
the advice. Where neither is stated, there is nothing to advise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy import special

from tests.programs.origins import Built, Program, f32, grid

PROGRAMS: list[Program] = []
BENIGN: list[Program] = []

Build = Callable[[bool], Built]


def twins(*primitive: str, **truth: Any) -> Callable[[Build], Build]:
    """Adds a program that goes wrong, with the truth about it, and its mended twin."""

    def add(build: Build) -> Build:
        PROGRAMS.append(Program(one_of(build, mended=False), primitive, **truth))
        BENIGN.append(Program(one_of(build, mended=True)))
        return build

    return add


def one_of(build: Build, mended: bool) -> Callable[[], Built]:
    """The program that goes wrong, or its twin."""

    @functools.wraps(build)
    def program() -> Built:
        return build(mended)

    program.__name__ += "_mended" if mended else ""
    return program


def grad_of(loss: Callable[..., Any], *args: Any) -> Built:
    """A call that gives a loss and its gradient in the first argument."""
    return Built(jax.jit(jax.value_and_grad(loss)), args)


# -- reinforcement learning ------------------------------------------------------------


@twins("log", advice="log of 0")
def squashed_log_prob(mended: bool) -> Built:
    @jax.jit
    def correction(u):
        if mended:
            return 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u)).sum()
        return jnp.log(1 - jnp.tanh(u) ** 2).sum()  # <- origin

    return Built(correction, (f32(0.5, 20),))


@twins("log", advice="log_softmax")
def entropy_of_a_sure_policy(mended: bool) -> Built:
    def entropy(logits):
        p = jax.nn.softmax(logits)
        log_p = jax.nn.log_softmax(logits) if mended else jnp.log(p)  # <- origin
        return -(p * log_p).sum()

    return grad_of(entropy, f32(200, 0, 0))


@twins("div", advice="variance of 0|std")
def advantages_of_equal_returns(mended: bool) -> Built:
    @jax.jit
    def policy_loss(log_prob, returns):
        eps = 1e-8 if mended else 0.0
        gain = (returns - returns.mean()) / (returns.std() + eps)  # <- origin
        return -(log_prob * gain).mean()

    return Built(policy_loss, (f32(-1, -2, -3), f32(1, 1, 1)))


# -- diffusion, flows ------------------------------------------------------------------


@twins("div", advice="division by zero")
def noise_schedule_that_ends_in_0(mended: bool) -> Built:
    @jax.jit
    def denoise(x, noise, alpha_bar):
        alpha_bar = jnp.maximum(alpha_bar, 1e-5) if mended else alpha_bar
        return (x - jnp.sqrt(1 - alpha_bar) * noise) / jnp.sqrt(alpha_bar)  # <- origin

    return Built(denoise, (f32(1, 2), f32(1, 1), f32(0.9, 0)))


@twins("div", advice="division by zero")
def score_without_noise(mended: bool) -> Built:
    @jax.jit
    def score(x, mean, sigma):
        variance = sigma**2 + (1e-6 if mended else 0)
        return -(x - mean) / variance  # <- origin

    return Built(score, (f32(1, 2), f32(1, 0), f32(0, 1)))


@twins("log", advice="log of 0")
def log_det_of_a_singular_layer(mended: bool) -> Built:
    @jax.jit
    def log_det(w):
        w = w + (0.1 * jnp.eye(2) if mended else 0)
        return jnp.log(jnp.abs(jnp.linalg.det(w)))  # <- origin

    return Built(log_det, (jnp.ones((2, 2)),))


@twins("log1p", advice="log of 0")
def logit_of_a_white_pixel(mended: bool) -> Built:
    @jax.jit
    def logit(x):
        x = 0.05 + 0.9 * x if mended else x
        return jnp.log(x) - jnp.log1p(-x)  # <- origin

    return Built(logit, (f32(0.5, 1),))


@twins("rsqrt", "div", "pow", direction="backward", advice="arccosh")
def hyperbolic_distance_of_a_point_to_itself(mended: bool) -> Built:
    def distance(t):
        t = jnp.maximum(t, 1 + 1e-6) if mended else t
        return jnp.arccosh(t).sum()  # <- origin

    return grad_of(distance, f32(1, 2))


@twins("erf_inv", advice="erfinv")
def copula_of_a_rank_of_1(mended: bool) -> Built:
    @jax.jit
    def normal_scores(ranks):
        u = ranks / (ranks.size + (1 if mended else 0))
        return special.erfinv(2 * u - 1).sum()  # <- origin

    return Built(normal_scores, (f32(1, 2, 3, 4),))


# -- Gaussian processes, linear algebra ------------------------------------------------


@twins("cholesky", advice="not positive definite")
def kernel_of_equal_points(mended: bool) -> Built:
    @jax.jit
    def factor(x):
        k = jnp.exp(-0.5 * (x[:, None] - x) ** 2) - 1e-6 * jnp.eye(4)
        k = k + (1e-3 * jnp.eye(4) if mended else 0)
        return jnp.linalg.cholesky(k)  # <- origin

    return Built(factor, (f32(0, 1, 1, 1),))


@twins("sqrt", advice="square root of a negative")
def posterior_variance_below_0(mended: bool) -> Built:
    @jax.jit
    def spread(prior, explained):
        variance = prior - explained
        variance = jnp.maximum(variance, 0) if mended else variance
        return jnp.sqrt(variance)  # <- origin

    return Built(spread, (f32(1, 1), f32(0.5, 1.0000001)))


@twins("div", "lu", "triangular_solve", "custom_linear_solve", advice="singular")
def polynomial_through_equal_knots(mended: bool) -> Built:
    @jax.jit
    def fit(x, y):
        v = jnp.stack([jnp.ones_like(x), x], 1)
        normal = v.T @ v + (1e-3 * jnp.eye(2) if mended else 0)
        return jnp.linalg.solve(normal, v.T @ y)  # <- origin

    return Built(fit, (f32(1, 1, 1), f32(1, 2, 3)))


@twins("div", "lu", "triangular_solve", "custom_linear_solve", advice="singular")
def inverse_of_a_fisher_matrix_of_rank_1(mended: bool) -> Built:
    @jax.jit
    def natural(g):
        fisher = jnp.outer(g, g) + (0.1 * jnp.eye(3) if mended else 0)
        return jnp.linalg.inv(fisher) @ g  # <- origin

    return Built(natural, (f32(1, 0, 2),))


@twins("integer_pow", "div", "pow", direction="backward", advice="eigenvalue")
def axes_of_a_round_cloud(mended: bool) -> Built:
    def spread(covariance, x):
        shift = jnp.diag(f32(0, 1e-3, 2e-3)) if mended else 0
        _, axes = jnp.linalg.eigh(covariance + shift)  # <- origin
        return ((x @ axes) ** 4).sum()

    return grad_of(spread, jnp.eye(3), grid(2, 3))


@twins("div", "integer_pow", "pow", direction="backward", advice="singular value")
def rotation_nearest_to_a_rotation(mended: bool) -> Built:
    def distance(m, target):
        shift = jnp.diag(f32(0, 1e-3, 2e-3)) if mended else 0
        u, _, vt = jnp.linalg.svd(m + shift)  # <- origin
        return ((u @ vt - target) ** 2).sum()

    return grad_of(distance, jnp.eye(3), grid(3, 3))


# -- differential equations, sampling --------------------------------------------------


@twins("div", advice="division by zero")
def step_of_no_length(mended: bool) -> Built:
    @jax.jit
    def slopes(t, y):
        h = jnp.diff(t)
        h = jnp.where(h > 0, h, 1) if mended else h
        return jnp.diff(y) / h  # <- origin

    return Built(slopes, (f32(0, 1, 1, 2), f32(0, 1, 1, 4)))


@twins("integer_pow", "mul", "square", loop=None, advice="overflow of float32")
def stiff_equation_by_euler(mended: bool) -> Built:
    @jax.jit
    def integrate(y):
        def step(y, _):
            h = 1e-3 if mended else 1.0
            force = y**3  # <- origin
            return y - h * force, y

        return jax.lax.scan(step, y, length=12)[0]

    return Built(integrate, (jnp.float32(3.0),))


@twins("log", advice="log of 0")
def acceptance_of_nothing(mended: bool) -> Built:
    @jax.jit
    def adapted(log_step, accepted):
        rate = accepted.mean()
        rate = jnp.maximum(rate, 1e-3) if mended else rate
        return log_step + jnp.log(rate) - jnp.log(0.65)  # <- origin

    return Built(adapted, (jnp.float32(0), f32(0, 0, 0)))


@twins("exp", advice="overflow of exp")
def ratio_of_two_densities(mended: bool) -> Built:
    @jax.jit
    def acceptance(old, new):
        difference = old - new
        difference = jnp.minimum(difference, 0) if mended else difference
        return jnp.exp(difference)  # <- origin

    return Built(acceptance, (f32(500, 1), f32(1, 2)))


@twins("div", advice="log space|softmax")
def soft_clusters_of_a_far_point(mended: bool) -> Built:
    @jax.jit
    def assigned(x, centres):
        distance = (x[:, None] - centres) ** 2
        if mended:
            return jax.nn.softmax(-distance)
        near = jnp.exp(-distance)
        return near / near.sum(1, keepdims=True)  # <- origin

    return Built(assigned, (f32(0, 50), f32(-1, 1)))


@twins("log", advice="log space|cumsum|sum of log")
def likelihood_of_a_long_sequence(mended: bool) -> Built:
    @jax.jit
    def log_likelihood(p):
        if mended:
            return jnp.cumsum(jnp.log(p))
        so_far = jnp.cumprod(p)
        return jnp.log(so_far)  # <- origin

    return Built(log_likelihood, (jnp.full(64, 0.1),))


# -- graphs, geometry ------------------------------------------------------------------


@twins("pow", "rsqrt", "div", advice="division by zero")
def node_without_neighbours(mended: bool) -> Built:
    @jax.jit
    def laplacian(adjacency):
        degree = adjacency.sum(1) + (1 if mended else 0)
        scale = degree**-0.5  # <- origin
        return scale[:, None] * adjacency * scale

    return Built(laplacian, (jnp.ones((3, 3)).at[1].set(0).at[:, 1].set(0),))


@twins("div", direction="backward", advice="gradient of sqrt at 0")
def spread_of_a_single_neighbour(mended: bool) -> Built:
    def spread(x, segment):
        count = jax.ops.segment_sum(jnp.ones_like(x), segment, 2)
        mean = jax.ops.segment_sum(x, segment, 2) / count
        square = jax.ops.segment_sum(x * x, segment, 2) / count
        variance = jnp.maximum(square - mean**2, 0) + (1e-5 if mended else 0)
        return jnp.sqrt(variance).sum()  # <- origin

    return grad_of(spread, f32(1, 2, 3), jnp.array([0, 0, 1]))


@twins("div", advice="division by zero")
def quaternion_of_length_0(mended: bool) -> Built:
    @jax.jit
    def rotation(q):
        length = jnp.linalg.norm(q, axis=-1, keepdims=True)
        length = jnp.maximum(length, 1e-6) if mended else length
        return q / length  # <- origin

    return Built(rotation, (grid(2, 4).at[1].set(0),))


@twins("acos", advice="arccos outside")
def angle_of_two_equal_directions(mended: bool) -> Built:
    @jax.jit
    def angle(u, v):
        cosine = (u * v).sum(-1)
        cosine = jnp.clip(cosine, -1, 1) if mended else cosine
        return jnp.arccos(cosine)  # <- origin

    u = f32(1.0000001, 0)
    return Built(angle, (u, u))


@twins("rsqrt", "div", "pow", direction="backward", advice="arccos")
def angle_of_parallel_bonds(mended: bool) -> Built:
    def energy(u, v):
        norm = jnp.linalg.norm
        if mended:
            cosine = jnp.clip(u @ v / (norm(u) * norm(v)), -0.999, 0.999)
            return jnp.arccos(cosine)
        return jnp.arccos(u @ v / (norm(u) * norm(v)))  # <- origin

    return grad_of(energy, f32(2, 0), f32(4, 0))


@twins("div", advice="division by zero")
def overlap_of_empty_boxes(mended: bool) -> Built:
    @jax.jit
    def iou(a, b):
        size = jnp.maximum(jnp.minimum(a[2:], b[2:]) - jnp.maximum(a[:2], b[:2]), 0)
        both = size.prod()
        union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both
        union = jnp.maximum(union, 1e-6) if mended else union
        return both / union  # <- origin

    return Built(iou, (f32(1, 1, 1, 1), f32(1, 1, 1, 1)))


@twins("div", advice="division by zero")
def interpolation_between_equal_knots(mended: bool) -> Built:
    @jax.jit
    def weight(x, knots):
        width = knots[1:] - knots[:-1]
        width = jnp.where(width == 0, 1, width) if mended else width
        return (x - knots[:-1]) / width  # <- origin

    return Built(weight, (jnp.float32(1), f32(0, 1, 1, 2)))


@twins("div", direction="backward", advice="arctan2|atan2")
def heading_of_something_at_rest(mended: bool) -> Built:
    def turn(v):
        v = v + (1e-6 if mended else 0)
        return jnp.arctan2(v[1], v[0])  # <- origin

    return grad_of(turn, jnp.zeros(2))


@twins("div", direction="backward", advice="gradient of sqrt at 0")
def magnitude_of_a_silent_spectrum(mended: bool) -> Built:
    def loss(signal):
        z = jnp.fft.rfft(signal)
        power = z.real**2 + z.imag**2 + (1e-6 if mended else 0)
        return jnp.sqrt(power).sum()  # <- origin

    return grad_of(loss, jnp.zeros(8))


# -- losses and their gradients --------------------------------------------------------


@twins("div", advice="division by zero")
def similarity_to_an_empty_document(mended: bool) -> Built:
    @jax.jit
    def similarity(a, b):
        lengths = jnp.sqrt((a * a).sum(-1) * (b * b).sum(-1))
        lengths = lengths + (1e-6 if mended else 0)
        return (a * b).sum(-1) / lengths  # <- origin

    return Built(similarity, (grid(2, 3).at[0].set(0), grid(2, 3) + 2))


@twins("div", "mul", direction="backward", advice="gradient of norm at 0")
def unit_vector_with_a_floor(mended: bool) -> Built:
    def loss(x, target):
        if mended:
            length = optax.safe_norm(x, 1e-6)
        else:
            length = jnp.maximum(jnp.linalg.norm(x), 1e-6)  # <- origin
        return ((x / length - target) ** 2).sum()

    return grad_of(loss, jnp.zeros(3), f32(1, 0, 0))


@twins("div", "pow", "rsqrt", direction="backward", advice="gradient of sqrt at 0")
def root_written_as_a_power(mended: bool) -> Built:
    def loss(x):
        x = x + (1e-6 if mended else 0)
        return (x**0.5).sum()  # <- origin

    return grad_of(loss, f32(4, 0))


@twins("div", advice="division by zero")
def sinc_by_hand(mended: bool) -> Built:
    @jax.jit
    def window(x):
        return jnp.sinc(x / jnp.pi) if mended else jnp.sin(x) / x  # <- origin

    return Built(window, (f32(-1, 0, 1),))


@twins("div", direction="backward", advice="gradient of sqrt at 0")
def charbonnier_without_eps(mended: bool) -> Built:
    def loss(prediction, target):
        r = prediction - target
        return jnp.sqrt(r**2 + (1e-6 if mended else 0)).mean()  # <- origin

    return grad_of(loss, f32(1, 2), f32(1, 3))


@twins("expm1", advice="overflow of expm1")
def inverse_of_softplus(mended: bool) -> Built:
    @jax.jit
    def inverse(y):
        if mended:
            return y + jnp.log(-jnp.expm1(-y))
        return jnp.log(jnp.expm1(y))  # <- origin

    return Built(inverse, (f32(1, 100),))


@twins("log", advice="log of 0")
def divergence_from_an_impossible_class(mended: bool) -> Built:
    @jax.jit
    def kl(p, q):
        q = jnp.maximum(q, 1e-6) if mended else q
        return (p * (jnp.log(p) - jnp.log(q))).sum()  # <- origin

    return Built(kl, (f32(0.5, 0.5), f32(1, 0)))


@twins("div", direction="backward", advice="sqrt at 0|std|variance of 0")
def gradient_of_the_spread_of_a_constant(mended: bool) -> Built:
    def loss(x):
        if mended:
            return jnp.sqrt(x.var(0) + 1e-5).sum()
        return x.std(0).sum()  # <- origin

    return grad_of(loss, jnp.ones((4, 2)))


@twins("sqrt", advice="square root of a negative")
def spread_by_cancellation(mended: bool) -> Built:
    @jax.jit
    def spread(total, squares, n):
        variance = squares / n - (total / n) ** 2
        variance = jnp.maximum(variance, 0) if mended else variance
        return jnp.sqrt(variance)  # <- origin

    return Built(spread, (f32(3), f32(2.9999998), jnp.float32(3)))


@twins("exp", advice="sigmoid|logistic|clip")
def sigmoid_by_hand(mended: bool) -> Built:
    def loss(x):
        if mended:
            return jax.nn.sigmoid(x).sum()
        return (1 / (1 + jnp.exp(-x))).sum()  # <- origin

    return grad_of(loss, f32(-200, 1))


@twins("lgamma", advice="gamma")
def dirichlet_without_a_count(mended: bool) -> Built:
    @jax.jit
    def normaliser(counts):
        alpha = counts + (0.5 if mended else 0)
        log_beta = special.gammaln(alpha).sum()  # <- origin
        return log_beta - special.gammaln(alpha.sum())

    return Built(normaliser, (f32(2, 0, 1),))


@twins("digamma", advice="digamma")
def expected_log_of_an_empty_topic(mended: bool) -> Built:
    @jax.jit
    def expected(alpha):
        alpha = alpha + (0.1 if mended else 0)
        return special.digamma(alpha) - special.digamma(alpha.sum())  # <- origin

    return Built(expected, (f32(1, 0),))


@twins(
    *("sub", "exp", "div", "mul"),
    direction="backward",
    advice="logsumexp|masked altogether",
)
def mixture_without_a_component(mended: bool) -> Built:
    def loss(scores, allowed):
        scores = scores + jnp.where(allowed, 0, -1e9 if mended else -jnp.inf)
        total = jax.nn.logsumexp(scores, axis=-1)  # <- origin
        return total.sum()

    return grad_of(loss, jnp.zeros((2, 2)), jnp.array([[1, 0], [0, 0]], bool))


# -- masks -----------------------------------------------------------------------------


@twins("exp", advice="before")
def mask_after_exp(mended: bool) -> Built:
    @jax.jit
    def weights(scores, mask):
        if mended:
            scores = jnp.where(mask > 0, scores, 0)
        grown = jnp.exp(scores)  # <- origin
        return grown * mask

    return Built(weights, (f32(1, 100), f32(1, 0)))


@twins(
    verdict="came in", argument="y[1]", direction="backward", advice="mask `y`|where"
)
def labels_that_are_missing(mended: bool) -> Built:
    def loss(w, x, y):
        mask = ~jnp.isnan(y)
        y = jnp.where(mask, y, 0) if mended else y
        return jnp.where(mask, (x @ w - y) ** 2, 0).sum() / mask.sum()

    return grad_of(loss, f32(1, 2), grid(3, 2), f32(1, np.nan, 2))


@twins(verdict="came in", argument="x[1, 0]", advice="mask `x`|where")
def sensor_that_was_off(mended: bool) -> Built:
    def loss(w, x):
        ok = ~jnp.isnan(x)
        x = jnp.where(ok, x, 0) if mended else x
        return jnp.where(ok, jnp.tanh(x * w), 0).sum()

    return grad_of(loss, f32(1, 2), grid(2, 2).at[1, 0].set(jnp.nan))


@twins("rsqrt", "div", "pow", direction="backward", advice="double where")
def arccos_behind_where(mended: bool) -> Built:
    def loss(cosine):
        inside = jnp.abs(cosine) < 1
        cosine = jnp.where(inside, cosine, 0) if mended else cosine
        return jnp.where(inside, jnp.arccos(cosine), 0).sum()  # <- origin

    return grad_of(loss, f32(0.5, 1))


@twins("exp", direction="forward", advice="double where|before")
def elu_by_hand(mended: bool) -> Built:
    def loss(x):
        low = jnp.minimum(x, 0) if mended else x
        return jnp.where(x > 0, x, jnp.exp(low) - 1).sum()  # <- origin

    return grad_of(loss, f32(-1, 100))


# -- half precision --------------------------------------------------------------------


@twins("mul", advice="overflow of float16")
def loss_scale_that_is_too_large(mended: bool) -> Built:
    def loss(w, x):
        error = ((x @ w) ** 2).mean()
        return error * (2.0**8 if mended else 2.0**15)  # <- origin

    x = jnp.full((4, 2), 2, jnp.float16)
    return grad_of(loss, jnp.full(2, 1, jnp.float16), x)


@twins("exp", advice="overflow of float16|largest")
def attention_weights_in_float16(mended: bool) -> Built:
    @jax.jit
    def weights(scores):
        scores = scores - scores.max() if mended else scores
        grown = jnp.exp(scores)  # <- origin
        return grown / grown.sum()

    return Built(weights, (jnp.array([1, 12], jnp.float16),))


@twins("rsqrt", "div", advice="underflows in float16")
def rms_norm_in_float16(mended: bool) -> Built:
    @jax.jit
    def norm(x):
        power = (x * x).mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(power + (1e-3 if mended else 1e-8))  # <- origin

    return Built(norm, (jnp.zeros((2, 4), jnp.float16),))


@twins("log", advice="bfloat16|log of 0")
def one_minus_eps_in_bfloat16(mended: bool) -> Built:
    @jax.jit
    def loss(p):
        eps = 1e-2 if mended else 1e-4
        p = jnp.clip(p, eps, 1 - eps)
        return -jnp.log(1 - p).mean()  # <- origin

    return Built(loss, (jnp.array([0.5, 1], jnp.bfloat16),))


@twins("reduce_precision", advice="range|overflow")
def rounded_to_a_narrow_type(mended: bool) -> Built:
    @jax.jit
    def quantised(x):
        x = jnp.clip(x, -200, 200) if mended else x
        return jax.lax.reduce_precision(x, 4, 3).sum()  # <- origin

    return Built(quantised, (f32(1, 300),))


# -- lines on which a word leads astray ------------------------------------------------


@twins("div", advice="^division by zero")
def std_beside_a_scale_of_0(mended: bool) -> Built:
    @jax.jit
    def whiten(x, scale):
        scale = jnp.maximum(scale, 1e-6) if mended else scale
        return (x - x.mean()) / (x.std() * scale)  # <- origin

    return Built(whiten, (f32(1, 2, 3), jnp.float32(0)))


@twins("div", direction="backward", advice="gradient of sqrt at 0")
def log_around_a_root(mended: bool) -> Built:
    def loss(x):
        x = x + (1e-6 if mended else 0)
        return jnp.log(1 + jnp.sqrt(x)).sum()  # <- origin

    return grad_of(loss, f32(1, 0))


@twins("div", direction="backward", advice="gradient of sqrt at 0")
def root_in_a_function_with_a_where(mended: bool) -> Built:
    def loss(x, weight, gate):
        weight = jnp.where(gate > 0, weight, 0)
        distance = jnp.sqrt(x + (1e-6 if mended else 0))  # <- origin
        return (weight * distance).sum()

    return grad_of(loss, f32(0, 1), f32(1, 1), f32(-1, 1))


@twins("div", advice="^division by zero")
def softmax_beside_a_temperature_of_0(mended: bool) -> Built:
    @jax.jit
    def sharpened(logits, temperature):
        temperature = jnp.maximum(temperature, 1e-3) if mended else temperature
        return jax.nn.softmax(logits / temperature)  # <- origin

    return Built(sharpened, (f32(1, 0), jnp.float32(0)))


@twins("mul", advice="overflow of float32")
def exp_beside_a_product(mended: bool) -> Built:
    @jax.jit
    def force(x, scale):
        scale = scale * 1e-20 if mended else scale
        return jnp.exp(-x) + x * scale  # <- origin

    return Built(force, (f32(1, 1e20), jnp.float32(1e20)))


# -- what came in ----------------------------------------------------------------------


@twins(verdict="came in", argument="signal[2]")
def spectrum_of_a_gap(mended: bool) -> Built:
    @jax.jit
    def spectrum(signal):
        signal = jnp.nan_to_num(signal) if mended else signal
        return jnp.abs(jnp.fft.rfft(signal))

    return Built(spectrum, (f32(1, 2, np.nan, 4),))


@twins(verdict="came in", argument="price[1]")
def return_of_a_price_that_is_infinite(mended: bool) -> Built:
    @jax.jit
    def returns(price):
        price = jnp.where(jnp.isinf(price), 1, price) if mended else price
        return (price / price.sum()).mean()

    return Built(returns, (f32(1, np.inf, 3),))
