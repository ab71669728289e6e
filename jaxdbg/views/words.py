"""The words that all views share, and the messages that other modules write.

Each thing is spelled in one way. The panel has words of its own in `js/src/text.ts`:
counts alike, places shorter, times and bytes as fine as its axes need.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records.source import SourceFrame, cell_number

KINDS = {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}
"""The kinds of non-finite values, the worst first.

As in NumPy, only the minus is written: Inf is the positive one.
"""

_PLURALS = {"leaf": "leaves", "miss": "misses", "pass": "passes"}


def count(n: int, noun: str) -> str:
    """`1 leaf`, `1,234 leaves`."""
    return f"{n:,} {plural(n, noun)}"


def plural(n: int, noun: str) -> str:
    """The noun as it follows a number: `leaf`, `leaves`, `bad leaves`."""
    if n == 1:
        return noun
    before, space, last = noun.rpartition(" ")
    return f"{before}{space}{_PLURALS.get(last, f'{last}s')}"


def more(n: int, noun: str) -> str:
    """`1 more leaf`, `3 more leaves`: what a list leaves out."""
    return f"{n:,} more {plural(n, noun)}"


def listed(items: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: up to `most` items."""
    left_out = len(items) - most
    shown = ", ".join(items[:most])
    return f"{shown} and {left_out:,} more" if left_out > 0 else shown


def times(n: int) -> str:
    """`never`, `once`, `twice`, `3 times`."""
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n:,} times")


def ordinal(n: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 // 10 != 1 else 0)
    return f"{n}{suffix or 'th'}"


def seconds(value: float) -> str:
    """`0.41 s`, `41 ms`, `128 s`; never less than 1 ms but for 0."""
    if value <= 0:
        return "0 s"
    if value < 0.0995:
        return f"{max(value * 1000, 1):.0f} ms"
    return f"{value:.2f} s" if value < 99.5 else f"{value:.0f} s"


def size(nbytes: float) -> str:
    """`640 B`, `4.9 kB`, `1.23 GB`: bytes, by powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 999.5:
            return f"{nbytes:.0f} B" if unit == "B" else f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.1f} TB"


def array(dtype: str, shape: Sequence[int]) -> str:
    """`float32[8,64]`: an array that holds values, with the dtype as a user writes it.

    The type of an argument in a signature is `f32[8,64]`, as JAX itself writes it in a
    jaxpr and in its explanation of a cache miss.
    """
    return f"{dtype}[{','.join(map(str, shape))}]"


def index(element: Sequence[int] | None) -> str:
    """`[3, 7]`; empty for a scalar, and where no element is known."""
    return f"[{', '.join(map(str, element))}]" if element else ""


def nonfinite(nan: int, posinf: int, neginf: int) -> str:
    """`12 NaN, 1 Inf`; empty where all is finite."""
    counts = zip((nan, posinf, neginf), KINDS.values(), strict=True)
    return ", ".join(f"{n:,} {kind}" for n, kind in counts if n)


def place(frame: SourceFrame) -> str:
    """`cell 3, line 7`, or the whole path: `src/train.py:7`."""
    if frame.cell is not None:
        return f"cell {frame.cell}, line {frame.line}"
    return f"{frame.file}:{frame.line}"


def place_of(file: str, line: int) -> str:
    """The place of a line, of which only the name of the file is known."""
    return place(SourceFrame(file, line, cell=cell_number(file)))


def short_place(frame: SourceFrame | None) -> str:
    """`cell 3, line 7`, or the name of the file: `train.py:7`; empty for None."""
    if frame is None:
        return ""
    if frame.cell is not None:
        return place(frame)
    return f"{frame.file.replace(chr(92), '/').rpartition('/')[2]}:{frame.line}"
