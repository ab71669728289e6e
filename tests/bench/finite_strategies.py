"""Which way to find out whether arrays are finite is the cheapest.

Usage: python tests/bench/finite_strategies.py [--quick]

Prints a Markdown table and writes nothing. Each strategy looks at the same good
arrays, in turn, round after round; given are medians, and the time of the very first
look, which is what compiling costs. `jaxdbg.trees.finiteness` is in use.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _machine import machine_line

from jaxdbg.trees import finiteness as finite

Arrays = Sequence[jax.Array]
Strategy = Callable[[Arrays], Any]

ZEROS = np.zeros(1 << 16, np.float32)


def numpy_isfinite(arrays: Arrays) -> None:
    assert all(np.isfinite(np.asarray(x)).all() for x in arrays)


def numpy_sum(arrays: Arrays) -> None:
    """A finite sum proves an array finite; a long sum of bfloat16 overflows slowly."""
    assert all(np.isfinite(np.add.reduce(np.asarray(x), axis=None)) for x in arrays)


def numpy_squares(arrays: Arrays) -> None:
    """The sum of squares, by BLAS; proves nothing where values are above 1e19."""
    assert all(np.isfinite(np.vdot(a, a)) for a in map(np.asarray, arrays))


def numpy_zeros(arrays: Arrays) -> None:
    """The product with zeros, by BLAS; exact, as 0 * Inf is NaN."""
    for x in arrays:
        flat = np.asarray(x).ravel()
        for i in range(0, len(flat), len(ZEROS)):
            block = flat[i : i + len(ZEROS)]
            assert np.vdot(block, ZEROS[: len(block)]) == 0


def numpy_bits(arrays: Arrays) -> None:
    """The maxima of the bit patterns, also for small arrays; exact."""
    for x in arrays:
        a = np.asarray(x).ravel()
        bits = 8 * a.itemsize
        inf = int(np.array(np.inf, a.dtype).view(f"u{a.itemsize}"))
        step = (1 << 18) // a.itemsize
        signed, unsigned = a.view(f"i{a.itemsize}"), a.view(f"u{a.itemsize}")
        for i in range(0, a.size, step):
            assert signed[i : i + step].max() < inf
            assert unsigned[i : i + step].max() < inf + (1 << (bits - 1))


@jax.jit
def _sum_is_finite(x: jax.Array) -> jax.Array:
    return jnp.isfinite(x.sum())


@jax.jit
def _is_finite(x: jax.Array) -> jax.Array:
    return jnp.isfinite(x).all()


@jax.jit
def _sums_are_finite(arrays: Arrays) -> jax.Array:
    return jnp.stack([jnp.isfinite(x.sum()) for x in arrays]).all()


def xla_sum(arrays: Arrays) -> None:
    assert all(jax.device_get([_sum_is_finite(x) for x in arrays]))


def xla_isfinite(arrays: Arrays) -> None:
    assert all(jax.device_get([_is_finite(x) for x in arrays]))


def xla_one_jit(arrays: Arrays) -> None:
    assert _sums_are_finite(list(arrays))


def device_flags(arrays: Arrays) -> None:
    """`jaxdbg.trees.finiteness` on other devices and for values not computed yet."""
    asked: list[finite._Flags] = []
    for i, x in enumerate(arrays):
        assert finite._ask(asked, i, x)
    assert not finite.Pending([], asked).suspects()


def jaxdbg_finite(arrays: Arrays) -> None:
    assert not finite.suspects(arrays)


STRATEGIES: dict[str, Strategy] = {
    "`jaxdbg.trees.finiteness.suspects`": jaxdbg_finite,
    "NumPy, maxima of bits": numpy_bits,
    "NumPy, sum of squares": numpy_squares,
    "NumPy, product with zeros": numpy_zeros,
    "NumPy, sum": numpy_sum,
    "NumPy, `isfinite`": numpy_isfinite,
    "XLA, `isfinite(sum)`, a jit per shape": xla_sum,
    "XLA, `isfinite`, a jit per shape": xla_isfinite,
    "XLA, `isfinite(sum)`, one jit": xla_one_jit,
    "XLA, `jaxdbg.trees.finiteness` on devices": device_flags,
}

SLOW = {"XLA, `isfinite(sum)`, one jit"}
"""Too slow to compile for a thousand arrays (a quarter of a minute and more)."""


def transformer_leaves(dtype: Any) -> list[jax.Array]:
    """About 150 leaves of 2.5 M parameters three times: weights and Adam's moments."""
    d, layers, vocabulary = 256, 3, 256
    layer = [(d, 3 * d), (3 * d,), (d, d), (d,), (d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    layer += [(d,)] * 4 + [()] * 3
    shapes = [(vocabulary, d), (d, vocabulary), (d,), (d,), *(layer * layers)]
    key = jax.random.key(0)
    return [jax.random.normal(key, s, dtype) for s in shapes] * 3


CASES: dict[str, Callable[[Any], list[jax.Array]]] = {
    "transformer + Adam": transformer_leaves,
    "10 tiny": lambda dtype: [jnp.ones((8, 16), dtype) for _ in range(10)],
    "1,000 tiny": lambda dtype: [jnp.ones((8, 16), dtype) for _ in range(1000)],
    "one of 64 MB": lambda dtype: [
        jnp.ones((1 << 26) // jnp.dtype(dtype).itemsize, dtype)
    ],
}


def seconds(strategy: Strategy, arrays: Arrays) -> float:
    began = time.perf_counter()
    strategy(arrays)
    return time.perf_counter() - began


def measure(arrays: Arrays, budget: float) -> dict[str, tuple[float, float]]:
    """First and median seconds of each strategy, in one interleaved run."""
    usable = {
        name: strategy
        for name, strategy in STRATEGIES.items()
        if (name not in SLOW or len(arrays) < 500)
        and (strategy is not numpy_zeros or arrays[0].dtype == np.float32)
        and (strategy is not numpy_squares or arrays[0].dtype == np.float32)
    }
    first = {name: seconds(s, arrays) for name, s in usable.items()}
    times: dict[str, list[float]] = {name: [] for name in usable}
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(times["NumPy, sum"]) < 5:
        for name, strategy in usable.items():
            times[name].append(seconds(strategy, arrays))
    return {n: (first[n], statistics.median(t)) for n, t in times.items()}


def report(case: str, dtype: str, arrays: Arrays, budget: float) -> None:
    megabytes = sum(x.nbytes for x in arrays) / 1e6
    print(f"\n{case}, {dtype}: {len(arrays)} arrays, {megabytes:.3g} MB\n")
    print("| strategy | median | ratio | GB/s | first |")
    print("| --- | --: | --: | --: | --: |")
    results = measure(arrays, budget)
    base = results["`jaxdbg.trees.finiteness.suspects`"][1]
    for name, (first, median) in results.items():
        print(
            f"| {name} | {1e3 * median:.3f} ms | {median / base:.2f}x "
            f"| {megabytes / 1e3 / median:.2f} | {1e3 * first:.0f} ms |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    budget = 0.5 if parser.parse_args().quick else 5.0
    print(machine_line())
    for case, make in CASES.items():
        for dtype in ("float32", "bfloat16"):
            jax.clear_caches()
            arrays = jax.block_until_ready(make(jnp.dtype(dtype)))
            report(case, dtype, arrays, budget)


if __name__ == "__main__":
    main()
