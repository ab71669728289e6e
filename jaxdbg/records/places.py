"""Places in the user's code, said as the user would say them."""

from __future__ import annotations

import linecache
import sys


def describe(file: str, line: int) -> str:
    """`cell 3, line 7` for code of a notebook cell, else `file.py:7`."""
    cell = cell_number(file)
    return f"cell {cell}, line {line}" if cell is not None else f"{file}:{line}"


def source_line(file: str, line: int) -> str:
    """The line of code, without its indentation; empty where it cannot be had."""
    return linecache.getline(file, line).strip()


def cell_number(file: str) -> int | None:
    """IPython's execution count of the cell a file name stands for, or None."""
    # Never imported here: where IPython is not loaded, no file is a cell.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    names = getattr(getattr(shell, "compile", None), "_filename_map", {})
    number = names.get(file)
    return number if isinstance(number, int) else None
