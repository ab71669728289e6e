"""chex assertions and checkify.check are live in a region, and gone after it."""

from __future__ import annotations

import gc
import weakref

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import checkify

import jaxdbg
from jaxdbg import errors
from jaxdbg.jax_internals import stand_ins

NAN = np.array([1.0, np.nan], np.float32)
GOOD = np.array([1.0, 2.0], np.float32)


def finite(x):
    chex.assert_tree_all_finite(x)
    return x * 2


def fresh():
    """A function of its own: jit shares traces, and chexify leaves its own behind."""

    def finite(x):
        chex.assert_tree_all_finite(x)
        return x * 2

    return jax.jit(finite)


def failure(function, *args, **options):
    with pytest.raises(jaxdbg.CheckError) as caught, jaxdbg.checked(**options):
        function(*args)
    return caught.value


def in_scan(x):
    def body(total, row):
        chex.assert_tree_all_finite(row)
        return total + row, row

    return jax.lax.scan(body, 0.0, x)[0]


def in_while(x):
    def body(state):
        i, total = state
        checkify.check(total < 1e3, "the total is {t}", t=total)
        return i + 1, total + x.sum()

    return jax.lax.while_loop(lambda s: s[0] < 3, body, (0, 0.0))[1]


def in_cond(x):
    def checked(v):
        chex.assert_tree_all_finite(v)
        return v

    return jax.lax.cond(x[0] > 0, checked, lambda v: v, x)


class Layer(nnx.Module):
    def __init__(self):
        self.linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        chex.assert_tree_all_finite(x)
        return self.linear(x)


