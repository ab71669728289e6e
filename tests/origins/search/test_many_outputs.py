"""Many outputs are followed back together, with what each alone would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdbg.origins.found import Found
from jaxdbg.origins.search import follow_back, search as module

MANY = 24

Layers = list[jax.Array]


def exploding(ws: Layers, x: jax.Array) -> Layers:
    """All gradients are NaN, of one Inf."""

    def loss(ws: Layers) -> jax.Array:
        for w in ws:
            x_ = x * w
        e = jnp.exp(1000 * x_ + sum(ws))
        return (e / e.sum()).sum()

    return jax.grad(loss)(ws)


def divided(ws: Layers, x: jax.Array) -> Layers:
    """All gradients are NaN of 0 / 0, which products of the backward pass spread."""

    def loss(ws: Layers) -> jax.Array:
        y = x - x
        return sum(((y / y.sum()) * w).sum() for w in ws)

    return [loss([w]) * w for w in ws]


def of_two(ws: Layers, x: jax.Array) -> Layers:
    """Half of the results are NaN of one birth, half of another."""
    a, b = jnp.log(-x), jnp.sqrt(-x)
    return [w * (a if i % 2 else b) for i, w in enumerate(ws)]


def in_a_loop(ws: Layers, x: jax.Array) -> Layers:
    """One operation gives birth in two steps of a loop, each in other results."""
    _, ys = jax.lax.scan(lambda c, r: (c, jnp.log(r)), 0.0, jnp.stack([x, -x, -x]))
    return [w * ys[1 + i % 2] for i, w in enumerate(ws)]


def that_came(ws: Layers, x: jax.Array) -> Layers:
    """What came in through an argument spreads into all."""
    return [w * (x / 0).sum() for w in ws]


PROGRAMS = [exploding, divided, of_two, in_a_loop, that_came]


def found_in(program: Callable[..., Layers], few: int) -> tuple[dict[int, Found], int]:
    """What is found, and how often outputs were followed back for it."""
    ws = [jnp.full(3, 1.0 + i) for i in range(MANY)]
    closed = jax.make_jaxpr(program)(ws, jnp.ones(3))
    args = [*map(np.asarray, ws), np.ones(3, np.float32)]
    if program is that_came:
        args[-1] = np.full(3, np.nan, np.float32)
    with (
        mock.patch.object(module, "FEW", few),
        mock.patch.object(
            follow_back, "ends_of_outputs", wraps=follow_back.ends_of_outputs
        ) as alone,
        mock.patch.object(
            module, "ends_of_outputs", wraps=module.ends_of_outputs
        ) as together,
    ):
        found = module.search(closed, args, range(MANY))
    return found, alone.call_count + together.call_count


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_output_has_the_origin_it_has_alone(program: Any) -> None:
    alone, _ = found_in(program, few=1000)
    together, _ = found_in(program, few=16)
    assert list(alone) == list(together)
    assert len(alone) == MANY
    assert [summed_up(f) for f in alone.values()] == [
        summed_up(f) for f in together.values()
    ]


def test_one_birth_in_all_is_followed_back_once() -> None:
    _, alone = found_in(exploding, few=1000)
    _, together = found_in(exploding, few=16)
    assert alone >= 2 * MANY
    assert together <= 4


def summed_up(found: Found) -> tuple[Any, ...]:
    """What is said of an origin."""
    births = [found.birth, *found.turns, found.product]
    sites = [(b.site.path, b.site.loop, b.element, b.kind) for b in births if b]
    ends = (found.verdict, found.kind, found.argument, found.element, found.spread)
    return (*ends, sites, len(found.also), found.notes, found.candidate)
