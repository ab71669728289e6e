"""The comparison finds what differs: each kind of difference is shown to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.peers.allowed import Allowed, not_needed, unexplained, without_reason
from tests.peers.compare import Difference, differences
from tests.peers.comparison import compare
from tests.peers.digest import digest
from tests.peers.processes import Limits
from tests.peers.results import Result
from tests.peers.suites import Module
from tests.peers.table import table


def of(**changes: Any) -> Mapping[str, Result]:
    """The results of one test that passed, with some changes."""
    plain = {
        "outcome": "passed",
        "asserted": ["assertEqual 01"],
        "ran": {"f:1": 1},
        "phases": {"trace of f": 1, "traces in Python": 1, "lower of jit(f)": 1},
    }
    return {"t": Result("t", **(plain | changes))}


TRACED = {"trace of f": 1, "traces in Python": 1, "lower of jit(f)": 1}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"outcome": "failed", "error": "ValueError: x", "asserted": []}, ["outcome"]),
        ({"asserted": ["assertEqual 02"]}, ["values"]),
        ({"asserted": []}, ["values"]),
        ({"ran": {"f:1": 2}}, ["runs"]),
        ({"phases": TRACED | {"traces in Python": 2}}, ["phases"]),
        ({"phases": TRACED | {"lower of jit(f)": 2}}, ["phases"]),
        ({"phases": {}}, ["phases"]),
        ({"phases": TRACED | {"trace of f": 2}}, ["announced"]),
        ({"phases": TRACED | {"jaxdbg's trace of g": 1}}, []),
        ({"phases": {"jaxdbg's lower of jit(f)": 1} | TRACED}, []),
        ({"left": ["config jax_enable_x64"]}, ["left"]),
        ({"findings": ["nan f y"]}, []),
        ({"findings": ["nan f y"], "false_findings": ["nan f y"]}, ["finding"]),
        ({"notices": ["a hook broke"]}, ["notice"]),
        ({"outcome": "failed", "raised": True, "findings": ["nan f y"]}, []),
        ({"outcome": "failed", "raised": True}, ["outcome"]),
    ],
)
def test_difference(changes: dict[str, Any], kinds: list[str]) -> None:
    found = differences(of(), of(**changes), "record")
    assert [d.kind for d in found] == kinds


def test_a_test_without_a_result_differs() -> None:
    assert [d.kind for d in differences(of(), {}, "record")] == ["outcome"]


def test_what_our_programs_have_compiled_is_not_compiled_again() -> None:
    ours = {"jaxdbg's lower of jit(g)": 1}
    plain = {"a": Result("a"), "b": Result("b", phases={"lower of jit(g)": 1})}
    other = {"a": Result("a", phases=ours), "b": Result("b")}
    assert differences(plain, other, "record") == []
    assert [d.test for d in differences(plain, {**other, "a": Result("a")}, "x")]


RUNS = Difference("pkg/a_test.py::A::test_x", "record", "runs", "more f:1: 1 → 2")


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        (Allowed("pkg/a_test.py::A::test_x", "runs", "why"), []),
        (Allowed("pkg/*", "runs phases", "why"), []),
        (Allowed("pkg/*", "runs", "why", says="more f:*"), []),
        (Allowed("pkg/*", "runs", "why", says="fewer *"), [RUNS]),
        (Allowed("pkg/*", "values", "why"), [RUNS]),
        (Allowed("pkg/b*", "runs", "why"), [RUNS]),
        (Allowed("pkg/*", "runs", "why", modes="every_op"), [RUNS]),
    ],
)
def test_an_entry_allows_what_it_speaks_of(
    entry: Allowed, left: list[Difference]
) -> None:
    assert unexplained([RUNS], [entry]) == left


def test_an_entry_that_nothing_needs_is_found() -> None:
    one = Allowed(RUNS.test, "runs", "why")
    many = Allowed("pkg/*", "runs", "why")
    ran = {(RUNS.test, "record")}
    assert not_needed([RUNS], ran, all_ran=True, allowed=[one, many]) == []
    assert not_needed([], ran, all_ran=True, allowed=[one, many]) == [one, many]
    assert not_needed([], ran, all_ran=False, allowed=[one, many]) == [one]
    assert not_needed([], {("other", "record")}, True, [one, many]) == []


def test_each_entry_has_a_reason() -> None:
    assert without_reason() == []
    blank = Allowed("pkg/*", "runs", " ")
    assert without_reason([blank]) == [blank]


def test_what_differs_by_itself_is_no_difference() -> None:
    runs = iter([of(), of(asserted=["assertEqual 03"]), of(asserted=[])])
    module = Module("pkg", Path("/"), Path("/pkg/a_test.py"))
    done = compare([module], ["record"], Limits(), lambda *_: dict(next(runs)))
    assert done.found == []
    assert [d.kind for d in done.unsteady] == ["values"]
    assert "| pkg | `record` | 1 | 1 |" in table(done)


def test_a_hash_is_of_the_bits() -> None:
    zeros = np.zeros(3, np.float32)
    assert digest(zeros) == digest(zeros.copy())
    assert digest(zeros) != digest(-zeros)
    assert digest(zeros) != digest(zeros.astype(np.float64))
    assert digest({"a": [zeros, 1]}) != digest({"a": [zeros, 2]})
    assert digest(object()) == digest(object())
