"""What a library makes in an eager call counts when it comes out, and only then."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdbg
from tests.programs import library_calls

X = jnp.zeros(3)
ONES = jnp.ones(3)
RMSPROP = optax.rmsprop(1e-3, eps=0.0)
STATE, UPDATE = RMSPROP.init(ONES), RMSPROP.update
SLOW = {
    "samples_of_gamma_and_beta",
    "densities_inside_their_support",
    "loss_of_a_short_sequence",
    "focal_loss_of_a_sure_prediction",
}


def parameters(calls):
    """The calls, by name; those that compile for long are slow."""
    return [
        pytest.param(c, id=c.__name__, marks=[pytest.mark.slow] * (c.__name__ in SLOW))
        for c in calls
    ]


@pytest.mark.parametrize("call", parameters(library_calls.RIGHT))
def test_what_a_library_throws_away_is_silent(call):
    with jaxdbg.checked() as region:
        call()
    assert region.report.findings == ()
    assert region.report.ok


def test_what_is_placed_eagerly_is_listed_as_the_user_wrote_it():
    with jaxdbg.checked() as region:
        optax.kl_divergence(jax.nn.log_softmax(ONES), X)
        jnp.where(ONES > 2, 0.0, -jnp.inf)
    (placed,) = region.report.placed
    assert placed.endswith(": jnp.where(ONES > 2, 0.0, -jnp.inf)")


@pytest.mark.parametrize(
    ("call", "name"), library_calls.BUGS, ids=lambda c: getattr(c, "__name__", "")
)
def test_what_comes_out_is_a_failure_of_the_users_call(call, name):
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        call()
    headline = str(raised.value).splitlines()[0]
    assert name in headline
    assert "eager op" not in headline or not name.startswith("optax")


def similarity(x):
    return optax.cosine_similarity(x, ONES)


def test_what_the_user_writes_fails_at_once():
    ran_on = False
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
        jnp.log(X)
        ran_on = True
    assert not ran_on


def test_what_a_library_returns_at_once_fails_at_once():
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        similarity(X)
    assert raised.traceback[-1].lineno + 1 == _line("cosine_similarity(x")


def test_what_comes_out_fails_before_the_next_operation_of_the_users():
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        updates, _ = UPDATE(X, STATE)
        updates + 1
    assert raised.traceback[-1].lineno + 1 == _line("updates + 1\n")
    assert raised.value.finding.origin.source.line == _line("UPDATE(X, STATE)\n")
    assert "when its call had returned" in str(raised.value)


def _line(text: str) -> int:
    lines = Path(__file__).read_text().splitlines(keepends=True)
    return next(n for n, line in enumerate(lines, 1) if text in line)


def test_what_nobody_keeps_has_come_out_all_the_same():
    with pytest.raises(jaxdbg.NonFiniteError, match="came out of"), jaxdbg.checked():
        similarity(X)


def test_each_birth_is_one_finding_where_the_program_runs_on():
    with jaxdbg.checked(record=True) as region:
        same = similarity(X)
        more = same + 1
        more * 2
    (finding,) = region.report.findings
    assert finding.kind == "nan"
    assert finding.path == "optax.cosine_similarity(...)"
    assert finding.origin.primitive == "div"
    assert jaxdbg.bad_output("optax.cosine_similarity(...)") is not None


def library(source):
    """What a source of `call` defines, as of an installed library."""
    namespace = {"jnp": jnp}
    file = np.__file__.replace("__init__", "made_for_a_test")
    exec(compile(source, file, "exec"), namespace)
    return namespace["call"]


def test_a_birth_that_is_known_shows_no_values_of_another_call():
    call = library(
        "def call(x, keeps):\n    bad = jnp.log(x)\n    return [bad] if keeps else []\n"
    )
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked():
        results = [call(X * 1, keeps) for keeps in (False, True)]
        results[1][0] + 1
    origin = raised.value.finding.origin
    assert origin.primitive == "log"
    assert origin.operands == ()
    assert origin.notes[0].startswith("the values are not shown")


def test_nothing_of_the_users_is_kept_alive():
    before = jax.live_arrays()
    with jaxdbg.checked(record=True):
        for _ in range(3):
            optax.kl_divergence(jnp.log(ONES), jnp.array([0.0, 0.5, 0.5]))
        gc.collect()
        new = [a for a in jax.live_arrays() if all(a is not b for b in before)]
        assert not any(np.isneginf(np.asarray(a)).any() for a in new)


def test_a_callback_of_the_users_runs_inside_of_the_call():
    call = library(
        "def call(user, x):\n"
        "    bad = jnp.log(x) * 1.0\n"
        "    user(x + 1)\n"
        "    return jnp.where(x == 0, 0.0, bad)\n"
    )
    with jaxdbg.checked() as region:
        call(lambda x: x * 2, X)
    assert region.report.findings == ()
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
        call(lambda x: jnp.log(x - 1), X)


def test_another_thread_does_not_end_the_call():
    with jaxdbg.checked() as region:
        done = threading.Event()

        def work():
            while not done.is_set():
                jnp.add(1.0, 2.0)

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(20):
            optax.kl_divergence(jnp.log(ONES), jnp.array([0.0, 0.5, 0.5]))
        done.set()
        thread.join()
    assert region.report.findings == ()


def test_with_async_a_value_that_is_alive_at_the_end_has_come_out():
    results = []
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked(async_=True):
        results.append(similarity(X))


def test_with_async_what_is_gone_is_said_to_be_in_doubt():
    with jaxdbg.checked(async_=True) as region:
        optax.kl_divergence(jnp.log(ONES), jnp.array([0.0, 0.5, 0.5]))
    assert region.report.findings == ()
    assert not region.report.ok
    assert "whether what a library made came out" in str(region.report)
