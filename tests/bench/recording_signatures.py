"""What it costs to take the signature of a call, as a share of compiling that call.

An NNX model of about 1,000 parameters with Adam, in one `nnx.jit` step: the signature
holds each attribute of the model and of the optimizer. The step is compiled anew each
time, after `jax.clear_caches()`; all that jaxdbg does while it records is timed inside
the process that compiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from _machine import machine_line
from flax import nnx

from jaxdbg.compiles import listener as compiles, recorder
from jaxdbg.compiles.recorder import Recorder


class Net(nnx.Module):
    """Many small layers: what counts is how many leaves there are."""

    def __init__(self, layers: int, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(8, 8, rngs=rngs) for _ in range(layers)])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return x


def make_step() -> Callable[..., Any]:
    @nnx.jit
    def step(model: Net, optimizer: nnx.Optimizer, x: jax.Array) -> jax.Array:
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    return step


class Timed:
    """Adds up the time of a method's outermost calls."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.depth = 0

    def around(self, owner: Any, name: str) -> None:
        plain = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            began = time.perf_counter()
            try:
                return plain(*args, **kwargs)
            finally:
                self.depth -= 1
                if self.depth == 0:
                    self.seconds += time.perf_counter() - began

        setattr(owner, name, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the layers")
    quick = parser.parse_args().quick
    layers, rounds = (50, 2) if quick else (500, 3)
    ours = Timed()
    # All that runs as a phase begins or ends, capture and comparison in it.
    ours.around(compiles.Listener, "_begin")
    ours.around(compiles.Listener, "_end")
    ours.around(compiles.Listener, "_trace_began")
    ours.around(Recorder, "began")
    recorder.start()
    model = Net(layers, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    leaves = len(jax.tree.leaves(nnx.state((model, optimizer))))
    x = jnp.ones((4, 8))
    shares, costs, totals = [], [], []
    for _ in range(rounds):
        jax.clear_caches()
        ours.seconds = 0.0
        mark, began = recorder.position(), time.perf_counter()
        make_step()(model, optimizer, x).block_until_ready()
        total = time.perf_counter() - began
        events = [e for e in recorder.events(mark) if e.function == "step"]
        assert [e.phase for e in events] == ["trace", "lower", "compile"]
        shares.append(ours.seconds / total)
        costs.append(ours.seconds)
        totals.append(total)
    recorder.stop()
    parameters = len(jax.tree.leaves(nnx.state(model, nnx.Param)))
    print(f"{machine_line()}\n")
    print("| parameters | leaves | first call | recording it | share |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| {parameters:,} | {leaves:,} | {statistics.median(totals):.2f} s "
        f"| {statistics.median(costs) * 1e3:.0f} ms "
        f"| {statistics.median(shares):.2%} |"
    )


if __name__ == "__main__":
    main()
