"""Where a bad value comes from: born, placed, or come in."""

from __future__ import annotations

import linecache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdbg import every_op
from jaxdbg.hooks._compat import jaxpr_as_fun
from jaxdbg.hooks.compiles import is_user_file
from jaxdbg.origins import evaluation

F32 = np.float32


def origins(function, *args, output=0):
    """The origins of one output of a function, for these arguments."""
    jaxpr = jax.make_jaxpr(function)(*args)
    flat = jax.tree.leaves(args)
    found = evaluation.trace_back(jaxpr, flat, [output], is_user_file)
    return found[output]


def scanned(x):
    def body(c, row):
        return c * row, jnp.sqrt(c)

    return jax.lax.scan(body, F32(1), x)[1]


def counted(x):
    return jax.lax.while_loop(
        lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] / (3 - s[0])), (0, x)
    )[1]


@jax.custom_jvp
def custom(x):
    return jnp.log(x)


custom.defjvp(lambda p, t: (custom(*p), t[0] / p[0]))

BORN = {
    "0/0": (lambda x: x / x, (F32(0),), "nan", "div"),
    "log of a negative": (jnp.log, (F32(-1),), "nan", "log"),
    "log of 0": (lambda x: -jnp.log(x), (F32(0),), "posinf", "log"),
    "overflow": (jnp.exp, (F32(1e3),), "posinf", "exp"),
    "half overflow": (
        lambda x: x.astype(jnp.float16),
        (F32(1e6),),
        "posinf",
        "convert_element_type",
    ),
    "Inf - Inf": (lambda x: jnp.exp(x) - jnp.exp(x), (F32(1e3),), "nan", "sub"),
    "cholesky": (jnp.linalg.cholesky, (-np.eye(2, dtype=F32),), "nan", "cholesky"),
    "all masked softmax": (
        lambda x: jax.nn.softmax(jnp.where(x > 0, x, -jnp.inf)),
        (np.zeros(3, F32),),
        "nan",
        "sub",
    ),
    "in jit": (jax.jit(jnp.log), (F32(-1),), "nan", "log"),
    "in remat": (jax.checkpoint(jnp.log), (F32(-1),), "nan", "log"),
    "in custom_jvp": (custom, (F32(-1),), "nan", "log"),
    "gradient of sqrt at 0": (jax.grad(jnp.sqrt), (F32(0),), "posinf", "div"),
}


@pytest.mark.parametrize("name", BORN)
def test_born(name):
    function, args, kind, primitive = BORN[name]
    found = origins(function, *args)[kind]
    assert found.how == "born"
    assert found.place.primitive == primitive


PLACED = {
    "literal": (lambda x: jnp.where(x > 0, x, jnp.nan), (F32(-1),)),
    "moved": (lambda x: jnp.where(x > 0, x, -jnp.inf)[::-1] * 2, (np.zeros(2, F32),)),
    "constant": (lambda x: x + np.array([np.nan, 1], F32), (F32(1),)),
    "running maximum": (lambda x: jnp.max(x, initial=-jnp.inf), (np.zeros(0, F32),)),
    "bits": (lambda x: jax.lax.bitcast_convert_type(x, F32), (np.int32(0x7F800000),)),
}


@pytest.mark.parametrize("name", PLACED)
def test_placed(name):
    function, args = PLACED[name]
    assert {o.how for o in origins(function, *args).values()} == {"placed"}


def test_came_in_through_an_argument():
    found = origins(lambda x, y: x + y * 2, F32(1), F32(np.nan))["nan"]
    assert (found.how, found.argument) == ("came in", 1)


def test_a_value_that_is_both_is_born():
    found = origins(lambda x, y: x / x + y, F32(0), F32(np.nan))["nan"]
    assert found.how == "born"


def test_a_nan_from_an_inf_names_both():
    found = origins(lambda x: jnp.log(x) * x, F32(0))["nan"]
    assert found.place.primitive == "mul"
    assert (found.cause.kind, found.cause.place.primitive) == ("neginf", "log")


