"""How long it takes to find an origin, beside compiling the failing function.

Usage: python tests/bench/origin_time.py [--quick]

Prints a Markdown table and writes nothing; nothing is asserted. The function is a
training step of a small transformer, of as many layers as make the equations. Each cold
figure is from a process of its own, in which nothing like it was compiled before but
the step itself; the warm one is the second search there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
from _machine import machine_line

from jaxdbg.origins.search.search import search

WIDTH, HEADS, VOCABULARY, BATCH, LENGTH = 128, 4, 64, 4, 64

PROGRAMS = {
    "no layer": (0, False),
    "1 layer": (1, False),
    "6 layers": (6, False),
    "32 layers": (32, False),
    "scan over 12 layers": (12, True),
}
"""By name: how many layers, and whether a scan goes over them."""

BIRTHS = ("forward", "backward")


def parameters(layers: int, scan: bool) -> Any:
    """Of all layers; stacked for a scan."""
    keys = iter(jax.random.split(jax.random.key(0), 4 * layers + 2))

    def matrix(*shape: int) -> jax.Array:
        return jax.random.normal(next(keys), shape) * shape[0] ** -0.5

    def layer() -> Any:
        return {
            "gain": jnp.ones(WIDTH),
            "qkv": matrix(WIDTH, 3 * WIDTH),
            "out": matrix(WIDTH, WIDTH),
            "grow": matrix(WIDTH, 4 * WIDTH),
            "shrink": matrix(4 * WIDTH, WIDTH),
        }

    blocks = [layer() for _ in range(layers)]
    return {
        "embed": matrix(VOCABULARY, WIDTH),
        "blocks": jax.tree.map(lambda *x: jnp.stack(x), *blocks) if scan else blocks,
        "head": matrix(WIDTH, VOCABULARY),
    }


def norm(x: jax.Array, gain: jax.Array) -> jax.Array:
    x = x - x.mean(-1, keepdims=True)
    return gain * x / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)


def block(x: jax.Array, p: Any) -> jax.Array:
    h = norm(x, p["gain"]) @ p["qkv"]
    q, k, v = jnp.split(h.reshape(BATCH, LENGTH, HEADS, -1), 3, axis=-1)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
    weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape)
    x = x + mixed @ p["out"]
    return x + jax.nn.gelu(norm(x, p["gain"]) @ p["grow"]) @ p["shrink"]


def make_step(layers: int, scan: bool) -> Any:
    tx = optax.adam(1e-3) if layers else optax.sgd(1e-3)

    def loss_of(p: Any, tokens: jax.Array) -> jax.Array:
        x = p["embed"][tokens]
        if scan:
            x, _ = jax.lax.scan(lambda x, p: (block(x, p), None), x, p["blocks"])
        else:
            for each in p["blocks"]:
                x = block(x, each)
        logits = x @ p["head"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens)
        # The norm of a vector of zeros has no gradient: that is born going backward.
        return losses.mean() + jnp.linalg.norm(p["embed"] - p["embed"] * p["one"])

    def step(p: Any, state: Any, tokens: jax.Array) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(p, tokens)
        updates, state = tx.update(grads, state, p)
        return optax.apply_updates(p, updates), state, loss

    return step, tx


def failing(name: str, birth: str) -> tuple[Any, tuple[Any, ...]]:
    """A step, and arguments with which a NaN is born in it; or none, for "nothing"."""
    layers, scan = PROGRAMS[name]
    step, tx = make_step(layers, scan)
    p = parameters(layers, scan)
    p["one"] = jnp.float32(1 if birth == "backward" else 0)
    if birth == "forward":
        middle = layers // 2
        if scan:
            p["blocks"]["gain"] = p["blocks"]["gain"].at[middle].set(3e38)
        elif layers:
            p["blocks"][middle]["gain"] *= 3e38
        else:
            p["head"] *= 3e38
    tokens = jax.random.randint(jax.random.key(1), (BATCH, LENGTH), 0, VOCABULARY)
    return step, (p, tx.init(p), tokens)


def equations(jaxpr: Any) -> int:
    """How many there are in a jaxpr, those inside of others, too."""
    inside = jax.tree.leaves(
        [list(e.params.values()) for e in jaxpr.eqns],
        is_leaf=lambda v: hasattr(v, "eqns"),
    )
    return len(jaxpr.eqns) + sum(equations(v) for v in inside if hasattr(v, "eqns"))


def measure(name: str, birth: str) -> dict[str, Any]:
    """Seconds of a compilation, and of a first and a second search."""
    step, args = failing(name, birth)
    jitted = jax.jit(step)
    began = time.perf_counter()
    traced = jitted.trace(*args)
    after_trace = time.perf_counter()
    compiled = traced.lower().compile()
    compile_time = time.perf_counter() - after_trace
    outs = jax.block_until_ready(jax.tree.leaves(compiled(*args)))
    bad = [i for i, o in enumerate(outs) if not bool(jnp.isfinite(o).all())]
    searches = []
    for _ in range(2):
        start = time.perf_counter()
        found = search(traced.jaxpr, jax.tree.leaves(args), bad)
        searches.append(time.perf_counter() - start)
    (origin,) = [f for f in found.values() if f.verdict == "born"]
    return {
        "equations": equations(traced.jaxpr),
        "trace": after_trace - began,
        "compile": compile_time,
        "cold": searches[0],
        "warm": searches[1],
        "birth": f"{origin.kind} {origin.birth.site.eqn.primitive}",
    }


def measure_rerun(name: str, birth: str) -> dict[str, Any]:
    """Seconds that `jax_debug_nans` takes to raise, from a call that was compiled."""
    step, args = failing(name, birth)
    jitted = jax.jit(step)
    with jax.debug_nans(True):
        jax.block_until_ready(jitted(*failing(name, "nothing")[1]))
        start = time.perf_counter()
        try:
            jax.block_until_ready(jitted(*args))
        except FloatingPointError:
            return {"rerun": f"{time.perf_counter() - start:.1f} s"}
    return {"rerun": "nothing found"}


def in_a_new_process(function: str, name: str, birth: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", function, name, birth]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def median(rows: list[dict[str, Any]], column: str) -> float:
    return statistics.median(row[column] for row in rows)


def table(rounds: int) -> None:
    print(machine_line(), "\n")
    print(
        "| program | equations | birth | compile | to origin, cold | ratio "
        "| warm | `jax_debug_nans` |"
    )
    print("| --- | --: | --- | --: | --: | --: | --: | --: |")
    for name in PROGRAMS:
        for birth in BIRTHS:
            rows = [in_a_new_process("measure", name, birth) for _ in range(rounds)]
            rerun = in_a_new_process("measure_rerun", name, birth)["rerun"]
            ratio = statistics.median(r["cold"] / r["compile"] for r in rows)
            print(
                f"| {name} | {rows[0]['equations']:,} | {birth}: {rows[0]['birth']} "
                f"| {median(rows, 'compile'):.2f} s | {median(rows, 'cold'):.2f} s "
                f"| {ratio:.1f}x | {median(rows, 'warm'):.2f} s | {rerun} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one process for each")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        function, name, birth = options.measure
        print(json.dumps(globals()[function](name, birth)))
    else:
        table(1 if options.quick else 5)


if __name__ == "__main__":
    main()
