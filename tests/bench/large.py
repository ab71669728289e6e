"""What grows where much is checked: parameters, leaves, layers, regions, cells, calls.

Usage: python tests/bench/large.py [PART ...] [--size N]

Prints a Markdown table and writes nothing; nothing is asserted. Each row is two
processes, one plain and one in a region, one after the other: times are ratios between
them, so a machine that is busy for a minute shows. `growth` is of resident memory over
the last nine tenths of the work, in the region. The last column says what the region
saw, and that the results are those of the plain process, bit for bit.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _machine import machine_line

import jaxdbg


@dataclass
class Measured:
    """One part in one process.

    Attributes:
        first: seconds of the first call, which compiles.
        each: seconds for each repetition after a tenth of them.
        early, late: the same of the second tenth, and of the last.
        growth: bytes of resident memory that these added.
        peak: the most resident memory.
        threads: how many were added.
        digest: of the results.
        saw: what the regions counted.
    """

    first: float
    each: float
    early: float
    late: float
    growth: int
    peak: int
    threads: int
    digest: str
    saw: str


@dataclass(frozen=True)
class Part:
    """A kind of work that is repeated.

    Attributes:
        name: for the table, with the size in it.
        size: of what grows.
        repeats: how often it is done, `size` itself if 0.
        prepare: from size and a plain or checking region, what one repetition is; it
            returns what is to be equal in both processes.
        own_regions: whether each repetition opens a region of its own.
    """

    name: str
    size: int
    repeats: int
    prepare: Callable[[int, bool], Callable[[], Any]]
    own_regions: bool = False


def parameters(size: int, _: bool) -> Callable[[], Any]:
    """A step of so many million parameters in bfloat16."""
    leaves = 30
    one = size * 1_000_000 // leaves
    state = [jnp.full(one, 1.0 + i / 8, jnp.bfloat16) for i in range(leaves)]

    @jax.jit
    def step(state: list[jax.Array]) -> list[jax.Array]:
        return [p - 0.01 * jnp.tanh(p) for p in state]

    def repeat() -> Any:
        nonlocal state
        state = step(state)
        return jax.block_until_ready(state)

    return repeat


def leaves(size: int, _: bool) -> Callable[[], Any]:
    """A step over so many small leaves."""
    state = {f"w{i}": np.full(8, 1 + i / size, np.float32) for i in range(size)}
    step = jax.jit(lambda state: {k: p * 0.99 for k, p in state.items()})

    def repeat() -> Any:
        nonlocal state
        state = step(state)
        return jax.block_until_ready(state)

    return repeat


def layers(size: int, _: bool) -> Callable[[], Any]:
    """A gradient step of so many layers, unrolled."""
    state = [jnp.eye(64) * (1 + i / 64) for i in range(size)]
    x = jnp.linspace(-1, 1, 64 * 8).reshape(8, 64)

    def loss(state: list[jax.Array]) -> jax.Array:
        h = x
        for w in state:
            h = h + jax.nn.gelu(h @ w) / size
            h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1) + 1e-5)[:, None]
        return jnp.mean(h**2 * jax.nn.sigmoid(h))

    @jax.jit
    def step(state: list[jax.Array]) -> list[jax.Array]:
        grads = jax.grad(loss)(state)
        return [w - 0.01 * g for w, g in zip(state, grads, strict=True)]

    def repeat() -> Any:
        nonlocal state
        state = step(state)
        return jax.block_until_ready(state)

    return repeat


def regions(_: int, checks: bool) -> Callable[[], Any]:
    """A region of its own for each of so many calls, of a function of its own."""

    def repeat() -> Any:
        step = jax.jit(lambda x: jnp.tanh(x) * 2)
        with _region(checks):
            return step(jnp.ones(16))

    return repeat


def calls(_: int, checks: bool) -> Callable[[], Any]:
    """So many calls of one function in one region."""
    step, x = jax.jit(lambda x: jnp.tanh(x) * 2), jnp.ones(16)
    return lambda: step(x)


def cells(_: int, checks: bool) -> Callable[[], Any]:
    """So many cells, each with a step; in a region of its own with `%checked on`."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_cell("import jax, jax.numpy as jnp\n%load_ext jaxdbg", silent=True)
    shell.run_cell("step, x = jax.jit(lambda x: jnp.tanh(x) * 2), jnp.ones(16)")
    shell.run_cell("%checked on" if checks else "None")

    def repeat() -> Any:
        done = shell.run_cell("y = step(x + 1)", store_history=True)
        done.raise_error()
        return shell.user_ns["y"]

    return repeat


