"""What a checked region costs in a job of several processes, as ratios to plain.

    python tests/bench/processes.py [N]

N processes on this machine (2 by default) train data parallel over gloo, with steps of
some milliseconds; the modes take turns, and a ratio is the median over rounds. Two more
columns are of a step that computes next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import distributed
from jax.sharding import NamedSharding, PartitionSpec as P

import jaxdbg

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, SECONDS = 7, 240
SIZES = {"a step of milliseconds": (256, 8, 40), "next to nothing": (8, 1, 100)}
"""Width, layers, and steps a round; of more than two processes there are fewer."""

MODES: dict[str, Callable[[], Any]] = {
    "plain": contextlib.nullcontext,
    "`jaxdbg.checked()`": jaxdbg.checked,
    "`checked(async_=True)`": lambda: jaxdbg.checked(async_=True),
    "`jax_debug_nans`": lambda: jax.debug_nans(True),
}


def main(count: int) -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, __file__, str(count), port]
    quiet = {"stderr": subprocess.DEVNULL}
    jobs = [
        subprocess.Popen([*command, str(rank)], env=env, text=True, **quiet)
        for rank in range(count)
    ]
    end = time.monotonic() + SECONDS
    for job in jobs:
        try:
            job.wait(max(end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            job.kill()


def run(count: int, port: str, rank: int) -> None:
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    for title, (width, layers, steps) in SIZES.items():
        steps = max(4, 2 * steps // count)
        times, failed = compared(title, *training(count, width, layers), steps)
        if rank == 0:
            _print(title, times, failed)
    distributed.global_state.client.wait_at_barrier("end", 60_000)
    os._exit(0)


def training(count: int, width: int, layers: int) -> tuple[Any, Any, Any]:
    """A step, the weights to start from, and a batch of all processes."""
    mesh = jax.make_mesh((count,), ("data",))

    def array(value: Any, *spec: Any) -> Any:
        at = NamedSharding(mesh, P(*spec))
        return jax.make_array_from_callback(value.shape, at, lambda i: value[i])

    def loss(ws: Any, x: Any) -> Any:
        for w in ws:
            x = jnp.tanh(x @ w)
        return jnp.mean(x**2)

    @jax.jit
    def step(ws: Any, x: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(ws, x)
        return [w - 0.01 * g for w, g in zip(ws, grads, strict=True)], value

    rng = np.random.default_rng(0)
    start = [array(rng.normal(size=(width, width)).astype("f") / 30)] * layers
    return step, start, array(rng.normal(size=(16 * count, width)).astype("f"), "data")


def compared(
    title: str, step: Any, start: Any, x: Any, steps: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """By mode, the seconds a step in each round, and why it failed."""
    times: dict[str, list[float]] = {mode: [] for mode in MODES}
    failed: dict[str, str] = {}
    for turn in range(ROUNDS + 1):
        for mode, context in MODES.items():
            barrier = f"{title}-{turn}-{mode}"
            distributed.global_state.client.wait_at_barrier(barrier, 60_000)
            ws, began = start, time.perf_counter()
            try:
                with context():
                    for _ in range(steps):
                        ws, value = step(ws, x)
                        value.block_until_ready()
            except Exception as error:
                failed[mode] = f"{type(error).__name__}: {error}"[:60]
            if turn:  # the first compiles
                times[mode].append((time.perf_counter() - began) / steps)
    return times, failed


def _print(title: str, times: dict[str, list[float]], failed: dict[str, str]) -> None:
    print(f"\n| {title} | a step | ratio to plain |\n| --- | --- | --- |")
    for mode, took in times.items():
        pairs = zip(took, times["plain"], strict=True)
        ratio = statistics.median(t / plain for t, plain in pairs)
        said = failed.get(mode, f"{ratio:.2f}x")
        print(f"| {mode} | {1000 * statistics.median(took):.2f} ms | {said} |")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
