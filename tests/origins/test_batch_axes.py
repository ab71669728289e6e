"""Which arguments are weights, and which are batches, by what becomes of their axes.

All shapes are square where they can be: shapes alone say nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from jaxdbg.origins.batch_axes import roles

W = X = np.ones((4, 4), np.float32)
B = X[0]
Y = np.zeros(4, int)


def trained(w, b, x, y):
    def loss(params):
        w, b = params
        h = jax.nn.relu(x @ w + b) @ w + b + x
        return optax.softmax_cross_entropy_with_integer_labels(h, y).mean()

    value, (of_w, of_b) = jax.value_and_grad(loss)((w, b))
    return w - of_w, b - of_b, value


def convolved(kernel, b, x):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", None, None, layout) + b


def embedded(table, w, tokens):
    return (table[tokens] @ w).sum()


def attended(q, k, v, x):
    scores = (x @ q) @ (x @ k).swapaxes(-1, -2)
    return jax.nn.softmax(scores) @ (x @ v)


def scanned(w, xs):
    return lax.scan(lambda c, x: (c + x @ w, c), jnp.zeros(4), xs)


@pytest.mark.parametrize(
    ("function", "args", "weights", "batches"),
    [
        (trained, (W, B, X, Y), {0, 1}, {2, 3}),
        (convolved, (np.ones((3, 3, 4, 4)), B, np.ones((3, 5, 5, 4))), {0, 1}, {2}),
        (embedded, (W, W, np.zeros((4, 4), int)), {0, 1}, set()),
        (attended, (W, W, W, np.ones((4, 4, 4))), {0, 1, 2}, {3}),
        (scanned, (W, X), {0}, {1}),
        (lambda theta, x: (theta * x).sum(1), (B, X), {0}, {1}),
        (jax.vmap(lambda x, w: x @ w, (0, None)), (X, W), {1}, {0}),
        (lambda w, grads: w - grads, (W, W), set(), set()),
    ],
)
def test_roles(function, args, weights, batches):
    found = roles(jax.make_jaxpr(function)(*args))
    assert (found.weights, found.batches) == (weights, batches)
