"""jaxdbg: the debugger for JAX in a notebook.

    %load_ext jaxdbg

    %%checked
    for batch in data: loss = train_step(model, opt, batch)

Public names are loaded when they are first used, so that importing jaxdbg is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdbg.checks.afterwards.last import (
        bad_output as bad_output,
        last_report as last_report,
        origin as origin,
    )
    from jaxdbg.checks.doctor import doctor as doctor
    from jaxdbg.checks.max_traces import max_traces as max_traces
    from jaxdbg.checks.region import (
        Region as Region,
        block_until_checked as block_until_checked,
        checked as checked,
    )
    from jaxdbg.compiles.compilations import compilations as compilations
    from jaxdbg.errors import (
        CheckError as CheckError,
        NonFiniteError as NonFiniteError,
        TraceBudgetError as TraceBudgetError,
        UsageError as UsageError,
    )
    from jaxdbg.notebook.show import show as show
    from jaxdbg.records import (
        Compilations as Compilations,
        Finding as Finding,
        Origin as Origin,
        Report as Report,
    )
    from jaxdbg.trees.finite_map import FiniteMap as FiniteMap, finite_map as finite_map

__version__ = "0.1.0"

_HOMES = {
    "CheckError": ("jaxdbg.errors", "CheckError"),
    "FiniteMap": ("jaxdbg.trees.finite_map", "FiniteMap"),
    "Compilations": ("jaxdbg.records", "Compilations"),
    "Finding": ("jaxdbg.records", "Finding"),
    "NonFiniteError": ("jaxdbg.errors", "NonFiniteError"),
    "Origin": ("jaxdbg.records", "Origin"),
    "Region": ("jaxdbg.checks.region", "Region"),
    "Report": ("jaxdbg.records", "Report"),
    "TraceBudgetError": ("jaxdbg.errors", "TraceBudgetError"),
    "UsageError": ("jaxdbg.errors", "UsageError"),
    "bad_output": ("jaxdbg.checks.afterwards.last", "bad_output"),
    "block_until_checked": ("jaxdbg.checks.region", "block_until_checked"),
    "checked": ("jaxdbg.checks.region", "checked"),
    "compilations": ("jaxdbg.compiles.compilations", "compilations"),
    "doctor": ("jaxdbg.checks.doctor", "doctor"),
    "finite_map": ("jaxdbg.trees.finite_map", "finite_map"),
    "max_traces": ("jaxdbg.checks.max_traces", "max_traces"),
    "last_report": ("jaxdbg.checks.afterwards.last", "last_report"),
    "origin": ("jaxdbg.checks.afterwards.last", "origin"),
    "show": ("jaxdbg.notebook.show", "show"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxdbg' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])


def load_ipython_extension(ip: Any) -> None:
    """Called by `%load_ext jaxdbg`."""
    from jaxdbg import notebook as magics

    magics.load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Called by `%unload_ext jaxdbg`."""
    from jaxdbg import notebook as magics

    magics.unload(ip)
