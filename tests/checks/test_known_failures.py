"""A loop that fails in each step is looked into a few times; each step is a finding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.checks import known_failures
from jaxdbg.checks.known_failures import SEARCHES


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(known_failures, "SEARCHES", 3)


def _verdicts(report):
    return [finding.origin.verdict for finding in report.findings]


@pytest.mark.usefixtures("few")
def test_failures_that_are_alike_are_looked_into_a_few_times():
    log = jax.jit(lambda x, y: (jnp.log(x), y))
    with jaxdbg.checked(record=True) as region:
        for i in range(6):
            log(np.float32(-1 - i), np.float32(1))
    assert _verdicts(region.report) == ["born"] * 3 + ["not reproduced"] * 3
    assert not region.report.ok
    assert known_failures.WHY in " ".join(region.report.findings[-1].message.split())


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("x", "y"), [(0.0, 1.0), (-1.0, -1.0)], ids=["-Inf, not NaN", "in both results"]
)
def test_one_that_is_another_is_looked_into(x, y):
    log = jax.jit(lambda x, y: (jnp.log(x), jnp.sqrt(y)))
    with jaxdbg.checked(record=True) as region:
        for _ in range(4):
            log(np.float32(-1), np.float32(1))
        log(np.float32(x), np.float32(y))
    assert _verdicts(region.report) == ["born"] * 3 + ["not reproduced", "born"]


def test_where_failures_rise_each_is_looked_into():
    log = jax.jit(lambda x: jnp.log(x))
    with jaxdbg.checked() as region:
        for _ in range(SEARCHES + 1):
            with pytest.raises(jaxdbg.NonFiniteError, match="NaN was born"):
                log(np.float32(-1))
    assert _verdicts(region.report) == ["born"] * (SEARCHES + 1)
