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
    from jaxdbg.checks.calls.allowed import allowed as allowed
    from jaxdbg.checks.doctor import doctor as doctor
    from jaxdbg.checks.max_traces import max_traces as max_traces
    from jaxdbg.checks.region import (
        Region as Region,
        block_until_checked as block_until_checked,
        checked as checked,
    )
    from jaxdbg.compiles.compilations import (
        compilations as compilations,
        record_compilations as record_compilations,
    )
    from jaxdbg.errors import (
        CheckError as CheckError,
        NonFiniteError as NonFiniteError,
        TraceBudgetError as TraceBudgetError,
        UsageError as UsageError,
    )
    from jaxdbg.notebook.show import show as show
    from jaxdbg.origins.frames.peek import peek as peek
    from jaxdbg.records import (
        Compilations as Compilations,
        Finding as Finding,
        Origin as Origin,
        Report as Report,
    )
    from jaxdbg.trees.finite_map import FiniteMap as FiniteMap, finite_map as finite_map

__version__ = "0.1.0"

_HOMES = {
    "checks.afterwards.last": ("bad_output", "last_report", "origin"),
    "checks.calls.allowed": ("allowed",),
    "checks.doctor": ("doctor",),
    "checks.max_traces": ("max_traces",),
    "checks.region": ("Region", "block_until_checked", "checked"),
    "compiles.compilations": ("compilations", "record_compilations"),
    "errors": ("CheckError", "NonFiniteError", "TraceBudgetError", "UsageError"),
    "notebook.show": ("show",),
    "origins.frames.peek": ("peek",),
    "records": ("Compilations", "Finding", "Origin", "Report"),
    "trees.finite_map": ("FiniteMap", "finite_map"),
}
"""The public names, by the module they are from."""

_MODULES = {name: f"jaxdbg.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'jaxdbg' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_MODULES, "__version__"])


def load_ipython_extension(ip: Any) -> None:
    """Called by `%load_ext jaxdbg`."""
    from jaxdbg import notebook

    notebook.load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Called by `%unload_ext jaxdbg`."""
    from jaxdbg import notebook

    notebook.unload(ip)
