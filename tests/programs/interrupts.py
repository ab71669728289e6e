"""Interrupts at random moments: `python -m tests.programs.interrupts 100 [seed]`.

While a step compiles, runs and is diagnosed, and while regions end. After each nothing
of jaxdbg is left, the model has its last good values, the report of the region is not
clean, and the next region works. Prints a JSON object.

`plain` runs the same without regions. JAX itself can lose an interrupt; and a step that
donates leaves a model of deleted arrays where it is interrupted before flax updates
that (5 of 22 interrupts in `calls`).
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxdbg
from tests import leaks

GOOD = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
BAD = np.ones((8, 16), np.float32)

OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"async_": True},
    {"record": True},
    {"every_op": True},
]


class Net(nnx.Module):
    def __init__(self) -> None:
        self.a = nnx.Linear(16, 32, rngs=nnx.Rngs(0))
        self.b = nnx.Linear(32, 16, rngs=nnx.Rngs(1))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.b(jnp.tanh(self.a(x)))


def new_step(donates: bool) -> Callable[..., Any]:
    def step(model: Net, optimizer: Any, x: jax.Array) -> jax.Array:
        def loss(model: Net) -> jax.Array:
            return jnp.mean((model(x) / x.std(-1, keepdims=True)) ** 2)

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    names = ("model", "optimizer") if donates else ()
    return nnx.jit(step, donate_argnames=names)


class Trial:
    """One program that is interrupted.

    Attributes:
        region: the region that is open, or was last.
        inside: whether the program was in the region when it was left.
    """

    def __init__(self, chance: random.Random, plain: bool):
        self.options = {} if plain else chance.choice(OPTIONS)
        self.region: Any = None
        self.inside = False
        self._plain = plain
        self.donates = chance.random() < 0.5
        self.step = STEPS[self.donates]
        self.model = Net()
        self.optimizer = nnx.Optimizer(self.model, optax.adam(1e-3), wrt=nnx.Param)
        self.step(self.model, self.optimizer, GOOD)

    @contextlib.contextmanager
    def checked(self) -> Iterator[None]:
        if self._plain:
            yield
            return
        self.region = jaxdbg.checked(**self.options)
        self.inside = True
        with self.region:
            yield
        self.inside = False

    def leaves(self) -> list[jax.Array]:
        state = nnx.state(self.model), nnx.state(self.optimizer)
        return jax.tree.leaves(state)

    def calls(self) -> None:
        with self.checked():
            for _ in range(100):
                self.step(self.model, self.optimizer, GOOD)

    def compiles(self) -> None:
        step = new_step(donates=False)
        with self.checked():
            step(self.model, self.optimizer, GOOD)
            step(self.model, self.optimizer, GOOD[:5])

    def is_diagnosed(self) -> None:
        with self.checked():
            for _ in range(3):
                with contextlib.suppress(jaxdbg.NonFiniteError):
                    self.step(self.model, self.optimizer, BAD)

    def ends(self) -> None:
        for _ in range(40):
            with self.checked():
                self.step(self.model, self.optimizer, GOOD)

    def eager(self) -> None:
        with self.checked():
            for _ in range(60):
                jnp.sum(jnp.exp(GOOD) / 2)


PROGRAMS: dict[str, Callable[[Trial], None]] = {
    p.__name__: p
    for p in (Trial.calls, Trial.compiles, Trial.is_diagnosed, Trial.ends, Trial.eager)
}
STEPS = {donates: new_step(donates) for donates in (True, False)}


def interrupted_after(seconds: float, work: Callable[[], None]) -> str:
    """What becomes of some work that is interrupted after some time."""

    def interrupt() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    outcome = "not run"
    try:
        thread.start()
        began = time.perf_counter()
        try:
            work()
            took = time.perf_counter() - began
            outcome = "too early" if took < seconds else "lost"
        except KeyboardInterrupt:
            outcome = "interrupted"
        except jaxdbg.NonFiniteError:
            outcome = "failed first"
        except Exception as error:  # pytrees that are compared turn it into ValueError
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            outcome = "an error of JAX's"
        _wait_for(thread)
    except KeyboardInterrupt:
        outcome += ", late"
    _wait_for(thread)
    return outcome


def _wait_for(thread: threading.Thread) -> None:
    while thread.is_alive():
        time.sleep(0.001)
    time.sleep(0.001)


def problems(trial: Trial, outcome: str, before: leaks.Snapshot) -> Iterator[str]:
    """What is not as it should be after an interrupt."""
    yield from (f"left: {x}" for x in leaks.left_behind(before, leaks.snapshot()))
    if trial.region is None:  # interrupted before there was one
        return
    report = trial.region.report
    if outcome == "interrupted" and trial.inside and report.ok:
        yield f"clean: {report}"
    yield from (f"notice: {n}" for n in report.notices if "broke" in n)
    if report.findings and {"record", "async_"} & trial.options.keys():
        trial.region.rewind()
    there = [leaf for leaf in trial.leaves() if not leaf.is_deleted()]
    if not all(np.isfinite(leaf).all() for leaf in there):
        yield "the model has not its last good values"
    if len(there) < len(trial.leaves()):
        # As plain: the call has donated, and flax was interrupted before it updated.
        if not trial.donates:
            yield "arrays are deleted that were not donated"
        trial = Trial(random.Random(0), plain=False)
    with jaxdbg.checked() as region:
        STEPS[False](trial.model, trial.optimizer, GOOD)
    if not region.report.ok:
        yield f"the next region is not clean: {region.report}"
    try:
        with jaxdbg.checked():
            STEPS[False](trial.model, trial.optimizer, BAD)
        yield "the next region finds nothing"
    except jaxdbg.NonFiniteError as error:
        if error.finding.origin is None or error.finding.origin.source is None:
            yield "the next region finds no line"


def run(times: int, seed: int, plain: bool) -> dict[str, Any]:
    """Counts of what has become of programs, and what was wrong after them."""
    chance = random.Random(seed)
    for work in PROGRAMS.values():  # what is made once is made
        work(Trial(chance, plain))
    seconds = {name: _seconds(chance, plain, work) for name, work in PROGRAMS.items()}
    outcomes: collections.Counter[str] = collections.Counter()
    wrong, deleted = [], 0
    for n in range(times):
        trial, name = Trial(chance, plain), chance.choice(list(PROGRAMS))
        before, after = leaks.snapshot(), chance.random() * seconds[name]
        outcome = interrupted_after(after, lambda t=trial, n=name: PROGRAMS[n](t))  # type: ignore[misc]
        outcomes[outcome] += 1
        deleted += any(leaf.is_deleted() for leaf in trial.leaves())
        if not plain:
            said = list(problems(trial, outcome, before))
            wrong += [f"{n} {name} {trial.options} {outcome}: {text}" for text in said]
    return {"outcomes": outcomes, "models of deleted arrays": deleted, "wrong": wrong}


def _seconds(
    chance: random.Random, plain: bool, work: Callable[[Trial], None]
) -> float:
    trial = Trial(chance, plain)
    trial.options = {}
    began = time.perf_counter()
    work(trial)
    return time.perf_counter() - began


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    times, seed = (*numbers, 0)[:2]
    # A shell has what runs in its background ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(json.dumps(run(times, seed, "plain" in sys.argv)))
