"""The structure of higher-order primitives is known in one place, and is right."""

from __future__ import annotations

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Call,
    Cond,
    Loop,
    Solve,
    bodies,
    count,
    structure,
)

PACKAGE = Path(jaxdbg.__file__).parent
HOME = "jax_internals/jaxprs/"

OF_HIGHER_ORDER = frozenset(
    [
        "scan",
        "while",
        "cond",
        "shard_map",
        "custom_linear_solve",
        "closed_call",
        "custom_jvp_call",
        "custom_vjp_call",
        "remat2",
        "branches",
        "num_consts",
        "num_carry",
        "ft_in",
        "cond_jaxpr",
        "body_jaxpr",
        "cond_nconsts",
        "body_nconsts",
        "call_jaxpr",
        "const_lengths",
        "in_specs",
        "out_specs",
    ]
)
"""Primitives with bodies, and their parameters."""

X = np.ones(3, np.float32)


def equation(function, *args):
    """The equation with bodies in a function."""
    eqns = jax.make_jaxpr(function)(*args).eqns
    return next(e for e in eqns if bodies(e))


def test_a_call_takes_all_operands():
    eqn = equation(lambda x: jax.jit(jnp.add)(x, x), X)
    inner = structure(eqn)
    assert isinstance(inner, Call)
    assert inner.is_plain
    assert list(inner.body.operands) == [0, 1]


def test_a_call_with_shardings_is_not_plain():
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    inner = structure(equation(jax.jit(jnp.sin, out_shardings=sharding), X))
    assert isinstance(inner, Call)
    assert not inner.is_plain


def test_a_cond_has_its_index_first():
    inner = structure(
        equation(lambda x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), X)
    )
    assert isinstance(inner, Cond)
    assert [list(b.operands) for b in inner.bodies] == [[1], [1]]


def test_a_scan_has_constants_carry_and_rows():
    def function(x, w):
        return jax.lax.scan(lambda c, v: (c * w + v, c), w, x, reverse=True)

    eqn = equation(function, X, jnp.ones(()))
    inner = structure(eqn)
    assert isinstance(inner, Loop)
    assert (inner.kind, inner.length, inner.reverse) == ("scan", 3, True)
    assert [inner.row(i) for i in range(3)] == [2, 1, 0]
    parts = inner.operands(eqn.invars)
    assert [len(p) for p in parts] == [0, 1, 1, 1]


def test_a_while_has_constants_for_each_of_its_bodies():
    def function(x, a, b):
        return jax.lax.while_loop(lambda s: s.sum() < a * b, lambda s: s + b, x)

    eqn = equation(function, X, 2.0, 3.0)
    inner = structure(eqn)
    assert isinstance(inner, Loop)
    assert inner.test is not None
    assert [len(p) for p in inner.operands(eqn.invars)] == [2, 1, 1, 0]
    for body in (inner.test, inner.step):
        avals = [eqn.invars[i].aval for i in body.operands]
        assert [a.shape for a in avals] == [a.shape for a in forms.in_avals(body.jaxpr)]


def test_a_solve_is_its_solver():
    def function(x, a):
        return jax.lax.custom_linear_solve(
            lambda v: a * v, x, lambda _, b: b / a, symmetric=True
        )

    eqn = equation(function, X, jnp.float32(2))
    inner = structure(eqn)
    assert isinstance(inner, Solve)
    avals = [eqn.invars[i].aval for i in inner.body.operands]
    expected = [a.shape for a in forms.in_avals(inner.body.jaxpr)]
    assert [a.shape for a in avals] == expected


def test_what_is_not_known_is_opaque():
    (eqn,) = jax.make_jaxpr(jnp.sin)(X).eqns
    assert (structure(eqn), bodies(eqn)) == (None, ())


def test_equations_are_counted():
    def function(x):
        y, _ = jax.lax.scan(lambda c, _: (jnp.sin(c) + 1, None), x, None, length=10)
        return jax.jit(jnp.cos)(y)

    assert count(jax.make_jaxpr(function)(X)) == 21


# No other module knows what they are called.


def test_only_the_walk_knows_higher_order_primitives():
    assert knowing(PACKAGE) == []


@pytest.mark.parametrize("source", ['eqn.primitive.name == "scan"', 'p["branches"]'])
def test_another_that_knows_is_found(tmp_path: Path, source: str):
    (tmp_path / "a.py").write_text(f'"""About scan."""\n{source}\n')
    assert knowing(tmp_path) == ["a.py:2"]


def knowing(package: Path) -> list[str]:
    """Lines outside of the home that name such a primitive or a parameter of it."""
    return [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in sorted(package.rglob("*.py"))
        if not path.relative_to(package).as_posix().startswith((HOME, *ALLOWED))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in OF_HIGHER_ORDER
    ]


ALLOWED = ("jax_internals/primitives.py",)
"""The table of calls."""
