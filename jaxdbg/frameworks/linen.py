"""What flax holds beside NNX: the frozen dicts of Linen's variables."""

from __future__ import annotations

import sys
from typing import Any

from jaxdbg.frameworks.framework import Framework
from jaxdbg.frameworks.reader_parts import Reader, is_a, items
from jaxdbg.jax_internals.requirements import private

_DICT = private("flax.core.frozen_dict.FrozenDict._dict", "libraries")


class Linen(Framework):
    """Linen's modules hold no arrays; its variables are dicts, and may be frozen."""

    package = "flax"

    def reader(self, cls: type) -> Reader | None:
        """Reads a FrozenDict as the dict inside."""
        if not _DICT.absent and is_a(cls, _core().FrozenDict):
            return lambda value: items(_DICT.of(value))
        return None

    def running_path(self, module: object) -> str:
        """The path that Linen gives its operations: `Net/block_2/attn`."""
        linen = sys.modules.get("flax.linen")
        if linen is None or not isinstance(module, linen.Module):
            return ""
        names: list[str] = []
        while isinstance(module, linen.Module):
            names.append(str(module.name or type(module).__name__))
            module = module.parent
        return "/".join(reversed(names))

    def with_item(self, container: object, key: object, value: object) -> Any:
        """A FrozenDict with one item replaced."""
        frozen = _core().FrozenDict
        return container.copy({key: value}) if isinstance(container, frozen) else None


def _core() -> Any:
    return sys.modules["flax.core"]


FRAMEWORK = Linen()
