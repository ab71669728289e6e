"""The line that says where a measurement was made."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import jax


def machine_line() -> str:
    """Processor, cores, Python, and JAX with its default device."""
    return (
        f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"JAX {jax.__version__} on {jax.devices()[0].device_kind}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (s.partition(":")[2].strip() for s in lines if s.startswith("model name"))
    flags = next((s for s in lines if s.startswith("flags")), "")
    wide = " with AVX-512" if "avx512f" in flags else ""
    return (next(names, "") or platform.processor() or platform.machine()) + wide