LAYER = Layer()
PLACES = {
    "jit": (jax.jit(finite), NAN),
    "jit in jit": (jax.jit(lambda x: jax.jit(finite)(x) + 1), NAN),
    "scan": (jax.jit(in_scan), NAN),
    "eager scan": (in_scan, NAN),
    "while": (jax.jit(in_while), GOOD * 1e3),
    "cond": (jax.jit(in_cond), NAN),
    "vmap": (jax.jit(jax.vmap(finite)), NAN),
    "eager vmap": (jax.vmap(finite), NAN),
    "grad": (jax.jit(jax.grad(lambda x: finite(x).sum())), NAN),
    "eager grad": (jax.grad(lambda x: finite(x).sum()), NAN),
    "remat": (jax.jit(jax.checkpoint(finite)), NAN),
    "NNX module": (nnx.jit(lambda m, x: m(x)), NAN[None]),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_assertion_is_live(place):
    function, bad = PLACES[place]
    args = (LAYER, bad) if place == "NNX module" else (bad,)
    error = failure(function, *args)
    assert error.finding.kind == "check"
    assert isinstance(error, AssertionError)


@pytest.mark.parametrize("place", PLACES)
def test_a_good_value_passes(place):
    function, bad = PLACES[place]
    good = np.ones_like(bad)
    args = (LAYER, good) if place == "NNX module" else (good,)
    with jaxdbg.checked() as region:
        function(*args)
    assert region.report.ok
    assert not region.report.notices


def test_the_message_says_what_and_where():
    error = failure(jax.jit(finite), NAN)
    line = finite.__code__.co_firstlineno + 1
    assert str(error) == (
        "chex.assert_tree_all_finite: 1 of 1 leaf is not finite: x[1] is NaN\n"
        "  1 of its 2 elements is not finite: float32[2]\n"
        "  in finite (call 1 in this region)\n"
        f"  at {__file__}:{line}\n"
        "  NaN came in through NAN[1]"
    )


def test_checks_tell_their_values():
    @jax.jit
    def positive(x):
        checkify.check(x > 0, "x is {x}", x=x)
        return x

    error = failure(positive, -2.0)
    assert str(error).splitlines()[0] == "x is -2.0"


@pytest.mark.parametrize("name", ["all_close", "all_equal"])
def test_trees_are_compared(name):
    compare = getattr(chex, f"assert_trees_{name}")

    @jax.jit
    def same(x, y):
        compare({"w": x}, {"w": y})
        return x

    with jaxdbg.checked():
        same(GOOD, GOOD)
    assert failure(same, GOOD, GOOD + 1).finding.function == "same"


class TooHot(Exception):
    """The user's own."""


@pytest.mark.parametrize(
    "wanted", [TooHot, ValueError, KeyError, OSError, UnicodeDecodeError]
)
def test_the_users_own_exception_type(wanted):
    @jax.jit
    def function(x):
        chex.assert_tree_all_finite(x, exception_type=wanted, custom_message="hot")
        return x

    error = failure(function, NAN)
    assert isinstance(error, wanted)
    assert "Custom message: hot." in str(error)
    assert error.finding.kind == "check"


class Final(Exception):
    """No one may inherit from it."""

    def __init_subclass__(cls):
        raise TypeError("final")


def test_an_exception_type_that_cannot_be_a_check_error_too():
    assert errors.of_type(jaxdbg.CheckError, Final) is jaxdbg.CheckError


SCALARS = [
    ("assert_scalar_positive", (), 1.0, -1.0, "must be positive, got -1.0."),
    ("assert_scalar_negative", (), -1.0, 1.0, "must be negative, got 1.0."),
    ("assert_scalar_non_negative", (), 0.0, -1.0, "must be non-negative, got -1.0."),
    ("assert_scalar_in", (0, 1), 0.5, 2.0, "must be in [0, 1], got 2.0."),
]


@pytest.mark.parametrize(("name", "bounds", "good", "bad", "text"), SCALARS)
def test_scalar_assertions_take_traced_arrays(name, bounds, good, bad, text):
    assertion = getattr(chex, name)

    @jax.jit
    def function(x):
        assertion(x, *bounds)
        return x

    with jaxdbg.checked():
        function(good)
        assertion(good, *bounds)
        for value in (jnp.asarray(good), np.asarray(good), np.float32(good)):
            with pytest.raises(AssertionError, match="must be a scalar"):
                assertion(value, *bounds)  # as without a region
    assert f"chex.{name}: The argument {text}" in str(failure(function, bad))
    assert "got nan" in str(failure(function, np.nan))


def test_a_scalar_assertion_says_what_to_do_with_an_array():
    function = jax.jit(chex.assert_scalar_positive)
    wanted = r"shape \(2,\). Reduce it first"
    with pytest.raises(AssertionError, match=wanted), jaxdbg.checked():
        function(GOOD)
    assert checkify.check is checkify.check.__globals__["check"]  # chex mocks it


def test_under_vmap_a_check_counts_only_where_it_is_reached():
    def inside(v):
        chex.assert_scalar_in(v, 0, 1)
        return v

    @jax.jit
    def function(x):
        return jax.vmap(lambda v: jax.lax.cond(v > 0, inside, lambda v: v, v))(x)

    with jaxdbg.checked():
        function(jnp.array([0.5, -3.0]))  # -3 takes the other branch
    assert "got 2.0" in str(failure(function, jnp.array([0.5, 2.0])))


def test_under_vmap_a_check_in_a_loop_counts_only_while_it_runs():
    def count(limit):
        def body(i):
            checkify.check(i < limit, "{i} is past the end", i=i)
            return i + 1

        return jax.lax.while_loop(lambda i: i < limit, body, 0)

    with jaxdbg.checked():
        assert jax.jit(jax.vmap(count))(jnp.array([2, 5])).tolist() == [2, 5]


def test_chexified_functions_go_on_working():
    wrapped = chex.chexify(fresh(), async_check=False)
    with jaxdbg.checked():
        np.testing.assert_array_equal(wrapped(GOOD), GOOD * 2)
        with pytest.raises(AssertionError, match="assert_tree_all_finite"):
            wrapped(NAN.astype(np.float16))


def test_block_until_checked_waits_for_chex_too():
    wrapped = chex.chexify(fresh(), async_check=True)
    with pytest.raises(AssertionError, match="assert_tree_all_finite"):
        wrapped(NAN)
        jaxdbg.block_until_checked()


def plain_error(function, *args):
    with pytest.raises(Exception) as caught:
        function(*args)
    return type(caught.value), str(caught.value).splitlines()[0]


def test_after_a_region_a_plain_call_is_as_if_it_had_never_been():
    inner = fresh()
    outer = jax.jit(lambda x: inner(x) + 1)
    outermost = jax.jit(lambda x: outer(x) + 1)
    before = plain_error(inner, GOOD), plain_error(outermost, GOOD)
    assert before[0][0] is RuntimeError
    with jaxdbg.checked():
        inner(GOOD)  # now the trace of inner is cached, and outer emits nothing
        outermost(GOOD)
    assert (plain_error(inner, GOOD), plain_error(outermost, GOOD)) == before
    with jaxdbg.checked():
        outermost(GOOD)


def test_the_body_of_a_loop_is_not_poisoned_either():
    def body(total, row):
        chex.assert_tree_all_finite(row)
        return total + row, row

    def scan(x):
        return jax.lax.scan(body, 0.0, x)[0]

    remat = jax.checkpoint(lambda x: body(0.0, x)[0])
    before = plain_error(jax.jit(lambda x: scan(x)), GOOD)
    assert before[0] is RuntimeError
    with jaxdbg.checked():
        jax.jit(lambda x: scan(x))(GOOD)
        jax.jit(lambda x: remat(x))(GOOD)
    assert plain_error(jax.jit(lambda x: scan(x)), GOOD) == before
    assert plain_error(jax.jit(lambda x: remat(x)), GOOD) == before


def test_a_trace_made_after_a_region_is_plain_too():
    function = fresh()
    with jaxdbg.checked():
        function(GOOD)
    with pytest.raises(RuntimeError, match="chexify"):
        function(GOOD[:1])
    assert failure(function, NAN).finding.kind == "check"


@pytest.mark.skipif(
    not stand_ins.are_possible(), reason="JAX before 0.10 forgets each time"
)
def test_later_regions_find_their_traces_again():
    traced = []
    scale = 2.0

    def function(x):
        traced.append(scale)
        chex.assert_tree_all_finite(x)
        return x * scale

    jitted = jax.jit(function)
    outer = jax.jit(lambda x: jitted(x))
    counts = []
    for _ in range(4):
        with jaxdbg.checked() as region:
            jitted(GOOD)
            outer(GOOD)
        assert plain_error(jitted, GOOD)[0] is RuntimeError
        assert plain_error(outer, GOOD)[0] is RuntimeError
        counts.append((len(traced), sum(region.report.compiles.values())))
        traced.clear()
    # Two plain calls trace, and fail, each time. The first region traces, the second
    # once more, under a stand-in, and from then on all is found again.
    assert [n for n, _ in counts] == [3, 3, 2, 2]
    assert [n for _, n in counts] == [2, 2, 0, 0]
    scale = 3.0
    jitted.clear_cache()
    with jaxdbg.checked():
        np.testing.assert_array_equal(jitted(GOOD), GOOD * 3)
    assert failure(outer, NAN).finding.kind == "check"


def test_stand_ins_die_with_their_function():
    jitted = fresh()
    reference = weakref.ref(jitted.__wrapped__)
    for _ in range(2):
        with jaxdbg.checked():
            jitted(GOOD)
    del jitted
    gc.collect()
    assert reference() is None


def test_functions_without_assertions_keep_their_traces():
    traced = []

    @jax.jit
    def plain(x):
        traced.append(x)
        return x + 1

    plain(GOOD)
    with jaxdbg.checked():
        jax.jit(finite)(GOOD)
        plain(GOOD)
    plain(GOOD)
    assert len(traced) == 1


def test_disabled_assertions_stay_disabled():
    chex.disable_asserts()
    try:
        with jaxdbg.checked(record=True) as region:
            fresh()(NAN)
        assert region.report.ok
    finally:
        chex.enable_asserts()


def test_index_and_div_are_asked_for():
    @jax.jit
    def function(x, i):
        return x[i], 7 // i, 1.0 / x

    with jaxdbg.checked():
        function(GOOD, 5)
    assert failure(function, GOOD, 5, errors=["index"]).finding.kind == "index"
    assert failure(function, GOOD, 0, errors=["div"]).finding.kind == "div"
    with jaxdbg.checked(errors=["index", "div"]) as region:
        function(GOOD, 1)
    assert region.report.ok


def test_record_goes_on_after_a_failed_check():
    with jaxdbg.checked(record=True) as region:
        out = fresh()(NAN)
        jax.grad(lambda x: finite(x).sum())(NAN)
    assert out[0] == 2.0
    # The program runs on, and a sum spreads what came in.
    assert [f.kind for f in region.report.findings] == ["check", "check", "nan"]
