"""How to copy the arrays that a call donates: ratios to `jaxdbg.trees.copies`.

Usage: python tests/bench/copies.py

Prints a Markdown table; the ways take turns, and a ratio is the median over rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from _machine import machine_line

from jaxdbg.trees import copies

ROUNDS = 60
Arrays = list[Any]


def each_by_device_put(arrays: Arrays) -> Arrays:
    return [jax.device_put(a, may_alias=False) for a in arrays]


def all_by_device_put(arrays: Arrays) -> Arrays:
    return list(jax.device_put(arrays, may_alias=False))


_copy = jax.jit(jnp.copy)


def each_by_jit(arrays: Arrays) -> Arrays:
    return [_copy(a) for a in arrays]


WAYS: dict[str, Callable[[Arrays], Arrays]] = {
    "`jaxdbg.trees.copies`": copies.copied,
    "`device_put` of each": each_by_device_put,
    "`device_put` of all": all_by_device_put,
    "jitted copy of each": each_by_jit,
}

SETS: dict[str, Arrays] = {
    "20 of 16 KB": [jnp.ones((64, 64)) + i for i in range(20)],
    "150, 30 MB": [jnp.ones((n % 7 * 100 + 1, 171)) for n in range(150)],
    "1 of 64 MB": [jnp.ones((4096, 4096))],
}


def seconds(way: Callable[[Arrays], Arrays], arrays: Arrays) -> float:
    began = time.perf_counter()
    jax.block_until_ready(way(arrays))
    return time.perf_counter() - began


def main() -> None:
    print(machine_line(), "\n")
    print("| way |", " | ".join(SETS), "|\n| --- |", "--: | " * len(SETS))
    columns = []
    for arrays in SETS.values():
        jax.block_until_ready(arrays)
        times = [[seconds(w, arrays) for w in WAYS.values()] for _ in range(ROUNDS)]
        ours = statistics.median(row[0] for row in times)
        ratios = [
            statistics.median(r[i] / r[0] for r in times) for i in range(len(WAYS))
        ]
        columns.append([f"{ours * 1e6:.0f} µs", *(f"{r:.2f}x" for r in ratios[1:])])
    for i, name in enumerate(WAYS):
        print(f"| {name} |", " | ".join(column[i] for column in columns), "|")


if __name__ == "__main__":
    main()
