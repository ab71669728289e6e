"""Random programs say in a region what the oracle knows, and give the same bits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from jaxdbg.checks.judge import Judge
from jaxdbg.origins.story import describe
from jaxdbg.records import Origin
from tests.random_programs import comparison
from tests.random_programs.comparison import MODES, differences
from tests.random_programs.programs import HEAD, Program, programs

in_short = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def certain(program: Program, mode: str) -> list[comparison.Difference]:
    return [d for d in differences(program, mode) if d.certain]


@settings(in_short, max_examples=12)
@given(programs())
def test_a_region_says_what_the_oracle_knows(program: Program) -> None:
    assert not certain(program, "record")


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@settings(in_short, max_examples=60)
@given(programs())
def test_a_region_says_what_the_oracle_knows_in_each_mode(
    mode: str, program: Program
) -> None:
    assert not certain(program, mode)


def program(
    body: str,
    x: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0),
    y: tuple[float, ...] = (1.0, -1.0, 2.0, 0.0),
    constant: str = "[0.0, 1.0, 2.0, 3.0]",
) -> Program:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    head = f"{HEAD}K = jnp.array({constant})\n\n\ndef f(x, y, m, n):\n"
    return Program(head + lines, x, y, (1.0,) * 16, (0, 1, 2, 3))


WRITTEN = {
    "a NaN of an Inf beside another": program(
        "a = y.astype(jnp.float16)\nreturn a / a,", y=(1.0, 0.0, 3.0, 2e38)
    ),
    "two births": program("a = x / x\nb = jnp.log(y)\nreturn b + a,"),
    "two results": program("a = jnp.full(4, jnp.inf)\nb = jnp.log(x)\nreturn a, b"),
    "two Infs": program("a = 1.0 / x\nb = jnp.exp(x * 90.0)\nreturn b + a,"),
    "the later result first": program("a = jnp.log(y)\nb = x / x\nreturn b, a"),
    "chosen where one was": program(
        "a = jnp.where(jnp.isnan(jnp.log(y)), jnp.nan, 0.0)\nreturn a,"
    ),
    "an Inf, and then a NaN": program(
        "a = jnp.exp(x * 90.0)\nb = jnp.log(y)\nc = a - a\nreturn b + c,"
    ),
    "an Inf in the later result": program(
        "a = 1.0 / x\nb = jnp.sqrt(y)\nc = a * 0.0\nreturn b, c"
    ),
    "a -Inf beside a mask": program(
        "a = jnp.where(y > 0, jnp.inf, jnp.log(jnp.maximum(y, 0.0)))\nreturn a,"
    ),
    "a -Inf beside missing data": program(
        "a = jnp.where(y > 0, x, jnp.log(jnp.maximum(y, 0.0)))\nreturn a,",
        x=(math.nan, 1.0, 2.0, 3.0),
    ),
    "one came in": program(
        "a = x + 1.0\nb = jnp.log(y)\nreturn a, b", x=(math.nan, 1.0, 2.0, 3.0)
    ),
    "one came in and spread": program("return x.sum(), x", x=(math.nan, 1.0, 2.0, 3.0)),
    "placed and spread": program(
        "return jnp.sum(K + x),", constant="[0.0, jnp.nan, 1.0, 2.0]"
    ),
    "of placed Infs": program("return K - K,", constant="[0.0, jnp.inf, 1.0, 2.0]"),
}
"""Programs that a random draw hardly makes."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WRITTEN)
def test_written_programs_too(name: str, mode: str) -> None:
    assert not certain(WRITTEN[name], mode)


# -- what is wrong is noticed ----------------------------------------------------------

BAD = program("return jnp.log(y),")
SOUND = program("return x + y,")


def test_other_bits_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_bits", lambda results: [object()])
    assert [d.kind for d in differences(SOUND, "record")] == ["bits"]


def test_a_bad_result_that_passes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Judge, "judged", lambda judge, ran: None)
    assert [d.kind for d in differences(BAD, "record")] == ["missed"]


def test_a_false_alarm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.Truth, "must_pass", True)
    assert [d.kind for d in differences(BAD, "record")] == ["false alarm"]


def test_another_origin_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = describe.describe

    def elsewhere(*args: Any) -> Origin:
        return replace(real(*args), primitive="exp")

    monkeypatch.setattr(describe, "describe", elsewhere)
    assert [d.kind for d in differences(BAD, "record")] == ["not a birth"]
