"""How much memory a donated training step needs, plain and in a checked region.

Usage: python tests/bench/memory.py [--quick]

Prints a Markdown table and writes nothing; nothing is asserted. Each row is a process
of its own, whose resident memory (VmHWM of Linux) is looked at: the peak over ten
steps, less what the process held before the state was made, as a ratio to the bytes of
the state. A step in place needs 1.0.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from _machine import machine_line

import jaxdbg

WAYS: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "plain": contextlib.nullcontext,
    "jaxdbg.checked()": jaxdbg.checked,
    "jaxdbg.checked(keep_donation=True)": lambda: jaxdbg.checked(keep_donation=True),
    "jaxdbg.checked(record=True)": lambda: jaxdbg.checked(record=True),
    "jaxdbg.checked(async_=True)": lambda: jaxdbg.checked(async_=True),
}

# What is freed goes back at once, or the peak is that of the holes in the heap.
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}

LEAVES = 32
STEPS = 10

State = dict[str, dict[str, jax.Array]]


@functools.partial(jax.jit, donate_argnums=0)
def step(state: State, x: jax.Array) -> State:
    """A step with momentum, in place."""
    grads = jax.tree.map(lambda p: jnp.tanh(p) * x, state["params"])
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state["momentum"], grads)
    params = jax.tree.map(lambda p, m: p - 0.01 * m, state["params"], momentum)
    return {"params": params, "momentum": momentum}


def new_state(nbytes: int) -> State:
    """Parameters and momentum, of this many bytes together."""
    size = nbytes // (2 * LEAVES * 4)
    return {
        group: {f"w{i}": jnp.full(size, 0.5) for i in range(LEAVES)}
        for group in ("params", "momentum")
    }


def run(nbytes: int, way: str) -> None:
    """Some steps, of which only the last state is held."""
    state, x = new_state(nbytes), jnp.float32(0.1)
    jax.block_until_ready(state)
    with WAYS[way]():
        for _ in range(STEPS):
            state = step(state, x)
        jax.block_until_ready(state)


def memory(what: str) -> int:
    """Bytes of resident memory: now (`VmRSS`), or at most so far (`VmHWM`)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{what}:\s*(\d+) kB", status)
    assert found is not None, "this needs the /proc of Linux"
    return int(found[1]) * 1024


def peak(nbytes: int, way: str) -> float:
    """The most memory that steps in this process need, as a ratio to the state's."""
    run(nbytes // 1000, way)  # what is loaded and compiled once is none of the state's
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    run(nbytes, way)
    return (memory("VmHWM") - before) / nbytes


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--way", choices=WAYS, help="measure this alone, here")
    args = parser.parse_args()
    nbytes = 2**27 if args.quick else 2**30
    if args.way:
        print(peak(nbytes, args.way))
        return
    print(machine_line(), end="\n\n")
    print(f"| a state of {nbytes >> 20} MB | peak |\n| --- | --: |")
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way]
        command += ["--quick"] * args.quick
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=ENVIRONMENT
        )
        print(f"| {way} | {float(done.stdout):.2f} |")


if __name__ == "__main__":
    main()
