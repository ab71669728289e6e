"""What works here and what does not: versions, hooks, what is lost without them."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import jax

from jaxdbg.jax_internals import names as _compat

_PACKAGES = ("jax", "jaxlib", "chex", "flax", "numpy", "ipython", "anywidget")

_CAPABILITIES = {
    "interpose": "jitted calls and eager ops are checked",
    "aot": "AOT-compiled calls are checked",
    "counts": "traces are counted exactly",
    "reasons": "why a function was traced or compiled again is known",
    "chex": "chex assertions and checkify.check are live in jitted code",
    "origin": "the line where a bad value was born is found",
    "modules": "the module in which it was born is found",
    "origins": "a value born inside shard_map is followed into it",
    "chex counts": "a diagnosis does not count for chex.assert_max_traces",
}


def doctor() -> str:
    """A report on the installation, as text.

    Names the versions, the devices, and for each capability whether the installed JAX
    and chex offer what it needs, and what is lost where they do not.
    """
    lines = [f"Python {platform.python_version()} on {platform.system()}"]
    lines += [f"jaxdbg {_version('jaxdbg')}, in {Path(__file__).parents[1]}"]
    lines += [f"{name} {_version(name)}" for name in _PACKAGES]
    lines += [f"devices: {', '.join(map(str, jax.devices()))}", ""]
    for capability, told in _CAPABILITIES.items():
        lost = _compat.missing(capability)
        lines.append(f"{'✗' if lost else '✓'} {told}")
        lines += [f"    {r.name} is missing: {r.lost}" for r in lost]
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"
