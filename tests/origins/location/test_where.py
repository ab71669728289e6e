"""Where an equation stands in the user's program: line, words, direction."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.origins.location import source_lines, wording
from jaxdbg.origins.location.where import Context, Where, locate

X = np.arange(1.0, 4.0, dtype=np.float32)


def sites(jaxpr: Any, outer: tuple[Any, ...] = ()) -> Iterator[Site]:
    """Every equation of a jaxpr, with those around it."""
    for eqn in jaxpr.eqns:
        yield Site(eqn, outer)
        for inside in bodies(eqn):
            yield from sites(inside.jaxpr, (*outer, eqn))


def located(function: Any, primitive: str, *args: Any) -> list[Where]:
    """Where the equations of a primitive stand."""
    jaxpr = jax.make_jaxpr(function)(*args)
    found = [s for s in sites(jaxpr) if s.eqn.primitive.name == primitive]
    return [locate(s, Context(jaxpr)) for s in found]


def line_of(function: Any, mark: str) -> int:
    text, first = inspect.getsourcelines(function)
    return first + next(n for n, line in enumerate(text) if mark in line)


def program(x, scale):
    y = jnp.log(x) / (
        scale - 1  # <- sub
    )
    é = 3
    z = y + é; y = jnp.sqrt(z)  # <- sqrt # fmt: skip # noqa: E702
    y *= scale  # <- mul
    a = jnp.linalg.cholesky(jnp.outer(y, y))  # <- cholesky
    return a.sum() + jax.nn.softmax(y).max() + y.astype(jnp.float16)[0]  # <- exp


@pytest.mark.parametrize(
    ("primitive", "mark", "marked", "expression"),
    [
        ("log", "jnp.log(x)", "jnp.log(x)", "jnp.log"),
        ("sub", "<- sub", "scale - 1", "scale - 1"),
        ("sqrt", "<- sqrt", "jnp.sqrt(z)", "jnp.sqrt"),
        ("mul", "<- mul", "y *= scale", "y * scale"),
        (
            "cholesky",
            "<- cholesky",
            "jnp.linalg.cholesky(jnp.outer(y, y))",
            "jnp.linalg.cholesky",
        ),
        ("exp", "<- exp", "jax.nn.softmax(y)", "jax.nn.softmax"),
    ],
)
def test_line_and_expression(primitive, mark, marked, expression):
    where = located(program, primitive, X, 2.0)[0]
    assert where.source.line == line_of(program, mark)
    assert where.source.file == __file__
    assert where.source.function == "program"
    assert source_lines.expression_text(where.source) == marked
    assert where.expression == expression
    assert where.direction == "forward"


def test_an_expression_of_several_lines_is_shown_whole():
    where = located(program, "div", X, 2.0)[0]
    assert where.expression == "jnp.log(x) / (scale - 1)"
    assert (where.source.end_line - where.source.line, where.source.column) == (2, 8)
    assert where.source.code.splitlines()[-1] == "    )"


def test_the_library_line_is_told_where_the_user_calls_a_layer():
    layer = nnx.LayerNorm(3, rngs=nnx.Rngs(0))
    (where,) = located(lambda x: layer(x), "rsqrt", X)
    assert where.source.code.strip().startswith("(where,) = located(")
    assert where.library_source.file.endswith("normalization.py")
    assert where.expression == "lax.rsqrt"


def test_a_helper_of_jax_has_the_line_of_its_caller():
    """Also when somebody else had called it before, with the same shapes."""
    jax.make_jaxpr(lambda x: jnp.linalg.norm(x))(X)
    where = located(lambda x: 1 + jnp.linalg.norm(x), "sqrt", X)[0]
    assert where.source.line == line_of(
        test_a_helper_of_jax_has_the_line_of_its_caller, "1 + jnp"
    )
    assert where.expression == "jnp.linalg.norm"
    assert where.library_source.file.endswith("linalg.py")


def test_what_is_transposed_is_backward():
    def loss(x):
        return jnp.sum(jnp.sin(x))  # <- forward

    (product,) = located(jax.grad(loss), "mul", X)
    assert product.direction == "backward"
    assert product.forward_source == product.source
    assert product.source.line == line_of(loss, "<- forward")


@pytest.mark.parametrize(
    ("primitive", "text", "told"),
    [
        ("div", "x / y", ("x / y", True)),
        ("div", "(a + b) / c", ("(a + b) / c", True)),
        ("div", "very_long_name.of_some[1].attribute / c", ("… / c", True)),
        ("log", "x / y", ("x / y", False)),
        ("pow", "x ** y", ("x ** y", True)),
        ("dot_general", "q @ k", ("q @ k", True)),
        ("neg", "-x", ("-x", True)),
        ("gather", "table[i]", ("table[i]", True)),
        ("log", "log(x)", ("log", True)),
        ("reduce_sum", "(x / 2).sum()", ("sum", True)),
        ("exp", "jax.nn.softmax(x)", ("jax.nn.softmax", False)),
        ("rsqrt", "self.ln1(x)", ("", False)),
        ("mul", "x *= 2", ("x * 2", True)),
        ("mul", "for x in", ("", False)),
    ],
)
def test_words(primitive, text, told):
    assert wording.in_source(primitive, text) == told


def test_words_without_source():
    jaxpr = jax.make_jaxpr(lambda x: (x / 2).astype(jnp.float16))(X)
    told = [wording.of_primitive(eqn) for eqn in jaxpr.eqns]
    assert told == ["x / y", "astype(float16)"]
