"""Finiteness of arrays: every dtype, every kind of thing, on and off the host."""

from __future__ import annotations

import threading
import warnings

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxdbg.records import LeafStats
from jaxdbg.trees import finiteness as finite
from jaxdbg.trees.leaf_stats import stats_of
from jaxdbg.trees.leaves import Leaf

EIGHT_BITS = [n for n in dir(ml_dtypes) if n.startswith("float8")]
WIDE = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]


def numpy_array(dtype: str, value: complex, at: int = 5, n: int = 7) -> np.ndarray:
    array = np.ones(n, jnp.dtype(dtype))
    array[at] = value
    return array


def told(value: object) -> LeafStats:
    """What is said of a value that is known to be bad."""
    return stats_of([Leaf("x", "", value)])[0]


@jax.jit
def slow(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A good and a bad matrix, which are not computed yet when this returns."""
    good = jnp.linalg.matrix_power(x, 60)
    return good, jnp.where(x == 0, jnp.nan, good)


@pytest.fixture(params=["read here", "asked of the device"])
def found(request, monkeypatch):
    """`suspects`, by each of the two ways to look."""
    if request.param == "asked of the device":
        monkeypatch.setattr(
            finite, "is_remote", lambda x: isinstance(x, jax.Array) and not gone(x)
        )
    return finite.suspects


def gone(x: jax.Array) -> bool:
    return not isinstance(x, jax.core.Tracer) and x.is_deleted()


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -np.nan])
def test_finds_a_bad_value_in_every_wide_dtype(found, dtype, value):
    with jax.enable_x64(True):
        array = jnp.asarray(numpy_array(dtype, value))
        assert array.dtype == dtype
        assert found([array]) == [0]


@pytest.mark.parametrize("dtype", EIGHT_BITS)
def test_agrees_with_ml_dtypes_on_every_pattern_of_8_bits(found, dtype):
    patterns = np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, dtype))
    arrays = [jnp.asarray(p) for p in patterns]
    assert found(arrays) == np.flatnonzero(~np.isfinite(patterns)).tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_agrees_with_numpy_on_every_pattern_of_16_bits(dtype):
    patterns = np.arange(1 << 16, dtype=np.uint16).view(jnp.dtype(dtype))
    with np.errstate(invalid="ignore"):  # ml_dtypes frets about a signalling NaN
        expected = ~np.isfinite(patterns)
    test = finite._TESTS[patterns.dtype]
    assert [test(p) for p in patterns.reshape(-1, 1)] == expected.tolist()


@pytest.mark.parametrize("name", ["float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"])
def test_a_format_without_inf_and_nan_is_never_suspect(name):
    patterns = np.arange(16, dtype=np.uint8).view(getattr(ml_dtypes, name))
    assert finite.suspects([patterns]) == []


@pytest.mark.parametrize("dtype", WIDE)
def test_the_largest_finite_values_are_good_and_silent(dtype):
    big = float(jnp.finfo(dtype).max)
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (1, 7, 100_000):
            both = np.array([big, -big] * n, jnp.dtype(dtype))
            assert finite.suspects([jnp.asarray(both), both]) == []


def test_numpy_reports_nothing_even_where_the_user_asked_it_to():
    bad = jnp.array([jnp.inf, -jnp.inf, jnp.nan, 3e38])
    with np.errstate(all="raise"):
        before = np.geterr()
        assert finite.suspects([bad, jnp.full(9, 3e38)]) == [0]
        assert told(bad).nan == 1
        assert np.geterr() == before


@pytest.mark.parametrize("at", [0, 65_535, 65_536, 199_999])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_finds_one_element_anywhere_in_a_large_array(found, at, dtype):
    array = jnp.asarray(numpy_array(dtype, np.nan, at, 200_000)).reshape(400, 500)
    assert found([array]) == [0]
    assert told(array).first_bad == divmod(at, 500)


def test_a_complex_array_is_bad_in_either_part(found):
    x = jnp.array([1 + 1j, complex(0, np.inf)], jnp.complex64)
    assert found([x, x.conj(), x[:1]]) == [0, 1]


def test_what_cannot_be_bad_or_read_is_no_suspect(found):
    deleted = jnp.full(3, jnp.nan)
    deleted.delete()
    things = [
        jnp.arange(3),
        jnp.array([True]),
        jax.random.key(0),
        jax.random.split(jax.random.key(0), 3),
        jnp.zeros((0, 3)),
        jnp.zeros((0,), jnp.bfloat16),
        deleted,
        None,
        "nan",
        object(),
        np.array(["nan", None], object),
        np.array(["NaT"], "M8[s]"),
        3,
        True,
        1.5,
        2j,
        np.float32(2),
        jnp.float32(2),
    ]
    assert found(things) == []
    assert finite.pending(things).suspects() == []


def test_values_of_the_host(found):
    strided = np.full((8, 6), np.nan)[::2, 1::3]
    things = [
        float("nan"),
        complex(0, float("inf")),
        np.float32("inf"),
        np.float64("nan"),
        np.array([1, np.nan], ">f4"),
        np.array([np.inf], np.longdouble),
        strided,
        strided.T,
    ]
    assert found(things) == list(range(len(things)))


def test_a_tracer_is_no_suspect():
    def f(x):
        assert finite.suspects([x]) == []
        assert finite.pending([x]).suspects() == []
        return x

    jax.jit(f)(jnp.ones(3))


def test_a_ref_is_read():
    ref = jax.new_ref(jnp.array([1.0, jnp.nan]))
    good = jax.new_ref(jnp.ones(2))
    assert finite.suspects([good, ref]) == [1]
    assert finite.pending([good, ref]).suspects() == [1]
    assert told(ref).first_bad == (1,)


def test_arrays_are_not_changed_and_can_be_donated_after():
    x = jnp.array([1.0, jnp.nan])
    y = jnp.ones(1000)
    finite.suspects([x, y])
    np.testing.assert_array_equal(x, [1.0, np.nan])
    jax.jit(lambda a: a + 1, donate_argnums=0)(y)
    assert y.is_deleted()


def test_a_cpu_array_is_read_without_compiling_or_copying():
    events: list[str] = []

    def listen(event: str, seconds: float, **_: object) -> None:
        events.append(event)

    x = jnp.arange(12_345.0).block_until_ready()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        finite.suspects([x])
        told(x)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert events == []
    assert np.shares_memory(np.asarray(x), next(finite.parts(x))[1])


def test_strict_settings_of_the_user_do_not_matter(found):
    with (
        jax.transfer_guard("disallow"),
        jax.numpy_dtype_promotion("strict"),
        jax.debug_nans(True),
    ):
        bad = jax.jit(lambda: jnp.arange(4.0))()
        assert found([bad]) == []
        assert finite.pending([bad]).suspects() == []


def test_pending_does_not_wait_and_survives_deletion():
    x, ones, inf = jnp.eye(1000), jnp.ones(2), jnp.array([jnp.inf])
    finite.pending(slow(x)).suspects()  # compiled
    good, bad = slow(x)
    answer = finite.pending([good, ones, bad, inf])
    assert not answer.ready()
    good.delete()
    bad.delete()
    assert answer.suspects() == [2, 3]
    assert answer.ready()


def test_pending_of_nothing():
    answer = finite.pending([])
    assert answer.ready()
    assert answer.suspects() == []


def test_more_arrays_than_one_array_of_flags_holds(found, monkeypatch):
    monkeypatch.setattr(finite, "_FLAGS", 16)
    finite._no_flags.clear_cache()
    good, bad = jnp.ones(2), jnp.full(2, jnp.nan)
    assert found([good, bad, good] * 15) == list(range(1, 45, 3))
    monkeypatch.undo()
    finite._no_flags.clear_cache()


def test_threads_do_not_disturb_each_other():
    arrays = [jnp.ones(50), jnp.full(50, jnp.inf)] * 20
    answers: list[list[int]] = []

    def look() -> None:
        answers.append(finite.suspects(arrays))
        answers.append(finite.pending(arrays).suspects())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [list(range(1, 40, 2))] * 16


def test_bad_elements_are_counted_and_the_first_is_found():
    x = jnp.ones((3, 4), jnp.bfloat16)
    x = x.at[1, 2].set(-jnp.inf).at[2, 0].set(jnp.nan).at[2, 3].set(jnp.inf)
    bad = told(x)
    assert (bad.nan, bad.posinf, bad.neginf, bad.size) == (1, 1, 1, 12)
    assert (bad.first_bad, bad.shape, bad.dtype) == ((1, 2), (3, 4), "bfloat16")


def test_a_complex_element_is_counted_once():
    inf, nan = np.inf, np.nan
    parts = [(1, 1), (nan, inf), (inf, -inf), (-inf, 0), (0, nan)]
    bad = told(jnp.array([complex(*p) for p in parts]))
    assert (bad.nan, bad.posinf, bad.neginf, bad.first_bad) == (2, 1, 1, (1,))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
def test_every_pattern_of_8_bits(dtype):
    patterns = np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, dtype))
    bad = told(jnp.asarray(patterns))
    assert bad.nan == np.isnan(patterns).sum()
    assert bad.posinf + bad.neginf == np.isinf(patterns).sum()
    assert bad.first_bad == (int((~np.isfinite(patterns)).argmax()),)


def test_anything_has_statistics():
    nothing = (0, 0, 0)
    for value, size in (
        (jnp.arange(3), 3),
        (2.5, 1),
        (None, 0),
        (jax.random.key(0), 1),
    ):
        bad = told(value)
        assert ((bad.nan, bad.posinf, bad.neginf), bad.size) == (nothing, size)
    assert told(float("nan")).nan == 1
    deleted = jnp.full(3, jnp.nan)
    deleted.delete()
    assert told(deleted).shape == (3,)
    assert told(np.full((4, 6), np.inf)[::2, ::3].T).posinf == 4


@pytest.mark.skipif("len(jax.devices()) < 2")
class TestTwoDevices:
    def sharded(self, *spec: str | None, where=None) -> jax.Array:
        mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
        x = jnp.ones((4, 6))
        x = x if where is None else x.at[where].set(jnp.nan)
        return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))

    @pytest.mark.parametrize("spec", [("x",), (None, "x"), ()])
    @pytest.mark.parametrize("where", [(0, 0), (3, 1), (1, 5)])
    def test_every_shard_is_looked_at(self, found, spec, where):
        good, bad = self.sharded(*spec), self.sharded(*spec, where=where)
        assert found([good, bad]) == [1]
        described = told(bad)
        assert (described.nan, described.first_bad) == (1, where)
        assert described.size == 24

    def test_the_first_in_c_order_is_found_across_shards(self):
        bad = self.sharded(None, "x", where=(slice(1, 3), slice(2, 5)))
        assert told(bad).first_bad == (1, 2)
        assert told(bad).nan == 6

    def test_arrays_on_different_devices(self, found):
        here, there = (jax.device_put(jnp.inf, d) for d in jax.devices()[:2])
        both = self.sharded("x", where=(0, 0))
        assert found([here, there, both, here]) == [0, 1, 2, 3]

    def test_under_a_mesh(self, found):
        there = jax.device_put(jnp.array([1.0, jnp.nan]), jax.devices()[1])
        x = self.sharded("x", where=(2, 3))
        with jax.set_mesh(x.sharding.mesh):
            assert found([x, there, x + 1]) == [0, 1, 2]

    def test_pending_of_shards(self):
        mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
        spread = NamedSharding(mesh, PartitionSpec("x"))
        good, bad = slow(jax.device_put(jnp.eye(1000), spread))
        assert finite.pending([good, bad]).suspects() == [1]


def test_a_failure_of_ours_on_the_devices_is_not_hidden(monkeypatch):
    def broken(*_: object) -> None:
        raise TypeError("of ours")

    monkeypatch.setattr(finite, "_shift_in", broken)
    with pytest.raises(TypeError, match="of ours"):
        finite.pending([slow(jnp.eye(300))[0]])


def test_what_no_device_can_be_asked_of_is_read_here():
    first, second = jax.devices()
    elsewhere, deleted = jax.device_put(jnp.nan, second), jnp.ones(3)
    deleted.delete()
    with jax.set_mesh(jax.make_mesh((1,), ("a",), devices=[first])):
        assert not finite._ask([], 0, elsewhere)
        assert finite.pending([elsewhere]).suspects() == [0]
    assert not finite._ask([], 0, deleted)
    assert finite.pending([deleted]).suspects() == []
