"""Haiku: modules that hold no arrays, and know their paths."""

from __future__ import annotations

import sys

from jaxdbg.frameworks.framework import Framework


class Haiku(Framework):
    """Its parameters are dicts by the path of a module."""

    package = "haiku"
    imported_as = "hk"

    def running_path(self, module: object) -> str:
        """The path as in its parameters: `net/~/linear_1`."""
        haiku = sys.modules.get("haiku")
        if haiku is None or not isinstance(module, haiku.Module):
            return ""
        return str(module.module_name)


FRAMEWORK = Haiku()
