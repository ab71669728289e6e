"""What the tests of notebooks share: types, and how they read a printed number."""

from __future__ import annotations

from collections.abc import Callable

Said = Callable[[str], str]
"""Gives what the cell with an id printed."""


def percent(text: str) -> float:
    """The percentage that a text ends in."""
    return float(text.strip("'\n ").split()[-1].removesuffix("%"))
