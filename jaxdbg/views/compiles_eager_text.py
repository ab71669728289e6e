"""Compilations as text, with a row for each eager op and library function."""

from __future__ import annotations

from jaxdbg.records import Compilations
from jaxdbg.views.compiles_table import lines


def text(compilations: Compilations) -> str:
    """The table with the reasons below it."""
    return "\n".join(lines(compilations, eager=True))
