"""What works here and what does not: versions, capabilities, what is lost."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import jax

# The modules that a region runs declare what they need of JAX as they are loaded.
import jaxdbg.checks.region  # noqa: F401
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.requirements import CAPABILITIES, is_as_new_as, missing

_PACKAGES = (
    *("jax", "jaxlib", "chex", "flax", "equinox", "numpy", "ipython", "anywidget"),
)


def doctor() -> str:
    """A report on the installation, as text.

    Names the versions, the devices, and for each capability whether the installed JAX,
    chex and libraries of models offer what it needs, and what is lost where one does
    not.
    """
    lines = [f"Python {platform.python_version()} on {platform.system()}"]
    lines += [f"jaxdbg {_version('jaxdbg')}, in {Path(__file__).parents[1]}"]
    lines += [f"{name} {_version(name)}" for name in _PACKAGES]
    lines += [f"devices: {', '.join(map(str, jax.devices()))}", ""]
    loaded()  # a library that is loaded declares what is needed of it
    for name in CAPABILITIES:
        lines += _about(name)
    return "\n".join(lines)


def _about(name: str) -> list[str]:
    capability, lost = CAPABILITIES[name], missing(name)
    if not is_as_new_as(capability.since):
        return [f"– {capability.works} (since JAX {capability.since})"]
    return [
        f"{'✗' if lost else '✓'} {capability.works}",
        *(f"    {r.absent} is missing: {r.lost}" for r in lost),
    ]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"