def test_the_line_is_the_users():
    found = origins(BORN["0/0"][0], F32(0))["nan"]
    assert found.place.file == __file__
    assert "x / x" in linecache.getline(__file__, found.place.line)


def test_the_step_of_a_scan():
    found = origins(scanned, np.array([1, -1, 1, 1], F32))["nan"]
    assert (found.place.primitive, found.place.loop) == ("sqrt", ((2, 4),))


def test_the_iteration_of_a_while():
    found = origins(counted, F32(1))["posinf"]
    assert (found.place.primitive, found.place.loop) == ("div", ((3, -1),))


def test_the_branch_that_was_taken():
    def function(x):
        return jax.lax.cond(x > 0, jnp.exp, jnp.log, x)

    assert origins(function, F32(-1))["nan"].place.primitive == "log"
    assert origins(function, F32(1e3))["posinf"].place.primitive == "exp"


def test_a_dead_branch_is_not_blamed():
    def function(x):
        safe = jnp.where(x > 0, jnp.log(x), 0.0)
        return safe, x / 0

    assert origins(function, F32(-1), output=0) == {}
    assert (
        evaluation.first_birth(
            jax.make_jaxpr(function)(F32(-1)), [F32(-1)], is_user_file
        ).place.primitive
        == "log"
    )


def test_a_mapped_while_loop():
    found = origins(jax.vmap(counted), np.array([1, 2], F32))["posinf"]
    assert found.place.loop == ((3, -1),)


def test_time_is_limited():
    jaxpr = jax.make_jaxpr(jnp.log)(F32(-1))
    with pytest.raises(evaluation.OutOfTime):
        patience = evaluation.Patience(0)
        evaluation.trace_back(jaxpr, [F32(-1)], [0], is_user_file, patience)


def test_a_slow_search_says_so_once(monkeypatch):
    monkeypatch.setattr(evaluation.Patience, "SLOW", 0.0)
    told = []
    patience = evaluation.Patience(slow=lambda: told.append(1))
    jaxpr = jax.make_jaxpr(BORN["Inf - Inf"][0])(F32(1e3))
    evaluation.trace_back(jaxpr, [F32(1e3)], [0], is_user_file, patience)
    assert told == [1]


MARKED = {**BORN, "scan": (scanned, (np.array([1, -1, 1, 1], F32),), "nan", "sqrt")}


# A mask is marked even where it masks nothing, and -Inf needs a different good value.
@pytest.mark.parametrize(
    "name", sorted(MARKED.keys() - {"log of 0", "all masked softmax"})
)
def test_every_operation_is_marked(name):
    function, args, *_ = MARKED[name]
    made = every_op.instrument(jax.make_jaxpr(function)(*args))
    *_, marks = jax.jit(jaxpr_as_fun(made.jaxpr))(*args)
    assert np.isnan(marks).any()
    good = [np.ones_like(a) * (np.eye(2) if np.ndim(a) == 2 else 1) for a in args]
    *outs, marks = jaxpr_as_fun(made.jaxpr)(*[a.astype(F32) for a in good])
    assert not np.isnan(marks).any()
    expected = jax.tree.leaves(function(*[a.astype(F32) for a in good]))
    np.testing.assert_allclose(outs[0], expected[0], rtol=1e-6)


def test_marks_of_branches_and_loops():
    def function(x):
        y = jax.lax.cond(x > 0, lambda v: v * 2, lambda v: jnp.log(v) * 0, x)
        return jnp.where(jnp.isnan(y), 0, y) + counted(jnp.abs(x))

    made = every_op.instrument(jax.make_jaxpr(function)(F32(1)))
    run = jax.jit(jaxpr_as_fun(made.jaxpr))
    positive, negative = (np.isnan(run(F32(v))[-1]).sum() for v in (1, -1))
    assert positive == 2  # the division, and the sum with it
    assert negative == 4  # the same, and the logarithm and its product with 0
