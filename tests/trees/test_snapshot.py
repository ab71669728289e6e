"""Values with tracers in them are made again with arrays in the same places."""

from __future__ import annotations

import functools
from collections import deque
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxdbg.trees.snapshot import Unfilled, snapshots


class Pair(NamedTuple):
    left: Any
    right: Any


class Thing:
    """An object of a class that JAX knows nothing of."""

    def __init__(self, value: Any):
        self.value = value
        self.itself = self

    def scaled(self, by: Any) -> Any:
        return self.value * by


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


class Table(dict[str, Any]):
    """A dict with rules of its own."""


def plus(x: Any) -> Any:
    def add(y: Any, z: Any = x) -> Any:
        return x + y + z

    return add


HOLDERS = {
    "itself": (lambda x: x, lambda v: v),
    "dict": (lambda x: {"a": [x, 1]}, lambda v: v["a"][0]),
    "named tuple": (lambda x: Pair(1, x), lambda v: v.right),
    "object": (Thing, lambda v: v.itself.itself.value),
    "slots": (Slotted, lambda v: v.value),
    "closure": (plus, lambda v: v(0) / 2),
    "method": (lambda x: Thing(x).scaled, lambda v: v(1)),
    "partial": (lambda x: functools.partial(max, x, key=None), lambda v: v.args[0]),
}


def taken(hold: Any) -> Any:
    """A snapshot of what holds a tracer, whose key is 7."""
    found = {}

    @jax.make_jaxpr
    def trace(x: Any) -> Any:
        found.update(snapshots({"it": hold(x), "number": 3}, lambda _: 7))
        return x

    trace(0.0)
    return found


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_array_is_where_the_tracer_was(holder):
    hold, read = HOLDERS[holder]
    snapshot = taken(hold)["it"]
    assert snapshot.keys == {7}
    assert read(snapshot.filled({7: jnp.float32(5)}, {})) == 5
    with pytest.raises(Unfilled):
        snapshot.filled({}, {})


def test_what_holds_no_tracer_is_the_very_object():
    thing = Thing(2)
    found = snapshots({"thing": thing}, lambda _: 7)["thing"]
    assert not found.is_traced
    assert found.filled({}, {}) is thing


def test_the_snapshot_is_of_its_time():
    later: list[Any] = []

    def hold(x: Any) -> list[Any]:
        later.append(x)
        return later

    snapshot = taken(hold)["it"]
    later.append("more")
    assert snapshot.filled({7: 5}, {}) == [5]


@pytest.mark.parametrize("hold", [lambda x: Table(a=x), lambda x: deque([x])])
def test_what_cannot_be_made_again_is_not_filled(hold):
    with pytest.raises(Unfilled):
        taken(hold)["it"].filled({7: 5}, {})
