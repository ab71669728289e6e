"""The finiteness map: every kind of leaf, and each number against a plain count."""

from __future__ import annotations

import dataclasses
import json
import math
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg import finite_map
from jaxdbg.records import LeafStats, TreeStats
from jaxdbg.records.serial import record
from jaxdbg.trees import finiteness as finite, statistics
from jaxdbg.trees.measuring import BLOCK

DTYPES = (
    np.float16,
    np.float32,
    np.float64,
    np.complex64,
    np.complex128,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    ml_dtypes.int4,
    np.int8,
    np.uint32,
    np.bool_,
)

BYTES = [dtype for dtype in DTYPES if dtype != ml_dtypes.int4]
"""Those of which each bit pattern of so many bytes is a number."""


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(2, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)


class Model(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.blocks = nnx.List([Block(rngs) for _ in range(2)])
        self.head = self.blocks[0].linear
        self.scale = nnx.Param(jnp.ones(3))


@pytest.fixture
def model() -> Model:
    return Model(nnx.Rngs(0))


# What a leaf holds, counted plainly.


def plainly(x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The numbers of a leaf, element by element."""
    wide = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
    nan, inf = np.isnan(wide), np.isinf(wide)
    bad = [tuple(map(int, i)) for i in np.argwhere(nan | inf)]
    positive = (wide.real == np.inf) | (wide.imag == np.inf)
    good = wide[~(nan | inf)]
    magnitudes = np.abs(good)
    is_float = jnp.issubdtype(x.dtype, np.inexact)
    normal = float(jnp.finfo(x.dtype).smallest_normal) if is_float else 0.0
    nonzero = magnitudes[magnitudes > 0]
    moments = good.size and x.dtype.kind != "c"
    return {
        "nan": int(nan.sum()),
        "posinf": int((inf & positive & ~nan).sum()),
        "neginf": int((inf & ~positive & ~nan).sum()),
        "zeros": int((magnitudes == 0).sum()),
        "subnormals": int((nonzero < normal).sum()),
        "smallest": float(nonzero.min()) if nonzero.size else None,
        "largest": float(magnitudes.max()) if magnitudes.size else None,
        "mean": float(good.mean()) if moments else None,
        "std": float(good.std()) if moments else None,
        "first_bad": bad[0] if bad else None,
    }


def assert_agrees(leaf: LeafStats, x: np.ndarray[Any, Any]) -> None:
    for name, value in plainly(x).items():
        found = getattr(leaf, name)
        if isinstance(value, float):
            assert found == pytest.approx(value, rel=1e-5, abs=1e-7), name
        else:
            assert found == value, name


def some_array(rng: np.random.Generator, dtype: Any) -> np.ndarray[Any, Any]:
    shape = tuple(rng.integers(0, 7, rng.integers(0, 4)))
    values = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2)
    special = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e-40, 1e-7], shape)
    values = np.where(rng.random(shape) < rng.choice([0, 0.3]), special, values)
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind == "c":
            return np.asarray(values + 1j * np.flip(values)).astype(dtype)
        is_float = jnp.issubdtype(dtype, np.inexact)
        return np.asarray(values if is_float else np.nan_to_num(values)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_numbers_are_those_of_a_plain_count(dtype: Any) -> None:
    rng = np.random.default_rng(7)
    arrays = [some_array(rng, dtype) for _ in range(60)]
    found = finite_map(arrays, detail=True)
    assert len(found) == 60
    for leaf, x in zip(found, arrays, strict=True):
        assert (leaf.shape, leaf.size, leaf.dtype) == (x.shape, x.size, str(x.dtype))
        if x.size:
            assert_agrees(leaf, x)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64])
def test_a_large_array_is_measured_in_pieces(dtype: Any, order: Any) -> None:
    values = np.random.default_rng(1).normal(3, 2, (1100, 1000))
    values[1, 1], values[700, 3], values[1099, 999] = 0, -np.inf, np.nan
    x = np.asarray(values, order=order).astype(dtype, order=order)
    assert x.size > statistics._PIECE
    leaf = finite_map(x, detail=True)[0]
    assert_agrees(leaf, x)
    assert leaf.first_bad == (700, 3)


def special_values(rng: np.random.Generator, dtype: Any, size: int) -> Any:
    """Random bit patterns, so that every kind of number is among them."""
    if np.dtype(dtype) == np.bool_:
        return rng.random(size) < 0.5
    bits = rng.integers(0, 256, size * np.dtype(dtype).itemsize, np.uint8)
    values = bits.view(dtype)
    # Both parts may be finite where the length of the number is not.
    return values / values.dtype.type(2) if values.dtype.kind == "c" else values


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["any", "finite", "zeros", "constant", "bad"])
@pytest.mark.parametrize("dtype", BYTES, ids=lambda d: np.dtype(d).name)
def test_counts_of_a_block_are_exact_and_its_spread_is_near(
    dtype: Any, kind: str
) -> None:
    rng = np.random.default_rng(11)
    for size in (statistics._SHORT + 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
        x = special_values(rng, dtype, size)
        finite_ones = np.isfinite(x.astype(np.complex128))
        if kind == "finite":
            x = np.where(finite_ones, x, x.dtype.type(1))
        if kind == "zeros":
            x = np.where(finite_ones & (rng.random(size) < 0.5), x, x.dtype.type(0))
        if kind == "constant":
            x = np.full(size, 3.1).astype(dtype)
        if kind == "bad" and finite_ones.all():
            continue
        if kind == "bad":
            x = np.full(size, x[np.argmin(finite_ones)])
        leaf = finite_map(x, detail=True)[0]
        expected = plainly(x)
        mean, std = expected.pop("mean"), expected.pop("std")
        if mean is None or not math.isfinite(std):  # no double holds it
            assert leaf.std is None
        else:
            assert leaf.mean == pytest.approx(mean, rel=1e-9, abs=1e-12 * std)
            assert leaf.std == pytest.approx(std, rel=1e-9, abs=1e-12)
        if np.dtype(dtype).kind == "c":  # a length is rounded
            for name in ("largest", "smallest"):
                value = expected.pop(name)
                assert value is None or getattr(leaf, name) == pytest.approx(value)
        assert {name: getattr(leaf, name) for name in expected} == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_spread_is_that_around_a_mean_far_from_it(dtype: Any) -> None:
    values = np.random.default_rng(3).normal(1e4, 1e-2, 3 * BLOCK).astype(dtype)
    values[::7] = np.nan
    leaf = finite_map(values, detail=True)[0]
    wide = values[np.isfinite(values)].astype(np.longdouble)
    assert leaf.mean == pytest.approx(float(wide.mean()), rel=1e-12)
    assert leaf.std == pytest.approx(float(wide.std()), rel=1e-6)


@pytest.mark.parametrize("at", [0, 8192, (1 << 20) + 8191, (1 << 22) + 7])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, "bfloat16"])
def test_a_bad_element_anywhere_in_a_large_leaf(dtype: Any, bad: Any, at: int) -> None:
    x = np.ones((1 << 22) + 9, np.dtype(dtype))
    x[at] = bad
    (leaf,) = finite_map(x, detail=False).bad
    assert leaf.first_bad == (at,)
    assert leaf.bad == 1


def test_which_of_many_short_leaves_are_bad() -> None:
    rng = np.random.default_rng(5)
    dtypes = [np.float32, ml_dtypes.bfloat16, np.int32, np.complex64, np.float16]
    tree = [np.ones(1 + i % 40, dtypes[i % 5]) for i in range(3000)]
    chosen = sorted({2995, *rng.choice(3000, 25).tolist()})
    wrong = [i for i in chosen if dtypes[i % 5] != np.int32]
    for i in wrong:
        tree[i][-1] = (np.nan, np.inf, -np.inf)[i % 3]
    found = finite_map([jnp.asarray(x) for x in tree], "t", detail=False)
    assert [leaf.path for leaf in found.bad] == [f"t[{i}]" for i in wrong]


def test_without_detail_only_the_bad_are_measured() -> None:
    tree = {"good": np.ones(3, "f"), "bad": np.array([1, np.nan], "f")}
    found = finite_map(tree, detail=False)
    assert [leaf.detailed for leaf in found] == [False, True]
    assert found['tree["bad"]'].nan == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_one_bad_element_of_many_is_found(bad: float, dtype: Any) -> None:
    x = np.ones((3000, 1000), dtype)
    x[2999, 998] = bad
    good = np.full((3000, 1000), 1e38, dtype)  # of which the sum overflows
    found = finite_map([good, jnp.asarray(x)], detail=False)
    assert [leaf.path for leaf in found.bad] == ["tree[1]"]
    assert found[1].first_bad == (2999, 998)


def test_a_sharded_array_is_read_shard_by_shard() -> None:
    mesh = jax.make_mesh((2,), ("data",))
    spec = jax.sharding.PartitionSpec(None, "data")
    x = np.random.default_rng(2).normal(size=(6, 8)).astype("f")
    x[4, 5] = x[5, 0] = np.nan
    sharded = jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))
    leaf = finite_map(sharded)[0]
    assert_agrees(leaf, x)
    assert leaf.sharding == "P(None, 'data') on 2 cpu devices"
    assert finite_map(jnp.ones(2))[0].sharding == "cpu:0"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f2", "f4", "c8", "i4", ml_dtypes.bfloat16, "?"])
def test_a_device_measures_its_own(dtype: Any, monkeypatch: Any) -> None:
    rng = np.random.default_rng(5)
    arrays = [some_array(rng, np.dtype(dtype)) for _ in range(15)]
    arrays = [np.where(np.abs(x) < 1e-6, 0, x).astype(dtype) for x in arrays]
    on_device = [jnp.asarray(x) for x in arrays]
    monkeypatch.setattr(
        finite, "is_remote", lambda x: isinstance(x, jax.Array) and not x.is_deleted()
    )
    found = finite_map(on_device, detail=True)
    for leaf, x in zip(found, arrays, strict=True):
        if x.size:
            assert_agrees(leaf, x)
    assert [leaf.bad for leaf in finite_map(on_device, detail=False)] == [
        leaf.bad for leaf in found
    ]
    matrix = jnp.ones((300, 5)).at[200, 3].set(jnp.nan)
    assert finite_map(matrix).tile("matrix", most=100).flags[66, 3] == 1


# Every kind of leaf has its place.


def test_nothing_raises_and_everything_has_its_kind() -> None:
    gone = jnp.ones(3)
    gone.delete()
    broken = SimpleNamespace(shape="x", dtype=None)
    tree = {
        "float": jnp.ones(2),
        "number": math.nan,
        "int": 3,
        "long": 2**100,
        "bool": True,
        "none": None,
        "text": "a",
        "bytes": b"a",
        "key": jax.random.key(0),
        "old key": jax.random.PRNGKey(0),
        "empty": jnp.zeros((0, 3)),
        "abstract": jax.ShapeDtypeStruct((2, 3), jnp.bfloat16),
        "deleted": gone,
        "objects": np.array([None, {}]),
        "dates": np.array(["2026-01-01"], "datetime64[D]"),
        "function": len,
        "ref": jax.new_ref(jnp.ones(2)),
        "broken": broken,
        "set": {1},
    }
    found = finite_map(tree)
    kinds = {leaf.path[6:-2]: leaf.kind for leaf in found}
    assert kinds == {
        "float": "float",
        "number": "float",
        "int": "int",
        "long": "int",
        "bool": "bool",
        "none": "none",
        "text": "str",
        "bytes": "other",
        "key": "key",
        "old key": "int",
        "empty": "float",
        "abstract": "abstract",
        "deleted": "deleted",
        "objects": "other",
        "dates": "other",
        "function": "other",
        "ref": "float",
        "broken": "other",
        "set": "other",
    }
    assert [leaf.path for leaf in found.bad] == ['tree["number"]']
    assert found['tree["ref"]'].largest == 1
    assert found['tree["abstract"]'].nbytes == 12
    assert str(found)


def test_tracers_are_abstract() -> None:
    seen = []
    jax.jit(lambda x: seen.append(finite_map(x)[0]))(jnp.ones((2, 3)))
    assert (seen[0].kind, seen[0].shape, seen[0].detailed) == (
        "abstract",
        (2, 3),
        False,
    )


def test_a_container_that_breaks_is_one_leaf() -> None:
    class Broken(dict):  # type: ignore[type-arg]
        pass

    def flatten(tree: Any) -> Any:
        raise ValueError("broken")

    jax.tree_util.register_pytree_node(Broken, flatten, lambda a, b: Broken())
    assert [leaf.kind for leaf in finite_map([Broken(), 1.0])] == ["float"]

    class Own:
        pass

    jax.tree_util.register_pytree_node(Own, flatten, lambda a, b: Own())
    assert [leaf.kind for leaf in finite_map([Own(), 1.0])] == ["other", "float"]


# Paths and groups.


def paths(found: Any) -> list[str]:
    return [leaf.path for leaf in found]


def test_paths_are_as_one_types_them(model: Model) -> None:
    found = finite_map(model)
    assert paths(found)[:3] == [
        "model.blocks[0].linear.kernel",
        "model.blocks[0].linear.bias",
        "model.blocks[0].norm.mean",
    ]
    assert paths(found)[-1] == "model.scale"
    for leaf in found:
        value = eval(leaf.path, {"model": model})
        assert jnp.shape(value) == leaf.shape


def test_what_is_held_twice_is_one_leaf(model: Model) -> None:
    found = finite_map(model)
    assert not any(".head." in path for path in paths(found))
    assert found["model.head.kernel"].path == "model.blocks[0].linear.kernel"
    x = jnp.ones(2)
    (leaf,) = finite_map({"a": x, "b": x})
    assert (leaf.path, leaf.also) == ('tree["a"]', ('tree["b"]',))


def test_groups(model: Model) -> None:
    def groups(found: Any) -> set[str]:
        return {leaf.group for leaf in found}

    assert groups(finite_map(model)) == {"params", "batch stats", "rng"}
    assert finite_map(model)["model.blocks[0].norm.mean"].group == "batch stats"
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    assert groups(finite_map(optimizer, "o")) == {"optimizer"}
    grads = nnx.grad(lambda m: m.scale.sum())(model)
    assert groups(finite_map(grads)) == {"gradients"}
    params = {"w": jnp.ones(2)}
    assert groups(finite_map(params)) == {"params"}
    assert groups(finite_map(optax.adam(1e-3).init(params))) == {"optimizer"}
    assert groups(finite_map({"params": params, "batch_stats": params["w"] + 1})) == {
        "params",
        "batch stats",
    }
    assert groups(finite_map([jnp.ones(2)])) == {"other"}


def test_custom_nodes_dataclasses_and_objects() -> None:
    @jax.tree_util.register_pytree_node_class
    class Node:
        def __init__(self, left: Any, right: Any):
            self.left, self.right = left, right

        def tree_flatten(self) -> Any:
            return (self.left, self.right), None

        @classmethod
        def tree_unflatten(cls, _: Any, children: Any) -> Any:
            return cls(*children)

    @dataclasses.dataclass
    class Data:
        w: Any
        n: int = 3

    node = Node(jnp.ones(2), [1.5])
    assert paths(finite_map(node)) == ["node.left", "node.right[0]"]
    data = Data(node)
    assert paths(finite_map(data)) == ["data.w.left", "data.w.right[0]", "data.n"]

    class Trainer:
        def __init__(self) -> None:
            self.lr, self.params = 1.0, {"w": jnp.ones(2)}

    trainer = Trainer()
    assert paths(finite_map(trainer)) == ['trainer.params["w"]']
    plain = object()
    assert [(x.path, x.kind) for x in finite_map(plain)] == [("plain", "other")]


def test_the_name_is_what_the_caller_wrote(model: Model) -> None:
    state = SimpleNamespace(params={"ü": {"w": [jnp.ones(1)]}})
    assert paths(finite_map(state.params["ü"])) == ['state.params["ü"]["w"][0]']
    assert finite_map(tree=model).name == "model"
    assert finite_map(nnx.state(model, nnx.Param)).name == "nnx.state(model, nnx.Param)"
    assert finite_map([1.0]).name == "tree"
    assert finite_map(model, "net").name == "net"
    assert finite_map(model, "net")[0].path == "net.blocks[0].linear.kernel"


# Looking things up.


def test_unknown_paths_say_what_there_is(model: Model) -> None:
    found = finite_map(model)
    with pytest.raises(KeyError) as error:
        found["model.scal"]
    assert str(error.value) == (
        "model has no leaf 'model.scal'. Did you mean 'model.scale'? Expected one of "
        "its 17 paths: [leaf.path for leaf in map] lists them."
    )
    with pytest.raises(KeyError) as error:
        found["model.blocks[1].linear"]
    assert str(error.value) == (
        "'model.blocks[1].linear' is not a leaf but holds 2: "
        "model.blocks[1].linear.kernel, model.blocks[1].linear.bias"
    )
    assert "model.scale" in found
    assert "model.scal" not in found


def test_arrays_are_not_kept_alive(model: Model) -> None:
    found = finite_map(model)
    assert found.array("model.scale") is model.scale.get_raw_value()
    model.scale[...] = jnp.zeros(3)
    with pytest.raises(LookupError) as error:
        found.array("model.scale")
    assert str(error.value) == (
        "model.scale is not there any more: the tree holds another array since the map "
        "was made. Call finite_map(model) again to look at that one."
    )
    assert found.expression("model.scale", (2,)) == "model.scale[2]"


def test_json_is_the_record(model: Model) -> None:
    stats = finite_map(model).stats
    assert record(TreeStats, json.loads(finite_map(model).to_json())).leaves == (
        stats.leaves
    )


# As text.


def test_text_puts_the_bad_first() -> None:
    kernel = np.ones((64, 10), "f")
    kernel[3, 7:] = np.nan, np.inf, np.inf
    params = {"head": {"kernel": kernel, "bias": np.zeros(10, "f")}, "steps": 7}
    text = str(finite_map(params)).split("\n")
    assert text[0].startswith(
        "✗ params: 1 of 3 leaves not finite · 651 elements, 2.6 kB · read in "
    )
    assert text[1:] == [
        '  ✗ params["head"]["kernel"]  float32[64,10]: 1 NaN, 2 Inf of 640, first at '
        "[3, 7]",
        f"{'size':>51}  smallest  largest  headroom",
        '  params["head"]["kernel"]  float32[64,10]  2.56 kB         1        1  '
        "128 bits  ✗ 1 NaN, 2 Inf",
        '  params["head"]["bias"]    float32[10]        40 B                  0',
        '  params["steps"]           int                 0 B',
    ]


def test_text_of_many_leaves_is_short() -> None:
    layers = [{"w": np.ones(2, "f"), "b": np.ones(1, "f")} for _ in range(1000)]
    layers[700]["w"][1] = np.nan
    text = str(finite_map(layers)).split("\n")
    assert len(text) == 28
    assert text[1] == '  ✗ layers[700]["w"]  float32[2]: 1 NaN of 2, first at [1]'
    assert any("layers[700]" in line for line in text[2:])
    assert text[-1] == "  and 976 more parts"


# The elements of a leaf.


def tiles_plainly(x: np.ndarray[Any, Any], tile: tuple[int, int]) -> Any:
    """Flags and largest magnitudes of a matrix of any more axes, tile by tile."""
    rows = range(0, x.shape[0], tile[0])
    columns = range(0, x.shape[1], tile[1])
    cells = [[x[r : r + tile[0], c : c + tile[1]] for c in columns] for r in rows]
    flags = [
        [
            (np.isnan(c).any() * 1 | (c == np.inf).any() * 2 | (c == -np.inf).any() * 4)
            for c in row
        ]
        for row in cells
    ]
    largest = [
        [np.abs(c[np.isfinite(c)]).max(initial=-1) for c in row] for row in cells
    ]
    return flags, largest


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_tiles_are_as_bad_as_their_worst_element(dtype: Any, sharded: bool) -> None:
    rng = np.random.default_rng(3)
    mesh = jax.make_mesh((2,), ("data",))
    for _ in range(20):
        shape = (*(2 * rng.integers(1, 40, 2)), *rng.integers(1, 3, rng.integers(0, 2)))
        x = rng.normal(size=shape)
        places = rng.random(shape) < 0.02
        x[places] = rng.choice([np.nan, np.inf, -np.inf], int(places.sum()))
        x = x.astype(dtype)
        most = int(rng.integers(1, 50))
        array = jnp.asarray(x)
        if sharded:
            spec = jax.sharding.PartitionSpec(*rng.permuted(["data", None]))
            array = jax.device_put(array, jax.sharding.NamedSharding(mesh, spec))
        found = finite_map(array).tile("array", axes=(0, 1), most=most)
        flags, largest = tiles_plainly(x.astype(np.float32), found.tile)
        assert max(found.flags.shape) <= most
        np.testing.assert_array_equal(found.flags, flags)
        np.testing.assert_allclose(found.largest, largest)


def test_a_single_nan_of_millions_is_seen() -> None:
    x = np.zeros((4096, 4096), "f")
    x[1234, 4000] = np.nan
    found = finite_map(x)
    picture = found.tile("x")
    assert picture.tile == (16, 16)
    assert [*map(tuple, np.argwhere(picture.flags))] == [(1234 // 16, 4000 // 16)]
    window = found.tile("x", [slice(1232, 1248), slice(4000, 4016)])
    assert window.window == ((1232, 1248), (4000, 4016))
    assert window.values is not None
    assert math.isnan(window.values[2, 0])
    assert found.expression("x", (1234, 4000)) == "x[1234, 4000]"


def test_axes_of_a_tile() -> None:
    kernel = np.arange(3 * 4 * 5 * 6, dtype="f").reshape(3, 4, 5, 6)
    found = finite_map(kernel)
    assert found.tile("kernel").axes == (2, 3)
    np.testing.assert_array_equal(found.tile("kernel").largest, kernel[-1, -1])
    one = found.tile("kernel", [0, 1])
    np.testing.assert_array_equal(one.values, kernel[0, 1])
    turned = found.tile("kernel", [slice(None), 0, 0], axes=(3, 0))
    np.testing.assert_array_equal(turned.values, kernel[:, 0, 0].T)
    bias = np.arange(7.0)
    row = finite_map(bias).tile("bias")
    assert (row.axes, row.flags.shape) == ((-1, 0), (1, 7))
    three = jnp.float32(3)
    assert finite_map(three).tile(0).largest.tolist() == [[3]]


def test_bad_windows_are_told() -> None:
    tree = {"x": np.zeros((3, 4)), "text": "a"}
    found = finite_map(tree)
    for arguments, text in [
        (([5],), 'Index 5 is outside axis 0 of tree["x"], of length 3.'),
        (([0, 0, 0],), 'tree["x"] has 2 axes, the window 3: [0, 0, 0].'),
        (
            (None, (0, 0)),
            'axes is (0, 0). Expected two axes of tree["x"], which has 2.',
        ),
    ]:
        with pytest.raises(jaxdbg.UsageError) as error:
            found.tile('tree["x"]', *arguments)
        assert str(error.value) == text
    with pytest.raises(jaxdbg.UsageError, match="is no array of numbers, but str"):
        found.tile('tree["text"]')


# As HTML and as a picture.


@pytest.mark.parametrize("empty", [{}, print, [None, object()]])
def test_what_holds_no_arrays_has_no_check_mark(empty: Any) -> None:
    text = str(finite_map(empty, "f"))
    assert text.split("\n")[0] == "f holds no arrays: there is nothing to look at"
    assert "✓" not in text


def test_html_needs_no_script_and_escapes() -> None:
    tree = {"<script>": np.array([1, np.nan], "f"), "b": np.ones(2, "f")}
    html = finite_map(tree)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "1 of 2 leaves not finite" in html
    assert "1 NaN of 2, first at [1]" in html
    assert html.count("<tr") == 3
    many = [np.full(1, np.nan, "f") for _ in range(30_000)]
    html = finite_map(many)._repr_html_()
    assert "and 29,980 more bad leaves" in html
    assert "and 29,976 more parts" in html
    assert len(html) < 30_000


def test_figure_names_each_part() -> None:
    params = {"a": np.array([0.5, np.inf], "f"), "b": np.ones(2, "f"), "c": "text"}
    (axes,) = finite_map(params).figure().axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ['params["a"]', 'params["b"]', 'params["c"]']
    assert [text.get_text() for text in axes.texts] == ["✗ 1 Inf"]
    assert finite_map(params).figure()._repr_png_().startswith(b"\x89PNG")


def test_report_shows_itself_as_html() -> None:
    bad = jnp.zeros(2)
    with jaxdbg.checked(record=True) as region:
        jax.jit(jnp.log)(bad - 1)
    html = region.report._repr_html_()
    assert "1 finding" in html
    assert "<script" not in html
    assert len(html) < 200_000
