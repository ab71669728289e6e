"""Programs of a job of several processes, run in one after the other.

    python -m tests.programs.several_processes RANK PORT COUNT [NAME ...]

Prints, for each program, a line of JSON with what has become of it in this process.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext as nothing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import distributed
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

import jaxdbg
from jaxdbg.checks import peers
from jaxdbg.checks.wire import Wire

SECONDS = 40
"""After so long without an end, a program says where it hangs."""

STEPS, BAD_STEP, WIDTH, BAD_ROW = 6, 4, 8, 5

RANK, PORT, COUNT = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
jax.distributed.initialize(f"127.0.0.1:{PORT}", COUNT, RANK)
MESH = jax.make_mesh((COUNT,), ("data",), axis_types=(AxisType.Auto,))
EXPLICIT = jax.make_mesh((COUNT,), ("data",), axis_types=(AxisType.Explicit,))
HEIGHT = max(8, COUNT)
HOLDER = BAD_ROW * COUNT // HEIGHT
"""The process with the bad row."""

EACH, ROWS = NamedSharding(MESH, P()), NamedSharding(MESH, P("data"))

Step = Callable[[Any, Any], Any]
PROGRAMS: dict[str, Callable[[], dict[str, Any]]] = {}


def array(value: np.ndarray, sharding: NamedSharding) -> jax.Array:
    return jax.make_array_from_callback(value.shape, sharding, lambda i: value[i])


def batch(n: int, bad: bool, value: float = 1.5, mesh: Mesh = MESH) -> jax.Array:
    x = np.random.default_rng(n).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    if bad:  # a row of the second process of two, the third of four
        x[BAD_ROW, 2 if value != value else slice(None)] = value
    return array(x, NamedSharding(mesh, P("data")))


def normalised(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def loss(w: Any, x: Any) -> Any:
    return jnp.mean((normalised(x) @ w) ** 2)


def data_parallel(w: Any, x: Any) -> Any:
    value, gradient = jax.value_and_grad(loss)(w, x)
    return w - 0.1 * gradient, value, normalised(x)


def on_each_device(w: Any, x: Any) -> Any:
    def step(w: Any, x: Any) -> Any:
        return w - 0.1 * jax.lax.pmean(jax.grad(loss)(w, x), "data")

    return jax.shard_map(
        step, mesh=MESH, in_specs=(P(), P("data")), out_specs=P(), check_vma=False
    )(w, x)


def after_all(w: Any, x: Any) -> Any:
    """The NaN is born of what all processes have together."""
    return w, jnp.log(jnp.mean(x) - 100.0)


def in_a_loop(w: Any, x: Any) -> Any:
    """In each process step by step, with a sum over all in each step."""

    def step(w: Any, x: Any) -> Any:
        def layer(h: Any, _: Any) -> tuple[Any, Any]:
            h = normalised(h) @ w
            return h, jax.lax.psum(h.sum(), "data")

        _, sums = jax.lax.scan(layer, x, None, length=3)
        return sums

    sums = jax.shard_map(
        step, mesh=MESH, in_specs=(P(), P("data")), out_specs=P(), check_vma=False
    )(w, x)
    return w, sums


def rows_alone(w: Any, x: Any) -> Any:
    """The NaN stays in its row, and the other process can see nothing of it."""
    return w + 0 * jnp.mean(x), normalised(x)


def train(
    step: Step,
    bad_step: int = -1,
    donate: bool = False,
    sharding: NamedSharding = EACH,
    in_region: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """What becomes of some steps: hash of the weights, or the finding."""
    aot, wired = options.pop("aot", False), options.pop("wired", True)
    value, mesh = options.pop("value", 1.5), options.pop("mesh", MESH)
    if mesh is not MESH:
        sharding = NamedSharding(mesh, P())
    step = jax.jit(step, donate_argnums=(0,) if donate else ())
    weights = np.random.default_rng(9).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    w = array(weights, sharding)
    if aot:
        step = step.lower(w, batch(0, False)).compile()
    setting = jax.set_mesh(MESH) if options.pop("set", False) else None
    peers.Wire = Wire if wired else no_wire
    failure, region = None, jaxdbg.checked(**options)
    began = time.perf_counter()
    try:
        with region if in_region else nothing(), setting or nothing():
            for n in range(STEPS):
                out = step(w, batch(n, n == bad_step, value, mesh))
                w = out[0] if isinstance(out, tuple) else out
            jax.block_until_ready(w)
    except jaxdbg.NonFiniteError as error:
        failure = error
    seconds = time.perf_counter() - began
    return {
        "raised": failure is not None,
        "message": str(failure or ""),
        "said": getattr(failure, "__notes__", []),
        "findings": [[f.function, f.call, f.path] for f in region.report.findings],
        "notices": list(region.report.notices),
        "repro": why_no_repro(failure) if failure is not None else "",
        "hash": "" if w.is_deleted() else hashed(w),
        "seconds": seconds,
    }


def why_no_repro(failure: jaxdbg.NonFiniteError) -> str:
    try:
        failure.finding.repro("never written")
    except RuntimeError as error:
        return str(error)
    return ""


def no_wire(host: str, process: int) -> Wire:
    raise OSError("as behind a firewall")


def hashed(w: jax.Array) -> str:
    shards = b"".join(np.asarray(s.data).tobytes() for s in w.addressable_shards)
    return hashlib.sha256(shards).hexdigest()[:12]


def program(name: str, *args: Any, **options: Any) -> None:
    PROGRAMS[name] = lambda: train(*args, **options)


program("plain", data_parallel, in_region=False)
program("plain sharded", data_parallel, sharding=ROWS, in_region=False)
program("good", data_parallel)
program("good sharded", data_parallel, sharding=ROWS)
program("good donated", data_parallel, donate=True)
program("good donated sharded", data_parallel, donate=True, sharding=ROWS)
program("good async", data_parallel, async_=True)
program(
    "good async donated sharded", data_parallel, sharding=ROWS, donate=True, async_=True
)
program("good every op", data_parallel, every_op=True)
program("good in one", data_parallel, in_region=RANK == 0)
program("good every op in one", data_parallel, in_region=RANK == 0, every_op=True)
program("good async in one", data_parallel, in_region=RANK == 0, async_=True)
program("good aot", data_parallel, aot=True)
program("bad", data_parallel, BAD_STEP)
program("bad aot", data_parallel, BAD_STEP, aot=True)
program("bad rows aot", rows_alone, BAD_STEP, aot=True)
program("bad sharded donated", data_parallel, BAD_STEP, sharding=ROWS, donate=True)
program("bad sharded", data_parallel, BAD_STEP, sharding=ROWS)
program("bad donated", data_parallel, BAD_STEP, donate=True)
program("bad async", data_parallel, BAD_STEP, async_=True)
program("bad every op", data_parallel, BAD_STEP, every_op=True)
program("bad shard_map", on_each_device, BAD_STEP)
program(
    "bad shard_map async donated", on_each_device, BAD_STEP, async_=True, donate=True
)
program("bad rows", rows_alone, BAD_STEP)
program("bad rows async", rows_alone, BAD_STEP, async_=True)
program("bad rows recorded", rows_alone, BAD_STEP, record=True)
program("good without connections", data_parallel, wired=False)
program("bad rows without connections", rows_alone, BAD_STEP, wired=False)
program("bad rows, one without connections", rows_alone, BAD_STEP, wired=RANK != 0)
program("bad after all", after_all)
program("bad in a loop", in_a_loop, BAD_STEP)
program("bad in an explicit mesh", rows_alone, BAD_STEP, mesh=EXPLICIT)
program("bad input", data_parallel, BAD_STEP, value=np.nan)
# The last step: the process without a region would wait for what has raised.
program("bad rows in one", rows_alone, STEPS - 1, in_region=RANK == HOLDER)
program("bad in one", data_parallel, STEPS - 1, in_region=RANK == HOLDER, set=True)
program("good after one", data_parallel)


def main() -> None:
    client = distributed.global_state.client
    for number, name in enumerate(sys.argv[4:] or PROGRAMS):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        client.wait_at_barrier(f"test-{number}", SECONDS * 1000)
        sys.stdout.write(json.dumps({"program": name, **PROGRAMS[name]()}) + "\n")
        sys.stdout.flush()
    client.wait_at_barrier("test-end", SECONDS * 1000)
    faulthandler.cancel_dump_traceback_later()
    os._exit(0)


if __name__ == "__main__":
    main()
