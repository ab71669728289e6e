"""What checking costs: a checked region beside every other way that JAX offers.

Usage: python tests/bench/overhead.py [--quick]

Prints Markdown tables and writes nothing; nothing is asserted. One interleaved run:
the modes take turns, round after round, and each is compared with the plain program of
the same round, so that what else the machine does meets all of them. Every step is
waited for. A first call is trace, compilation and one step, of fresh functions and
after `jax.clear_caches()`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import chex
import jax
import jax.numpy as jnp
from _machine import machine_line
from _workloads import Guard, Workload, mlp, nnx_transformer, transformer, unguarded
from jax.experimental import checkify

import jaxdbg

try:
    import equinox
except ImportError:
    equinox = None

Step = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Mode:
    """One way to check a training step.

    Attributes:
        name: what the table calls it.
        wrap: the function to time, from a step that is not jitted yet.
        guard: what is done with loss and gradients inside the step.
        context: is open around the steps of the mode.
    """

    name: str
    wrap: Callable[[Step], Step] = jax.jit
    guard: Guard = unguarded
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def chexified(**options: Any) -> Callable[[Step], Step]:
    def wrap(step: Step) -> Step:
        checked: Step = chex.chexify(jax.jit(step), async_check=False, **options)
        return checked

    return wrap


def checkified(errors: frozenset[Any]) -> Callable[[Step], Step]:
    def wrap(step: Step) -> Step:
        checked = jax.jit(checkify.checkify(step, errors=errors))

        def run(state: Any, batch: Any) -> Any:
            error, out = checked(state, batch)
            error.throw()
            return out

        return run

    return wrap


def chex_guard(loss: Any, grads: Any) -> Any:
    chex.assert_tree_all_finite((loss, grads))
    return loss, grads


def equinox_guard(loss: Any, grads: Any) -> Any:
    leaves = jax.tree.leaves((loss, grads))
    bad = jnp.stack([~jnp.isfinite(x.sum()) for x in leaves]).any()
    return equinox.error_if((loss, grads), bad, "loss or gradients are not finite")


PLAIN = Mode("plain")
REGION = Mode("**`jaxdbg.checked()`**", context=lambda: jaxdbg.checked())
MODES = [
    PLAIN,
    REGION,
    Mode(
        "**`jaxdbg.checked(every_op=True)`**",
        context=lambda: jaxdbg.checked(every_op=True),
    ),
    Mode("`chex.chexify`, user checks", chexified(), guard=chex_guard),
    Mode("`chex.chexify`, nan", chexified(errors=chex.ChexifyChecks.nan)),
    Mode("`jit(checkify(nan))`", checkified(checkify.nan_checks)),
    Mode("`jit(checkify(float))`", checkified(checkify.float_checks)),
    Mode("`jax_debug_nans`", context=lambda: jax.debug_nans(True)),
]
if equinox is not None:
    MODES.append(Mode("`equinox.error_if`, loss and gradients", guard=equinox_guard))


class Runner:
    """A mode at work on a workload; says why if it does not work there."""

    def __init__(self, mode: Mode, workload: Workload):
        self.mode = mode
        self.failed = ""
        self._workload = workload
        self._state = workload.start()
        self._step = mode.wrap(workload.make_step(mode.guard))

    def run(self, steps: int) -> float:
        """Seconds a step, the mean of some; NaN where the mode fails."""
        if self.failed:
            return float("nan")
        with self._failing(), self.mode.context():
            began = time.perf_counter()
            for _ in range(steps):
                self._state, loss = self._step(self._state, self._workload.batch)
                jax.block_until_ready((self._state, loss))
            return (time.perf_counter() - began) / steps
        return float("nan")

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed = type(error).__name__


@dataclass
class Measured:
    """Seconds by mode, round by round."""

    workload: Workload
    modes: list[Mode]
    first: dict[str, list[float]]
    run: dict[str, list[float]]
    failed: dict[str, str]

    def cells(self, mode: Mode) -> list[str]:
        """Run time and first call of a mode, for the table."""
        if mode.name not in self.run:
            return ["–", "–"]
        if self.failed.get(mode.name):
            return [f"fails: {self.failed[mode.name]}"] * 2
        if mode.name == PLAIN.name:
            run, first = (
                statistics.median(t[mode.name]) for t in (self.run, self.first)
            )
            return [_duration(run), _duration(first)]
        return [f"{_ratio(t, mode.name):.2f}x" for t in (self.run, self.first)]


def _ratio(times: dict[str, list[float]], name: str) -> float:
    pairs = zip(times[name], times[PLAIN.name], strict=True)
    return statistics.median(a / b for a, b in pairs)


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def measure(workload: Workload, modes: list[Mode], quick: bool) -> Measured:
    """One interleaved run of all modes on a workload."""
    names = [m.name for m in modes]
    first: dict[str, list[float]] = {n: [] for n in names}
    for _ in range(1 if quick else workload.first_rounds):
        for mode in modes:
            runner = Runner(mode, workload)
            jax.clear_caches()
            first[mode.name].append(runner.run(1))
    jax.clear_caches()
    runners = [Runner(mode, workload) for mode in modes]
    for runner in runners:
        runner.run(2)  # compiled, and the first time round is over
    run: dict[str, list[float]] = {n: [] for n in names}
    for turn in range(3 if quick else workload.rounds):
        # Each round another mode is the first: what one leaves behind (threads, caches)
        # must not always meet the same next one.
        start = turn % len(runners)
        for runner in runners[start:] + runners[:start]:
            run[runner.mode.name].append(runner.run(workload.steps))
    failed = {r.mode.name: r.failed for r in runners}
    return Measured(workload, modes, first, run, failed)


def table(columns: list[Measured]) -> str:
    """The measured as a Markdown table, a mode a line."""
    modes = list({m.name: m for c in columns for m in c.modes}.values())
    heads = [f"{c.workload.name}: {w}" for c in columns for w in ("step", "first call")]
    lines = [["", *heads], ["---", *("--:" for _ in heads)]]
    lines += [[m.name, *(cell for c in columns for cell in c.cells(m))] for m in modes]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def jitted_as(workload: Workload, modes: list[Mode]) -> list[Mode]:
    """Modes that add nothing to the step, jitted the way of the workload."""
    return [replace(mode, wrap=workload.jit) for mode in modes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    print(machine_line(), end="\n\n", flush=True)
    print(table([measure(w, MODES, quick) for w in (transformer(), mlp())]))
    print(flush=True)
    others = [transformer(donate=True), mlp(donate=True), nnx_transformer()]
    print(table([measure(w, jitted_as(w, [PLAIN, REGION]), quick) for w in others]))


if __name__ == "__main__":
    main()
