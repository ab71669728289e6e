"""Each thing is spelled in one way."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import jaxdbg
from jaxdbg.records import SourceFrame
from jaxdbg.views import words

PACKAGE = Path(jaxdbg.__file__).parent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (0.0001, "1 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.10 s"),
        (9.999, "10.00 s"),
        (128.4, "128 s"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1 kB"),
        (2_604, "2.6 kB"),
        (999_600, "1 MB"),
        (1.5e13, "15.0 TB"),
    ],
)
def test_bytes(value: float, text: str) -> None:
    assert words.size(value) == text


def test_counts() -> None:
    assert words.count(1, "leaf") == "1 leaf"
    assert words.count(1234, "bad leaf") == "1,234 bad leaves"
    assert words.more(2, "turn") == "2 more turns"
    assert [words.times(n) for n in range(4)] == ["never", "once", "twice", "3 times"]
    assert words.listed(["a", "b"], 2) == "a, b"
    assert words.listed(["a", "b", "c"], 2) == "a, b and 1 more"


def test_ordinals() -> None:
    told = [words.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112, 122)]
    assert told == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "112th",
        "122nd",
    ]


def test_places() -> None:
    assert words.place(SourceFrame("<input>", 7, cell=3)) == "cell 3, line 7"
    assert words.short_place(SourceFrame("<input>", 7, cell=3)) == "cell 3, line 7"
    assert words.place(SourceFrame("/src/train.py", 7)) == "/src/train.py:7"
    assert words.short_place(SourceFrame("C:\\src\\train.py", 7)) == "train.py:7"
    assert words.short_place(None) == ""


def test_arrays_and_what_is_not_finite() -> None:
    assert words.array("float32", (8, 64)) == "float32[8,64]"
    assert words.index((3, 7)) == "[3, 7]"
    assert words.nonfinite(1200, 1, 2) == "1,200 NaN, 1 Inf, 2 -Inf"
    assert words.nonfinite(0, 0, 0) == ""


# Nobody else spells them.

OWN_SPELLING = re.compile(
    r"""\+Inf|\bkB\b|['"]s['"] \* \(|\bcell \{.*?\},? line \{"""
    r"""|\[\{['"],['"]\.join\(map"""
)


def test_no_other_module_spells_them() -> None:
    # What is below the views cannot ask them.
    paths = [p for p in PACKAGE.rglob("*.py") if "jax_internals" not in p.parts]
    others = sorted({*paths} - {PACKAGE / "views" / "words.py"})
    assert [(path.name, text) for path in others for text in spelled(path)] == []


def test_another_spelling_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "def f(n):\n"
        "    '1 +Inf, cell 3 line 7: a docstring is not shown.'\n"
        "    a = f'{n} call{\"s\" * (n != 1)}', f'cell {n} line {n}'\n"
        "    b = 'kB', '+Inf'\n"
        "    return a, b, f'f[{\",\".join(map(str, n))}]'\n"
    )
    first, *rest = spelled(path)
    assert first in ("'s' * (", '"s" * (')
    assert rest[:3] == ["cell {n} line {", "kB", "+Inf"]
    assert len(rest) == 4


def spelled(path: Path) -> list[str]:
    """What a module spells of its own, docstrings apart."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return OWN_SPELLING.findall(ast.unparse(tree))
