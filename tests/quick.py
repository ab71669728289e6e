"""Which rows of a table of tests a plain `pytest` runs; the others are slow."""

from __future__ import annotations

from typing import Any

import pytest


def row(*values: object, when: bool, name: str | None = None) -> Any:
    """A row of a table.

    Arguments:
        values: of each argument of the test.
        when: whether a plain `pytest` runs it.
        name: the id of its test; pytest's own by default.
    """
    return pytest.param(*values, id=name, marks=() if when else pytest.mark.slow)
