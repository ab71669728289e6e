"""`%finite`, as one types it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import jaxdbg
from jaxdbg import notebook as magics


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell()
    magics.load(shell)
    shell.run_cell("import jax.numpy as jnp\nparams = {'w': jnp.ones(3)}\nn = 3")
    yield shell
    magics.unload(shell)


def finite(shell: InteractiveShell, line: str) -> Any:
    return shell.run_line_magic("finite", line)


def test_it_looks_at_what_one_types(shell: InteractiveShell) -> None:
    found = finite(shell, "params")
    assert isinstance(found, jaxdbg.FiniteMap)
    assert found.ok
    assert found['params["w"]'].largest == 1
    assert finite(shell, "--detail params['w']").name == "params['w']"


def test_what_it_shows(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%finite params")
    assert "✓ params: finite · 3 elements, 12 B · read in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "%finite looks at a tree: `%finite model`."),
        ("parms", "%finite parms: name 'parms' is not defined. Did you mean 'params'?"),
        (
            "1/0",
            "%finite looks at a tree, and '1/0' gives none: ZeroDivisionError: "
            "division by zero",
        ),
        ("--deep n", "Unknown option of %finite: '--deep'. Expected --detail."),
    ],
)
def test_what_is_no_tree_is_told(shell: InteractiveShell, line: str, text: str) -> None:
    with pytest.raises(UsageError) as error:
        finite(shell, line)
    assert str(error.value) == text


def test_names_of_trees_are_completed(shell: InteractiveShell) -> None:
    (magic,) = [
        m
        for m in shell.magics_manager.registry.values()
        if type(m).__name__ == "Finite"
    ]
    words, typed = magic.candidates("%finite par")
    assert (words, typed) == (("params", "--detail"), "par")
    assert magic.candidates("%finite params.") == ((), "")
