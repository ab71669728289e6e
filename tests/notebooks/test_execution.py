"""How an executed notebook is judged, and shown in a few lines."""

from __future__ import annotations

from notebooks.execution import Cell, digest, surprises

GOOD: Cell = {"output_type": "stream", "name": "stdout", "text": "all\nwell\n"}
BAD: Cell = {
    "output_type": "error",
    "ename": "OSError",
    "evalue": "no",
    "traceback": [],
}


def cell(*outputs: Cell, tags: tuple[str, ...] = ()) -> Cell:
    return {
        "cell_type": "code",
        "execution_count": 7,
        "metadata": {"tags": list(tags)},
        "source": "%%checked\nstep()",
        "outputs": list(outputs),
    }


def test_a_surprise_is_a_cell_that_fails_or_does_not() -> None:
    expected = cell(GOOD, BAD, tags=("raises-exception",))
    assert surprises([cell(GOOD), expected]) == []
    assert surprises([cell(GOOD, BAD)]) == ["cell [7] failed"]
    silent = cell(GOOD, tags=("raises-exception",))
    assert surprises([silent]) == ["cell [7] did not fail, as it should have"]


def test_digest_is_short() -> None:
    long = cell({"output_type": "stream", "text": "line\n" * 50})
    assert digest([cell(GOOD, BAD)]) == (
        "\n\n[7] %%checked\n    all\n    well\n    OSError: no\n\n"
    )
    assert digest([long]).endswith("    line\n    ... and 38 more lines\n\n")
