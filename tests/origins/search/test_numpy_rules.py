"""What numpy gives for a primitive is bad where XLA's result is, and else the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdbg.jax_internals.jaxprs.evaluate import bind_equation
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.origins.bad_elements import codes_of
from jaxdbg.origins.search.numpy_rules import _RULES, NumpyEvaluator
from tests import quick

SPECIAL = np.fromstring(
    """0 -0 1 -1 0.5 -0.5 1.5 2.5 -2.5 3 nan inf -inf 1e-45 6e-39 -6e-39 1.2e-38 5e-20
    1e-30 1e30 3.4e38 -3.4e38 88.7 88.8 -87 -104 0.99999994 7 1e10 65504 65520 1e-7""",
    np.float32,
    sep=" ",
)
LEFT, RIGHT = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
GRID = np.arange(24, dtype=np.float32).reshape(4, 6)
COUNTS = np.array([0, 1, 5, -3, 7], np.int32)
SOME = GRID.astype(int) % 3 == 0


def named(names):
    return {name: getattr(lax, name) for name in names.split()}


ONE = {
    **named(
        """abs cbrt ceil cos cosh erf erf_inv erfc exp exp2 expm1 floor is_finite log
        log1p logistic neg round rsqrt sign sin sinh sqrt square stop_gradient tan
        tanh"""
    ),
    "away": lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
    "even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "cubed": lambda x: lax.integer_pow(x, 3),
    "inverse square": lambda x: lax.integer_pow(x, -2),
    "to float16": lambda x: x.astype(jnp.float16),
    "to bfloat16": lambda x: x.astype(jnp.bfloat16),
    "to bool": lambda x: x.astype(bool),
    "to int": lambda x: x.astype(jnp.int32),
}
TWO = named("add div eq ge gt le lt max min mul ne pow rem sub")
OTHERS = {
    "reshape": (lambda x: x.reshape(3, 8), GRID),
    "transpose": (lambda x: x.T, GRID),
    "broadcast": (lambda x: jnp.broadcast_to(x[:, None], (2, 4, 3, 6)), GRID),
    "reverse": (lambda x: x[::-1, ::2], GRID),
    "concatenate": (lambda x: jnp.concatenate([x, x * 2], 1), GRID),
    "pad": (lambda x: jnp.pad(x, ((1, 2), (0, 3)), constant_values=7), GRID),
    "pad within": (lambda x: lax.pad(x, 1.0, ((1, -1, 2), (0, 0, 1))), GRID),
    "dynamic slice": (lambda x: lax.dynamic_slice(x, (3, -1), (2, 4)), GRID),
    "update": (lambda x: lax.dynamic_update_slice(x, x[:2, :2], (9, 1)), GRID),
    "iota": (lambda x: x + lax.broadcasted_iota(jnp.float32, (4, 6), 1), GRID),
    "split": (lambda x: jnp.split(x, 3, axis=1), GRID),
    "squeeze": (lambda x: jnp.squeeze(x[:1]), GRID),
    "select": (lambda x, m: jnp.where(m, x, -x), GRID, SOME),
    "select of three": (
        lambda i, x: lax.select_n(i % 3, x, x * 2, x * 3),
        COUNTS + 3,
        GRID[0, :5],
    ),
    "clamp": (lambda x: lax.clamp(-1.0, x, 2.0), SPECIAL),
    "sum": (lambda x: x.sum(1), GRID),
    "sum of halves": (
        lambda x: lax.reduce_sum_p.bind(x, axes=(0,), out_sharding=None),
        np.full(9, 3e4, np.float16),
    ),
    "product": (lambda x: x.prod(), GRID[1]),
    "largest": (lambda x: (x.max(), x.min(0), x.argmax(1), x.argmin(1)), GRID),
    "largest with NaN": (lambda x: (x.max(), x.min(), x.argmax()), SPECIAL),
    "largest of none": (lambda x: x[:0].max(0, initial=-jnp.inf), GRID),
    "any": (lambda m: (m.any(1), m.all(0)), SOME),
    "cumulative": (
        lambda x: (jnp.cumsum(x, 1), jnp.cumprod(x, 0), lax.cummax(x), lax.cummin(x)),
        GRID,
    ),
    "cumulative from the end": (lambda x: lax.cumsum(x, 1, reverse=True), GRID),
    "dot": (lambda x: x @ x.T, GRID),
    "einsum": (
        lambda x: jnp.einsum("bij,bkj->bki", x.reshape(2, 3, 4), x.reshape(2, 3, 4)),
        GRID,
    ),
    "dot of halves": (lambda x: x @ x.T, GRID.astype(jnp.bfloat16)),
    "dot of bad": (lambda x: x[:, None] @ x[None], SPECIAL),
    "integers": (
        lambda n: (n + 1, n * n, n - 2, -n, n < 2, n // 2, n % 3, n & 1, n ^ n, ~n),
        COUNTS,
    ),
    "bools": (lambda m: (~m, m & m, m | m, m ^ m), SOME),
    "to float": (lambda n: n.astype(jnp.float32), COUNTS),
}


def compare(function, *args):
    """Each equation of a function, in numpy and in XLA; how many numpy could do."""
    jaxpr = jax.make_jaxpr(function)(*args)
    host, done = NumpyEvaluator(args), 0
    env = dict(zip(jaxpr.jaxpr.invars, args, strict=True))
    env.update(zip(jaxpr.jaxpr.constvars, jaxpr.consts, strict=True))
    for eqn in jaxpr.jaxpr.eqns:
        operands = [v.val if is_literal(v) else env[v] for v in eqn.invars]
        expected = bind_equation(eqn, [*operands])
        got = host.evaluate(eqn, operands)
        env.update(zip(eqn.outvars, expected, strict=True))
        if got is None:
            continue
        done += 1
        for mine, right in zip(got, expected, strict=True):
            assert mine.dtype == right.dtype
            assert mine.shape == right.shape
            same_badness(mine, right, eqn)
            if right.dtype.itemsize >= 4:
                np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-6)
    return done


def rounded(array, dtype):
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def same_badness(mine, right, eqn):
    mine, right = codes_of(mine), codes_of(right)
    if mine is None or right is None:
        assert mine is right, eqn
    else:
        np.testing.assert_array_equal(mine, right, str(eqn))


dtypes = pytest.mark.parametrize(
    "dtype",
    [
        quick.row(dtype, when=dtype == np.float32)
        for dtype in (np.float32, np.float16, jnp.bfloat16)
    ],
)


@dtypes
@pytest.mark.parametrize("name", ONE)
def test_one_operand(name, dtype):
    compare(ONE[name], rounded(SPECIAL, dtype))


@dtypes
@pytest.mark.parametrize("name", TWO)
def test_two_operands(name, dtype):
    left, right = rounded(LEFT, dtype), rounded(RIGHT, dtype)
    assert compare(TWO[name], left, right) or name == "pow"
    big = np.abs(SPECIAL) > 1e-30
    left, right = np.meshgrid(SPECIAL[big], SPECIAL[big])
    assert compare(TWO[name], rounded(left, dtype), rounded(right, dtype))


@pytest.mark.parametrize("name", OTHERS)
def test_others(name):
    compare(*OTHERS[name])


def test_numpy_knows_when_it_cannot():
    keys = jax.random.key(0)
    assert compare(lambda k: jax.random.key_data(k), keys) == 0
    assert compare(lambda x: lax.sort(x), SPECIAL) == 0
    assert compare(lambda x: jnp.log(x + 0j), GRID + 1) == 0


def test_every_rule_is_of_a_primitive():
    primitives = {
        eqn.primitive.name
        for table in (ONE, TWO)
        for f in table.values()
        for eqn in jax.make_jaxpr(f)(*[SPECIAL] * (1 if table is ONE else 2)).eqns
    }
    assert primitives - {"stop_gradient"} <= set(_RULES)
