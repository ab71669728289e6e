"""Each operation of a jitted call is marked where it gives something bad."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdbg.checks import every_op
from jaxdbg.jax_internals.names import jaxpr_as_fun
from tests.origins.search.test_search import BORN, F32, counted, scanned

MARKED = {
    **{name: (function, args) for name, (function, args, _) in BORN.items()},
    "scan": (scanned, (np.array([1, -1, 1, 1], F32),)),
}


# A mask, and a NaN that is put for a NaN, are marked even where they replace nothing;
# no index of these is ever in range.
PLACED = {"all masked", "out of range", "median", "a NaN for a NaN"}


@pytest.mark.parametrize("name", sorted(MARKED.keys() - PLACED))
def test_every_operation_is_marked(name):
    function, args, *_ = MARKED[name]
    made = every_op.instrument(jax.make_jaxpr(function)(*args))
    *_, marks = jax.jit(jaxpr_as_fun(made.jaxpr))(*args)
    assert np.any(marks)
    good = [np.ones_like(a) * (np.eye(2) if np.ndim(a) == 2 else 1) for a in args]
    *outs, marks = jaxpr_as_fun(made.jaxpr)(*[a.astype(F32) for a in good])
    assert not np.any(marks)
    expected = jax.tree.leaves(function(*[a.astype(F32) for a in good]))
    np.testing.assert_allclose(outs[0], expected[0], rtol=1e-6)


def test_marks_of_branches_and_loops():
    def function(x):
        y = jax.lax.cond(x > 0, lambda v: v * 2, lambda v: jnp.log(v) * 0, x)
        return jnp.where(jnp.isnan(y), 0, y) + counted(jnp.abs(x))

    made = every_op.instrument(jax.make_jaxpr(function)(F32(1)))
    run = jax.jit(jaxpr_as_fun(made.jaxpr))
    positive, negative = (np.sum(run(F32(v))[-1]) for v in (1, -1))
    assert positive == 2  # the division, and the sum with it
    assert negative == 4  # the same, and the logarithm and its product with 0
