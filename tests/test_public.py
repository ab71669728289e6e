"""The public names: where they are from, and what their docstrings promise."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxdbg


def test_the_table_has_what_type_checkers_see() -> None:
    source = Path(jaxdbg.__file__).read_text()
    assert seen_by_type_checkers(source) == {
        f"jaxdbg.{home}": set(names) for home, names in jaxdbg._HOMES.items()
    }


def test_what_type_checkers_see_is_read() -> None:
    source = "if TYPE_CHECKING:\n    from jaxdbg.a import b as b, c as c\nimport d"
    assert seen_by_type_checkers(source) == {"jaxdbg.a": {"b", "c"}}


def test_docstrings_name_only_what_is_public() -> None:
    docs = list(docstrings())
    assert len(docs) > 40
    assert [name for doc in docs for name in hidden(doc)] == []


def test_a_name_that_is_not_public_is_found() -> None:
    doc = "See `jaxdbg.recorder.start()`, `jaxdbg.checked` and `jaxdbg.Report.saved`."
    assert hidden(doc) == ["jaxdbg.recorder.start", "jaxdbg.Report.saved"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    ["jaxdbg.compilations()", "jaxdbg.record_compilations()"],
)
def test_calls_of_docstrings_run_in_a_fresh_interpreter(call: str) -> None:
    program = f"import jaxdbg\n{call}"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_each_call_of_a_docstring_is_among_these() -> None:
    mark, _ = test_calls_of_docstrings_run_in_a_fresh_interpreter.pytestmark
    assert {call for doc in docstrings() for call in calls(doc)} == set(mark.args[1])


def test_a_call_of_a_docstring_is_found() -> None:
    assert calls("`jaxdbg.a.b()`, `jaxdbg.c`, `x(jaxdbg.d())`") == ["jaxdbg.a.b()"]


def seen_by_type_checkers(source: str) -> dict[str, set[str]]:
    """The names that each module gives, for type checkers."""
    (block,) = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    return {
        str(node.module): {alias.name for alias in node.names}
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }


def docstrings() -> Iterator[str]:
    """Of each public name, and of each public attribute of a public class."""
    for name in dir(jaxdbg):
        value = getattr(jaxdbg, name)
        if not isinstance(value, str):
            yield inspect.getdoc(value) or ""
        if inspect.isclass(value):
            members = [m for n, m in vars(value).items() if not n.startswith("_")]
            yield from (inspect.getdoc(m) or "" for m in members if callable(m))


def hidden(doc: str) -> list[str]:
    """The names in a docstring that no public name leads to."""
    return [n for n in re.findall(r"\bjaxdbg(?:\.\w+)+", doc) if not is_public(n)]


def is_public(name: str) -> bool:
    value: object = jaxdbg
    for part in name.split(".")[1:]:
        if part not in dir(value):
            return False
        value = getattr(value, part)
    return True


def calls(doc: str) -> list[str]:
    """The whole calls of public functions that a docstring mentions."""
    return re.findall(r"`(jaxdbg(?:\.\w+)+\([^`]*\))`", doc)
