"""What recording costs where everything is compiled: nothing, it should be.

Usage: python tests/bench/recording.py [--quick]

Prints a Markdown table and writes nothing; nothing is asserted. With and without
recording take turns, chunk after chunk. A ratio is that of the 10th percentiles, which
what else the machine does hardly touches; `off, again` is a second series without, so
that the noise shows. The last row is a jitted function that carries a budget.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from _machine import machine_line

import jaxdbg
from jaxdbg.compiles import recorder

CALLS = 200
"""How many calls a chunk has."""

WAYS = ("off", "on", "off, again")


def chunk(call: Callable[[], object]) -> float:
    """Seconds for each of the calls of a chunk; the results are waited for at its end.

    Dispatch is what recording could slow down, so single calls are not waited for.
    """
    start = time.perf_counter()
    for _ in range(CALLS):
        out = call()
    seconds = time.perf_counter() - start
    jax.block_until_ready(out)
    return seconds / CALLS


def measured(call: Callable[[], object], chunks: int) -> dict[str, float]:
    """The 10th percentile of the chunks of each way, in seconds for a call."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    call()
    for number in range(chunks):
        turn = number % len(WAYS)
        for way in WAYS[turn:] + WAYS[:turn]:
            if way == "on":
                recorder.start()
            try:
                found[way].append(chunk(call))
            finally:
                recorder.stop()
    return {way: float(np.percentile(times, 10)) for way, times in found.items()}


def programs() -> dict[str, Callable[[], object]]:
    """What is called, by the name it has in the table."""
    x, host = jnp.ones(16), np.ones(16, np.float32)
    step = jax.jit(lambda x: x * 2 + 1)
    budgeted = jaxdbg.max_traces(step, 1)
    return {
        "cached jit call": lambda: step(x),
        "eager op, `x + x`": lambda: x + x,
        "`device_put` of a NumPy array": lambda: jax.device_put(host),
        "cached call of a `max_traces` function": lambda: budgeted(x),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    chunks = 60 if parser.parse_args().quick else 500
    print(machine_line(), end="\n\n")
    print("|  | off | on | off, again |\n| --- | --: | --: | --: |")
    for name, call in programs().items():
        found = measured(call, chunks)
        ratios = [f"{found[way] / found['off']:.3f}x" for way in WAYS[1:]]
        print(f"| {name} | {found['off'] * 1e6:.2f} µs | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
