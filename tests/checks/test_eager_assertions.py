"""chex's assertions in a region refuse and accept what they do outside of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg

NAN = np.array([1.0, np.nan], np.float32)
ONES = np.ones(2, np.float32)
BF16 = jnp.ones(2, jnp.bfloat16)


def cases() -> dict[str, Callable[[], Any]]:
    """Calls of chex that are right, fail, or are refused."""
    finite, equal = chex.assert_tree_all_finite, chex.assert_trees_all_equal
    close, ulp = chex.assert_trees_all_close, chex.assert_trees_all_close_ulp
    traced = jnp.float32(1)
    return {
        "finite": lambda: finite({"a": ONES, "b": 1.0}),
        "not finite": lambda: finite({"a": NAN}),
        "no leaves": lambda: finite({}),
        "text": lambda: finite({"a": "text"}),
        "NaNs are close": lambda: close(NAN, NAN),
        "a NaN and a number": lambda: close(NAN, ONES),
        "of two types": lambda: close(ONES, ONES.astype(np.float64)),
        "of two types, strictly": lambda: close(
            ONES, ONES.astype(np.float64), strict=True
        ),
        "of two shapes": lambda: close(ONES, np.ones(3)),
        "of two structures": lambda: close((ONES,), [ONES, ONES]),
        "one tree": lambda: close(ONES),
        "bfloat16": lambda: close(BF16, BF16 * 1.5, rtol=0.6),
        "bfloat16 apart": lambda: close(BF16, BF16 * 1.5),
        "no such option": lambda: close(ONES, ONES, nothing=1),
        "keys": lambda: equal(jax.random.key(0), jax.random.key(0)),
        "other keys": lambda: equal(jax.random.key(0), jax.random.key(1)),
        "-0 and 0 by units": lambda: ulp(ONES * -0.0, ONES * 0.0),
        "two units": lambda: ulp(ONES, ONES * np.float32(1.0000002)),
        "ten units": lambda: ulp(ONES, ONES * np.float32(1.0000002), maxulp=10),
        "its own exception": lambda: finite(NAN, exception_type=KeyError),
        "equal": lambda: chex.assert_equal(traced, 1.0),
        "not equal": lambda: chex.assert_equal((1, 2), (1, 3)),
        "a scalar array": lambda: chex.assert_scalar_positive(traced),
        "negative": lambda: chex.assert_scalar_positive(-1.0),
    }


def outcome(call: Callable[[], Any]) -> type[BaseException] | None:
    try:
        call()
    except Exception as error:
        return type(error)
    return None


@pytest.mark.parametrize("name", cases())
def test_an_eager_assertion_raises_what_it_raises_outside(name: str) -> None:
    call = cases()[name]
    plain = outcome(call)
    with jaxdbg.checked() as region:
        got = outcome(call)
    assert (got is None) == (plain is None)
    assert plain is None or issubclass(got, plain)  # type: ignore[arg-type]
    assert not region.report.notices
    # What the program handles itself is no finding.
    assert region.report.ok


def traced_cases() -> dict[str, Callable[[Any], Any]]:
    """What plain chex accepts while it traces, or refuses for another reason."""
    return {
        "shapes are equal": lambda x: chex.assert_equal(x.shape, (2,)),
        "the same in a dict": lambda x: chex.assert_equal({"x": x}, {"x": x}),
        "other keys": lambda x: chex.assert_equal({"x": x}, {"y": x}),
        "arrays of two elements": lambda x: chex.assert_equal(x, x + 1),
        "divisible sizes": lambda x: chex.assert_is_divisible(x.size, 2),
        "sizes that are not": lambda x: chex.assert_is_divisible(x.size, 3),
        "a comparator of shapes": lambda x: chex.assert_trees_all_equal_comparator(
            lambda a, b: a.shape == b.shape, lambda a, b: "shapes", x, x + 1
        ),
        "a comparator of other shapes": (
            lambda x: chex.assert_trees_all_equal_comparator(
                lambda a, b: a.shape == b.shape, lambda a, b: "shapes", x, x[0]
            )
        ),
    }


@pytest.mark.parametrize("name", traced_cases())
def test_what_chex_decides_when_it_traces_it_decides_in_a_region(name: str) -> None:
    check = traced_cases()[name]

    def step(x: Any) -> Any:
        check(x)
        return x

    plain = outcome(lambda: jax.jit(step)(ONES))
    with jaxdbg.checked() as region:
        assert outcome(lambda: jax.jit(step)(ONES)) is plain
    assert region.report.ok
    assert not region.report.notices


def test_the_exception_is_of_the_type_that_the_user_asks_for() -> None:
    with pytest.raises(KeyError) as caught, jaxdbg.checked() as region:
        chex.assert_tree_all_finite(NAN, exception_type=KeyError)
    assert isinstance(caught.value, jaxdbg.CheckError)
    assert "NAN[1] is NaN" in str(caught.value)
    assert "Tree contains non-finite value" in caught.value.finding.detail
    assert caught.value.report is region.report
    assert len(region.report.findings) == 1


def test_a_recording_region_raises_it_too() -> None:
    after = []
    with pytest.raises(jaxdbg.CheckError), jaxdbg.checked(record=True) as region:
        chex.assert_tree_all_finite(NAN)
        after.append(1)
    assert not after
    assert len(region.report.findings) == 1


def test_the_page_has_each_assertion_of_chex_once() -> None:
    text = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
    table = text.split("### Assertions of chex")[1].split("###")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = sorted(re.findall(r"`(assert_\w+)`", "".join(rows)))
    assert named == [name for name in sorted(dir(chex)) if name.startswith("assert_")]
