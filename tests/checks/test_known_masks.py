"""A mask costs one search, and hides nothing that is born beside it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.checks import diagnosis
from jaxdbg.checks.known_masks import PATTERNS, Masks
from jaxdbg.origins.bad_elements import codes_of

NAN, INF = np.nan, np.inf


def codes(*values):
    return {0: codes_of(np.array(values, np.float32))}


def test_the_same_elements_are_known():
    masks = Masks()
    assert not masks.know(codes(NAN, 1, NAN))
    masks.learn(codes(NAN, 1, NAN))
    assert masks.know(codes(NAN, 1, NAN))
    assert masks.know(codes(NAN, 1, 1))


@pytest.mark.parametrize("other", [(NAN, NAN, NAN), (NAN, 1, INF), (1, 1, INF)])
def test_other_elements_and_other_kinds_are_not(other):
    masks = Masks()
    masks.learn(codes(NAN, 1, NAN))
    assert not masks.know(codes(*other))


def test_another_argument_that_is_bad_is_another_case():
    masks = Masks()
    masks.learn(codes(NAN, 1), (0,))
    assert masks.know(codes(NAN, 1), (0,))
    assert not masks.know(codes(NAN, 1), ())


def test_elements_that_change_are_searched_for_a_few_times():
    masks = Masks()
    for i in range(PATTERNS):
        values = np.ones(PATTERNS + 1, np.float32)
        values[i] = NAN
        assert not masks.know(codes(*values))
        masks.learn(codes(*values))
    assert masks.know(codes(*np.full(PATTERNS + 1, NAN)))


@jax.jit
def masked_log(x):
    return jnp.where(x > 5, jnp.nan, jnp.log(x))


def test_a_mask_is_searched_for_once(monkeypatch):
    searches = []
    plain = diagnosis.search
    monkeypatch.setattr(
        diagnosis, "search", lambda *args: searches.append(1) or plain(*args)
    )
    with jaxdbg.checked() as region:
        for n in range(5):
            masked_log(np.array([1 + n / 10, 9], np.float32))
    assert len(searches) == 1
    assert region.report.findings == ()


def test_what_is_born_beside_a_known_mask_is_a_failure():
    with jaxdbg.checked(record=True) as region:
        masked_log(np.array([1, 9], np.float32))
        masked_log(np.array([-1, 9], np.float32))
    (finding,) = region.report.findings
    assert finding.origin.primitive == "log"
    assert finding.call == 2
