"""What a failed check says of arrays, small and large."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.experimental import checkify

import jaxdbg

X = jnp.arange(512.0).reshape(64, 8)
Y = X.at[3, 4].add(1).at[50].add(2)


def finding(check: Any, *args: Any) -> jaxdbg.Finding:
    """Of a check that fails in a jitted function."""
    with pytest.raises(jaxdbg.CheckError) as caught, jaxdbg.checked():
        jax.jit(lambda *a: (check(*a), a)[1])(*args)
    return caught.value.finding


def texts(found: jaxdbg.Finding) -> list[str]:
    """The lines before those that say where it is."""
    lines = found.message.splitlines()
    return lines[: lines.index("  in <lambda> (call 1 in this region)")]


def test_of_two_large_arrays_the_element_is_named_that_differs_most() -> None:
    found = finding(chex.assert_trees_all_equal, X, Y)
    assert texts(found) == [
        "chex.assert_trees_all_equal: 1 of 1 leaf differs: the element [50, 0] is 400 "
        "in one and 402 in the other",
        "  9 of its 512 elements differ, this one most: float32[64,8]",
    ]


def test_what_the_tolerance_allows_does_not_differ() -> None:
    def check(x, y):
        chex.assert_trees_all_close({"w": x}, {"w": y}, atol=1.5, rtol=0.0)

    assert texts(finding(check, X, Y)) == [
        "chex.assert_trees_all_close: 1 of 1 leaf differs: x[50, 0] is 400 and "
        "y[50, 0] is 402 (rtol=0.0, atol=1.5)",
        "  8 of its 512 elements differ, this one most: float32[64,8]",
    ]


def test_what_is_not_a_number_differs_most() -> None:
    found = finding(chex.assert_trees_all_equal, Y, X.at[0, 1].set(jnp.nan))
    assert texts(found)[0].endswith("[0, 1] is 1 in one and NaN in the other")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("x is {x}", "x is float32[64,8] from 0.0 to 511.0"),
        ("x is {x.shape}", "x is (64, 8)"),
        ("x is {x[3]}", "x is [24. 25. 26. 27. 28. 29. 30. 31.]"),
        ("sum {s:.1f} of {x}", "sum 130816.0 of float32[64,8] from 0.0 to 511.0"),
    ],
)
def test_a_check_of_the_users_own(form: str, said: str) -> None:
    def check(x):
        checkify.check(x.sum() < 0, form, x=x, s=x.sum())

    assert texts(finding(check, X)) == [said]


def test_values_in_a_tree() -> None:
    def check(x):
        checkify.check(x.sum() < 0, "got {tree}", tree={"b": x[0, 0], "w": x})

    assert texts(finding(check, X)) == [
        "got {'b': 0.0, 'w': float32[64,8] from 0.0 to 511.0}"
    ]
