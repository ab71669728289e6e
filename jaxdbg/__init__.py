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
    from jaxdbg.budgets import max_traces as max_traces
    from jaxdbg.errors import (
        CheckError as CheckError,
        NonFiniteError as NonFiniteError,
        TraceBudgetError as TraceBudgetError,
        UsageError as UsageError,
    )
    from jaxdbg.history import (
        Compilations as Compilations,
        compilations as compilations,
    )
    from jaxdbg.installation import doctor as doctor
    from jaxdbg.magics.showing import show as show
    from jaxdbg.maps import FiniteMap as FiniteMap, finite_map as finite_map
    from jaxdbg.records import (
        Finding as Finding,
        Origin as Origin,
        Report as Report,
    )
    from jaxdbg.region import (
        Region as Region,
        block_until_checked as block_until_checked,
        checked as checked,
        last_report as last_report,
    )
    from jaxdbg.results import bad_output as bad_output
    from jaxdbg.stories import origin as origin

__version__ = "0.1.0"

_HOMES = {
    "CheckError": ("jaxdbg.errors", "CheckError"),
    "FiniteMap": ("jaxdbg.maps", "FiniteMap"),
    "Compilations": ("jaxdbg.history", "Compilations"),
    "Finding": ("jaxdbg.records", "Finding"),
    "NonFiniteError": ("jaxdbg.errors", "NonFiniteError"),
    "Origin": ("jaxdbg.records", "Origin"),
    "Region": ("jaxdbg.region", "Region"),
    "Report": ("jaxdbg.records", "Report"),
    "TraceBudgetError": ("jaxdbg.errors", "TraceBudgetError"),
    "UsageError": ("jaxdbg.errors", "UsageError"),
    "bad_output": ("jaxdbg.results", "bad_output"),
    "block_until_checked": ("jaxdbg.region", "block_until_checked"),
    "checked": ("jaxdbg.region", "checked"),
    "compilations": ("jaxdbg.history", "compilations"),
    "doctor": ("jaxdbg.installation", "doctor"),
    "finite_map": ("jaxdbg.maps", "finite_map"),
    "max_traces": ("jaxdbg.budgets", "max_traces"),
    "last_report": ("jaxdbg.region", "last_report"),
    "origin": ("jaxdbg.stories", "origin"),
    "show": ("jaxdbg.magics.showing", "show"),
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
    from jaxdbg import magics

    magics.load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Called by `%unload_ext jaxdbg`."""
    from jaxdbg import magics

    magics.unload(ip)
