"""Notebooks run headless, as `run.py tour` runs one, and what their cells printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat

import run

Cell = dict[str, Any]
Said = Callable[[str], str]


def executed(notebook: Path, folder: Path) -> list[Cell]:
    """The cells of a notebook after it was run; a cell that fails stops nothing."""
    nbconvert = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
    options = ["--allow-errors", "--log-level=ERROR", f"--output-dir={folder}"]
    subprocess.run([*nbconvert, *options, str(notebook)], check=True)
    cells: list[Cell] = nbformat.read(folder / notebook.name, as_version=4).cells
    return cells


def sayings(cells: Sequence[Cell]) -> Said:
    """What the cell with an id printed."""
    return lambda id: next(run.printed(cell) for cell in cells if cell["id"] == id)


def percent(text: str) -> float:
    """The percentage that a text ends in."""
    return float(text.strip("'\n ").split()[-1].removesuffix("%"))
