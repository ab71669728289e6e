"""Eager calls of libraries: those that are right, whatever they make inside, and bugs.

A bug gives a NaN or an Inf that the call returns, stores, or hands on; the name beside
it is that of the call, as a failure is to have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

INF = jnp.inf
ZEROS, ONES = np.zeros(3, np.float32), np.ones(3, np.float32)
HALF = np.array([0.0, 0.5, 0.5], np.float32)

RIGHT: list[Callable[[], Any]] = []
BUGS: list[tuple[Callable[[], Any], str]] = []


def right(call: Callable[[], Any]) -> Callable[[], Any]:
    """Adds a call that gives what is right."""
    RIGHT.append(call)
    return call


def bug(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Adds a call that gives NaN or Inf, with its name in the message."""

    def add(call: Callable[[], Any]) -> Callable[[], Any]:
        BUGS.append((call, name))
        return call

    return add


def updated(transform: Any, gradients: Any, params: Any = ONES) -> Any:
    """One update of an optimizer."""
    state = transform.init(params)
    return transform.update(gradients, state, params)


# -- right ----------------------------------------------------------------------------


@right
def entropy_of_nothing():
    return jax.scipy.special.entr(jnp.array([0.0, 0.5]))


@right
def divergence_from_a_target_of_zero():
    return optax.kl_divergence(jax.nn.log_softmax(jnp.asarray(ONES)), jnp.asarray(HALF))


@right
def divergence_used_afterwards():
    loss = optax.kl_divergence(jnp.log(jnp.asarray(ONES)), jnp.asarray(HALF))
    return loss * 2, float(loss), np.asarray(loss)


@right
def gradient_of_a_masked_logit():
    def loss(logits):
        return optax.safe_softmax_cross_entropy(logits, jnp.array([1.0, 0, 0])).sum()

    return jax.grad(loss)(jnp.array([1.0, 2.0, -INF]))


@right
def entropies_in_a_loop():
    total = 0.0
    for p in (0.0, 0.5, 1.0):
        total += float(jax.scipy.special.entr(jnp.float32(p)))
    return total


@right
def clipping_of_no_gradient():
    return updated(optax.clip_by_global_norm(1.0), jnp.asarray(ZEROS))


@right
def adaptive_clipping_of_new_weights():
    return updated(optax.adaptive_grad_clip(0.1), jnp.ones((2, 2)), jnp.zeros((2, 2)))


@right
def first_update_of_adam():
    return updated(optax.adam(1e-3), jnp.asarray(ZEROS))


@right
def trust_ratio_of_zeros():
    return updated(optax.lamb(1e-3), jnp.asarray(ZEROS), jnp.asarray(ZEROS))


@right
def layer_wise_rate_of_zeros():
    return updated(optax.lars(1e-3), jnp.asarray(ZEROS), jnp.asarray(ZEROS))


@right
def norm_that_is_safe():
    return jax.grad(lambda x: optax.safe_norm(x, 1e-6))(jnp.asarray(ZEROS))


@right
def truncated_samples():
    return jax.random.truncated_normal(jax.random.key(0), -2.0, 2.0, (20,))


@right
def samples_of_a_masked_category():
    return jax.random.categorical(jax.random.key(0), jnp.array([0.0, -INF, 1.0]))


@right
def samples_of_gamma_and_beta():
    key = jax.random.key(0)
    return jax.random.gamma(key, 0.1, (9,)), jax.random.beta(key, 0.1, 0.1, (9,))


@right
def sine_over_zero():
    return jnp.sinc(jnp.asarray(ZEROS))


@right
def relative_entropies():
    special = jax.scipy.special
    p = jnp.asarray(HALF)
    return special.rel_entr(p, p), special.kl_div(p, p), special.xlogy(p, p)


@right
def log_sum_of_masked_values():
    return jax.nn.logsumexp(jnp.array([-INF, -INF, 0.0])), jax.nn.log_softmax(
        jnp.array([-INF, 0.0])
    )


@right
def densities_inside_their_support():
    stats = jax.scipy.stats
    x = jnp.array([0.5, 0.9])
    return stats.beta.logpdf(x, 2.0, 2.0), stats.gamma.logpdf(x, 2.0)


@right
def loss_of_a_short_sequence():
    logits, labels = jnp.zeros((1, 4, 3)), jnp.array([[1, 2]])
    return optax.ctc_loss(logits, jnp.zeros((1, 4)), labels, jnp.zeros((1, 2)))


@right
def similarity_with_an_epsilon():
    return optax.cosine_similarity(jnp.asarray(ZEROS), jnp.asarray(ONES), epsilon=1e-6)


@right
def statistics_of_what_is_there():
    x = jnp.array([1.0, jnp.nan, 3.0])
    return jnp.nanmean(x), jnp.nanstd(x), jnp.nanmax(x), jnp.nanmedian(x)


@right
def focal_loss_of_a_sure_prediction():
    return optax.sigmoid_focal_loss(jnp.array([50.0, -50.0]), jnp.array([1.0, 0.0]))


# -- bugs -----------------------------------------------------------------------------


@bug("")
def logarithm_of_the_users():
    return jnp.log(jnp.asarray(ZEROS)) * 1.0


@bug("")
def division_of_the_users():
    return jnp.asarray(ZEROS) / jnp.asarray(ZEROS)


@bug("optax.kl_divergence(...)")
def divergence_of_an_impossible_event():
    return optax.kl_divergence(jnp.array([-INF, 0.0]), jnp.array([0.5, 0.5]))


@bug("optax.cosine_similarity(...)")
def similarity_of_nothing():
    return optax.cosine_similarity(jnp.asarray(ZEROS), jnp.asarray(ONES))


@bug("optax.cosine_similarity(...)")
def similarity_that_becomes_a_number():
    return float(optax.cosine_similarity(jnp.asarray(ZEROS), jnp.asarray(ONES)))


@bug("optax.cosine_similarity(...)")
def similarity_that_is_masked_by_the_user():
    same = optax.cosine_similarity(jnp.asarray(ZEROS), jnp.asarray(ONES))
    return jnp.where(jnp.isnan(same), 0.0, same)


@bug("optax.l2_loss(...)")
def squares_that_overflow():
    return optax.l2_loss(jnp.array([1e30]))


@bug("norm(...)")
def gradient_of_a_norm_at_zero():
    return jax.grad(jnp.linalg.norm)(jnp.asarray(ZEROS))


@bug("transform.update(...)")
def root_mean_square_without_an_epsilon():
    transform = optax.rmsprop(1e-3, eps=0.0)
    state = transform.init(jnp.asarray(ONES))
    return transform.update(jnp.asarray(ZEROS), state)


@bug("corrcoef(...)")
def correlation_of_a_constant():
    return jnp.corrcoef(jnp.stack([jnp.asarray(ONES), jnp.asarray(HALF)]))


@bug("optax.squared_error(...)")
def error_that_overflows():
    return optax.squared_error(jnp.array([1e30]))
