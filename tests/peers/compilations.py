"""What JAX says that it has traced, lowered and compiled, counted by name.

What it announces as a trace may be found in a cache, and then no Python runs; JAX's own
test hook, which has no names, hears of those alone in which it does.
"""

from __future__ import annotations

from collections import Counter

import jax
from jax._src import util

PHASES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}

PYTHON = "traces in Python"

OURS = "jaxdbg's "
"""What the names of our own programs begin with."""


def count_phases() -> Counter[str]:
    """Counts from now on, by phase and function, and what jaxdbg does apart."""
    counts: Counter[str] = Counter()

    def heard(event: str, duration: float, **details: str | int) -> None:
        if event in PHASES:
            counts[f"{_whose()}{PHASES[event]} of {details.get('fun_name', '?')}"] += 1

    def hooked(event: str, *_: object) -> None:
        if event == "trace_to_jaxpr":
            counts[f"{_whose()}{PYTHON}"] += 1

    jax.monitoring.register_event_duration_secs_listener(heard)
    util.test_event_listener = hooked
    return counts


def _whose() -> str:
    from jaxdbg.jax_internals.interpose import is_ours

    return OURS if is_ours() else ""
