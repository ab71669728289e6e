"""Runs a notebook headless, shows what it printed, and says which cells surprise.

    python -m notebooks.execution notebooks/tour.ipynb build

leaves the executed notebook in build/, and a page of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
"""A cell as nbformat has it in JSON."""

MOST_LINES = 12
"""How many lines of a cell's output the digest shows."""


def main(notebook: Path, folder: Path) -> int:
    """Executes the notebook and prints what came of it; returns the exit status."""
    cells = execute(notebook, folder)
    executed = folder / notebook.name
    nbconvert("--to=html", executed, folder)
    print(digest(cells))
    wrong = surprises(cells)
    print(*wrong, f"see {executed.with_suffix('.html')} and {executed}", sep="\n")
    return 1 if wrong else 0


def execute(notebook: Path, folder: Path) -> list[Cell]:
    """The cells of a notebook after it was run; a cell that fails stops nothing."""
    nbconvert("--to=notebook", notebook, folder, "--execute", "--allow-errors")
    cells: list[Cell] = json.loads((folder / notebook.name).read_text())["cells"]
    return cells


def nbconvert(to: str, notebook: Path, folder: Path, *options: str) -> None:
    """Converts a notebook by this Python's nbconvert."""
    command = [sys.executable, "-m", "nbconvert", "--log-level=ERROR", to, *options]
    subprocess.run([*command, f"--output-dir={folder}", str(notebook)], check=True)


def digest(cells: Sequence[Cell]) -> str:
    """What each code cell printed, under the line it begins with."""
    parts = []
    for cell in cells:
        if cell["cell_type"] == "code" and (text := printed(cell)):
            first = "".join(cell["source"]).split("\n")[0]
            parts.append(f"[{cell['execution_count']}] {first}\n{indented(text)}")
    return "\n\n".join(["", *parts, ""])


def printed(cell: Cell) -> str:
    """The text of a cell's outputs; of an error its name and message only."""
    texts = []
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            texts.append(f"{output['ename']}: {output['evalue']}")
        elif "image/png" in output.get("data", ()):
            texts.append("(a picture)")
        else:
            text = output.get("text") or output["data"].get("text/plain", "")
            texts.append("".join(text))
    return "\n".join(text.rstrip("\n") for text in texts)


def indented(text: str) -> str:
    """The text, moved to the right; its end left out when it is long."""
    lines = [f"    {line}".rstrip() for line in text.split("\n")]
    more = [f"    ... and {len(lines) - MOST_LINES} more lines"]
    return "\n".join(lines[:MOST_LINES] + (more if len(lines) > MOST_LINES else []))


def surprises(cells: Sequence[Cell]) -> list[str]:
    """Cells that failed and should not have, or should have failed and did not."""
    found = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        expected = "raises-exception" in cell["metadata"].get("tags", ())
        failed = any(o["output_type"] == "error" for o in cell["outputs"])
        if failed != expected:
            what = "failed" if failed else "did not fail, as it should have"
            found.append(f"cell [{cell['execution_count']}] {what}")
    return found


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
