"""Compilations as text: what was traced, lowered and compiled, and why again."""

from __future__ import annotations

from jaxdbg.records import Compilations
from jaxdbg.views.compiles_table import lines


def text(compilations: Compilations) -> str:
    """The table with the reasons below it; eager ops share a row."""
    return "\n".join(lines(compilations))
