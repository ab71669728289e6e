"""How fast `finite_map` reads a tree, beside a plain sum of the same data.

Usage: python tests/bench/finite.py [--quick]

Prints Markdown tables and writes nothing. What is compared takes turns, round after
round; a ratio is the median over rounds of a rate to that of the plain sum of the same
round. Everything is compiled before, and `--quick` reads a tenth of the data.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _machine import machine_line

from jaxdbg import finite_map

Leaves = list[jax.Array]
Way = Callable[[Leaves], Any]

PLAIN = "`x.sum()` of each leaf"

_all_finite = jax.jit(lambda x: jnp.isfinite(x).all())
_sum = jax.jit(jnp.sum)

WAYS: dict[str, Way] = {
    PLAIN: lambda leaves: jax.block_until_ready([_sum(x) for x in leaves]),
    "**`finite_map(tree, detail=False)`**": lambda t: finite_map(t, "t", detail=False),
    "**`finite_map(tree, detail=True)`**": lambda t: finite_map(t, "t", detail=True),
    "`jnp.isfinite(x).all()` of each leaf": lambda leaves: jax.block_until_ready(
        [_all_finite(x) for x in leaves]
    ),
    "`np.isfinite(x).all()` of each leaf": lambda leaves: [
        np.isfinite(np.asarray(x)).all() for x in leaves
    ],
}


def leaves_of(count: int, nbytes: int, dtype: Any, bad: bool) -> Leaves:
    """As many leaves, of so many bytes in all; if bad, with a NaN in every tenth."""
    size = nbytes // count // jnp.dtype(dtype).itemsize
    values = np.random.default_rng(0).standard_normal(size, np.float32).astype(dtype)
    leaves = []
    for i in range(count):
        own = values.copy()
        if bad and i % 10 == 0:
            own[size // 2] = np.nan
        leaves.append(jnp.asarray(own))
    return jax.block_until_ready(leaves)


def seconds(way: Way, leaves: Leaves) -> float:
    began = time.perf_counter()
    way(leaves)
    return time.perf_counter() - began


def report(title: str, leaves: Leaves, rounds: int) -> None:
    for way in WAYS.values():
        way(leaves)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            times[name].append(seconds(way, leaves))
    gigabytes = sum(x.nbytes for x in leaves) / 1e9
    print(f"\n{title}\n\n| way | GB/s | rate to the plain sum's |\n| --- | --: | --: |")
    for name, own in times.items():
        pairs = zip(times[PLAIN], own, strict=True)
        ratio = statistics.median(plain / other for plain, other in pairs)
        print(f"| {name} | {gigabytes / statistics.median(own):.2f} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    quick = parser.parse_args().quick
    nbytes, rounds = (10**8, 3) if quick else (10**9, 5)
    print(machine_line())
    for dtype in (np.float32, jnp.bfloat16):
        for count in (4, 100, 10_000):
            for bad in (False, True):
                state = "a NaN in every tenth leaf" if bad else "healthy"
                name = jnp.dtype(dtype).name
                title = f"{nbytes / 1e9:g} GB of {name} in {count:,} leaves, {state}"
                report(title, leaves_of(count, nbytes, dtype, bad), rounds)


if __name__ == "__main__":
    main()