PARTS = {
    "parameters": Part("{} M parameters in bfloat16", 300, 20, parameters),
    "leaves": Part("{:,} leaves", 20_000, 20, leaves),
    "layers": Part("a step of {} layers, unrolled", 48, 40, layers),
    "regions": Part("{:,} regions", 1_000, 0, regions, own_regions=True),
    "cells": Part("{:,} cells after `%checked on`", 100, 0, cells, own_regions=True),
    "calls": Part("{:,} calls", 100_000, 0, calls),
}


@contextlib.contextmanager
def _region(checks: bool) -> Iterator[jaxdbg.Region | None]:
    if not checks:
        yield None
        return
    with jaxdbg.checked() as region:
        yield region


def measured(part: Part, size: int, checks: bool) -> Measured:
    """Does the work of a part in this process."""
    repeat = part.prepare(size, checks)
    repeats = part.repeats or size
    times, results = np.zeros(repeats), None
    tenth = max(1, repeats // 10)
    with _region(checks and not part.own_regions) as region:
        for i in range(repeats):
            if i == tenth:
                rss, threads = _held(), threading.active_count()
            start = time.perf_counter()
            results = repeat()
            times[i] = time.perf_counter() - start
        growth = _held() - rss
    return Measured(
        first=times[0],
        each=float(np.median(times[tenth:])),
        early=float(np.median(times[tenth : 2 * tenth])),
        late=float(np.median(times[-tenth:])),
        growth=growth,
        peak=_memory("VmHWM"),
        threads=threading.active_count() - threads,
        digest=_digest(results),
        saw=_saw(region),
    )


def _held() -> int:
    gc.collect()
    return _memory("VmRSS")


def _memory(what: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{what}:\s*(\d+) kB", status)
    assert found is not None, "this needs the /proc of Linux"
    return int(found[1]) * 1024


def _digest(results: Any) -> str:
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves(results):
        sha.update(np.asarray(leaf).tobytes())
    return sha.hexdigest()


def _saw(region: jaxdbg.Region | None) -> str:
    report = region.report if region is not None else jaxdbg.last_report()
    if report is None:
        return ""
    good = "ok" if report.ok else f"{len(report.findings)} findings"
    return f"{report.calls:,} calls in the last region, {good}"


def row(part: Part, plain: Measured, region: Measured, repeats: int) -> str:
    """A row of the table."""
    same = "the same bits" if plain.digest == region.digest else "OTHER RESULTS"
    cells = [
        f"{region.first / plain.first:.2f}x of {_seconds(plain.first)}",
        f"{region.each / plain.each:.2f}x of {_seconds(plain.each)}",
        f"{region.late / region.early:.2f}x",
        f"{region.growth / 2**20:+.1f} MB ({plain.growth / 2**20:+.1f})",
        f"{region.peak / plain.peak:.2f}x of {plain.peak / 2**20:,.0f} MB",
        f"{region.threads:+d} ({plain.threads:+d})",
        f"{region.saw}; {same}",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


HEAD = """\
|  | first | each | last tenth / second | growth (plain) | peak | threads | work |
| --- | --: | --: | --: | --: | --: | --: | --- |"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--size", type=int, help="instead of the size in the table")
    parser.add_argument("--here", choices=["plain", "region"], help="in this process")
    args = parser.parse_args()
    if args.here:
        part = PARTS[args.parts[0]]
        print(json.dumps(asdict(measured(part, args.size, args.here == "region"))))
        return
    print(machine_line(), end="\n\n")
    print(HEAD)
    for name in args.parts or PARTS:
        size = args.size or PARTS[name].size
        ways = [_in_a_process(name, size, way) for way in ("plain", "region")]
        made = row(PARTS[name], *ways, size)
        print(f"| {PARTS[name].name.format(size)} {made}", flush=True)


def _in_a_process(name: str, size: int, way: str) -> Measured:
    command = [sys.executable, __file__, name, "--size", str(size), "--here", way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
