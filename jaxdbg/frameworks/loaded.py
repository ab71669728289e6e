"""The libraries of models that the user's program has loaded.

None of them is imported from here: while a library is not loaded, nobody holds anything
of it. The module that knows a library is imported when the library is first seen.
"""

from __future__ import annotations

import importlib
import sys

from jaxdbg.frameworks.framework import Framework

_HOMES = {
    "flax.nnx": "jaxdbg.frameworks.nnx.framework",
    "flax.core": "jaxdbg.frameworks.linen",
    "equinox": "jaxdbg.frameworks.equinox",
    "haiku": "jaxdbg.frameworks.haiku",
}
"""By module of the library, our module that knows it; its `FRAMEWORK` answers."""

_known: dict[str, Framework] = {}


def loaded() -> list[Framework]:
    """The libraries that are loaded, in the order in which they are asked."""
    return [_framework(name) for name in _HOMES if name in sys.modules]


def _framework(name: str) -> Framework:
    if name not in _known:
        _known[name] = importlib.import_module(_HOMES[name]).FRAMEWORK
    return _known[name]
