"""A sample of other people's tests does the same in a region as outside of it.

`python -m tests.peers` runs all of them, in more modes.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.peers import suites
from tests.peers.allowed import not_needed, unexplained
from tests.peers.comparison import Comparison, compare
from tests.peers.processes import Limits, finish
from tests.peers.suites import Module

SAMPLE = {
    "chex": ["_src/asserts_chexify_test.py", "_src/variants_test.py"],
    "optax": ["_src/linesearch_test.py", "_src/transform_test.py"],
    "distrax": ["_src/distributions/categorical_test.py"],
    "haiku": ["_src/stateful_test.py", "_src/recurrent_test.py"],
    "jraph": ["_src/models_test.py"],
}
"""Modules with many traces, scans, assertions and state."""

TESTS = 12
"""How many tests of each of them."""

NEEDED = ("chex", "optax")
"""The others, and what they need in turn, may not work with the newest JAX at once."""


def differing(modules: list[Module]) -> Comparison:
    """Runs a sample in a region; what may not differ fails the test."""
    comparison = compare(modules, ["record"], Limits(TESTS, seconds=120))
    assert unexplained(comparison.found) == []
    ran = comparison.ran
    assert not_needed(comparison.found, ran, all_ran=False) == []
    return comparison


@pytest.mark.slow
@pytest.mark.parametrize("package", SAMPLE)
def test_package(package: str) -> None:
    if not suites.is_installed(package):
        pytest.skip(f"{package} is not installed here")
    found = suites.of_package(package)
    modules = [
        one
        for name in SAMPLE[package]
        for one in found
        if one.name == f"{package}/{name}"
    ]
    assert len(modules) == len(SAMPLE[package])
    figures = differing(modules).figures[package, "record"]
    if package in NEEDED:
        assert figures.passed >= TESTS // 2
    elif not figures.passed:
        pytest.skip(f"no test of {package} passes here, in a region or outside of it")


THEIRS = """
import unittest

import jax
import jax.numpy as jnp
import numpy as np


class Tests(unittest.TestCase):
    def test_good(self):
        f = jax.jit(lambda x: x * 2)
        np.testing.assert_array_equal(f(jnp.ones(3)), np.full(3, 2.0))

    def test_sees_the_region(self):
        self.assertEqual("jaxdbg region" in regions(), False)

    def test_prints_more(self):
        for _ in regions():
            jax.jit(lambda x: x + 1)(1.0)


def regions():
    from jaxdbg.checks.hub import hub

    return ["jaxdbg region" for region in hub.regions()]
"""


@pytest.mark.slow
def test_a_module_that_differs_is_found(tmp_path: Path) -> None:
    (tmp_path / "their_test.py").write_text(THEIRS)
    found = compare(suites.of_path(tmp_path), ["record"], Limits()).found
    kinds = {(d.test.rpartition("::")[2], d.kind) for d in found}
    assert kinds == {
        ("test_sees_the_region", "outcome"),
        ("test_prints_more", "runs"),
        ("test_prints_more", "phases"),
    }


def test_a_process_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    shell = "sleep 900 & wait"
    started = time.monotonic()
    assert finish(["sh", "-c", shell], str(tmp_path), seconds=0.5) is None
    assert time.monotonic() - started < 60
    assert finish(["sh", "-c", "exit 3"], str(tmp_path), seconds=60) == 3
