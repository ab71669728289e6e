"""For tests: a pytest plugin, and CPU devices to test sharded programs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdbg.checks.cpu_devices import devices as devices

__all__ = ["devices"]


def __getattr__(name: str) -> Any:
    # pytest imports this folder in every run, with JAX or without.
    if name == "devices":
        from jaxdbg.checks.cpu_devices import devices

        return devices
    raise AttributeError(f"module 'jaxdbg.testing' has no attribute {name!r}")
