"""What JAX says that it has traced, lowered and compiled, counted by name."""

from __future__ import annotations

from collections import Counter

import jax

PHASES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


def count_phases() -> Counter[str]:
    """Counts from now on, by phase and function, and what jaxdbg does apart."""
    counts: Counter[str] = Counter()

    def heard(event: str, duration: float, **details: str | int) -> None:
        if event in PHASES:
            whose = "jaxdbg's " if _is_ours() else ""
            counts[f"{whose}{PHASES[event]} of {details.get('fun_name', '?')}"] += 1

    jax.monitoring.register_event_duration_secs_listener(heard)
    return counts


def _is_ours() -> bool:
    from jaxdbg.jax_internals.interpose import is_ours

    return is_ours()
