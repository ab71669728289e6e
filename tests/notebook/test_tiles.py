"""A leaf as a picture: whatever its shape, one bad element is seen."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdbg.notebook.tiles import SIDE, tile
from tests.views.panel.test_data import unpacked


def worst(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    cells = answer["rows"], answer["columns"]
    return np.reshape(unpacked(answer["worst"], math.prod(cells)), cells)


def largest(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    cells = answer["rows"], answer["columns"]
    return np.reshape(unpacked(answer["largest"], math.prod(cells)), cells)


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((4096, 4096), (4095, 17)),
        ((70_001, 3), (70_000, 2)),
        ((100_000,), (99_999,)),
        ((3, 3, 64, 513), (2, 0, 63, 512)),
        ((5,), (0,)),
        ((), ()),
    ],
)
def test_one_nan_is_seen_in_its_cell(
    shape: tuple[int, ...], index: tuple[int, ...]
) -> None:
    array = np.ones(shape, np.float32)
    array[index] = np.nan
    answer = tile(array)
    assert answer["rows"] <= SIDE
    assert answer["columns"] <= SIDE
    (where,) = np.argwhere(worst(answer) == 2)
    place = (0, 0, *index)[-2:]
    down, across = answer["step"]
    assert tuple(where) == (place[0] // down, place[1] // across)


def test_kinds_and_magnitudes() -> None:
    array = jnp.array([[1.0, -7.0, jnp.inf], [0.0, jnp.nan, -jnp.inf]])
    answer = tile(array)
    assert worst(answer).tolist() == [[0, 0, 1], [0, 2, 1]]
    assert np.array_equal(
        largest(answer), [[1, 7, np.nan], [0, np.nan, np.nan]], equal_nan=True
    )
    assert answer["values"] == ["1.0", "-7.0", "inf", "0.0", "nan", "-inf"]


def test_a_window_is_cut_from_its_own_begin() -> None:
    array = np.arange(1000 * 10.0).reshape(1000, 10)
    answer = tile(array, [(3, 700), (2, 5)])
    assert (answer["step"], answer["rows"], answer["columns"]) == ([3, 1], 233, 3)
    expected = array[3:700, 2:5][2::3]
    assert np.array_equal(largest(answer)[: len(expected)], expected)
    assert largest(answer)[-1].tolist() == array[699, 2:5].tolist()
    assert tile(array, [(3, 5), (2, 4)])["values"] == ["32.0", "33.0", "42.0", "43.0"]


def test_other_axes_show_their_worst() -> None:
    array = np.zeros((2, 3, 4, 5), np.float32)
    array[1, 2, 3, 4] = np.inf
    array[0, 2, 3, 4] = np.nan
    assert worst(tile(array))[3, 4] == 2
    one = tile(array, [(1, 2), (0, 3), (0, 4), (0, 5)])
    assert worst(one)[3, 4] == 1
    assert (one["axes"], one["window"][0]) == ([2, 3], [1, 2])


@pytest.mark.parametrize(
    "dtype",
    ["bfloat16", "float16", "float8_e4m3fn", "complex64", "int8", "bool", "int4"],
)
def test_types(dtype: str) -> None:
    answer = tile(jnp.ones((3, 4), dtype))
    assert largest(answer).tolist() == [[1.0] * 4] * 3


def test_shards_are_read_where_they_lie() -> None:
    devices = jax.devices()
    mesh = jax.make_mesh((len(devices),), ("x",))
    spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    rows = 600 * len(devices)
    array = np.random.default_rng(0).normal(size=(rows, 7)).astype(np.float32)
    array[rows - 2, 3] = np.nan
    whole, parts = tile(array), tile(jax.device_put(array, spec))
    assert parts == whole


@pytest.mark.parametrize(
    ("array", "window", "said"),
    [
        (jax.random.key(0), (), "A leaf of type key<fry> has no elements to show."),
        ("a", (), "A leaf of type str has no elements to show."),
        (np.ones((0, 3)), (), "An array of shape (0, 3) is empty."),
        (
            np.ones(3),
            [(0, 9)],
            "An array of shape (3,) has no window [(0, 9)].",
        ),
    ],
)
def test_what_has_no_tile_says_so(array: Any, window: Any, said: str) -> None:
    with pytest.raises(ValueError) as error:
        tile(array, window)
    assert str(error.value) == said
