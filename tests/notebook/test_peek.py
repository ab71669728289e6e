"""`%peek`, as one types it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from jaxdbg import notebook as magics

CELL = """\
import jax, jax.numpy as jnp
@jax.jit
def double(x, scale=2):
    scaled = x * scale
    return scaled
"""


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell()
    magics.load(shell)
    shell.run_cell(CELL)
    yield shell
    magics.unload(shell)


def test_it_looks_into_the_call_that_one_types(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("p = %peek double(jnp.ones(3), scale=4)").raise_error()
    np.testing.assert_array_equal(shell.user_ns["p"]["scaled"], np.full(3, 4))
    assert "__jaxdbg_peek__" not in shell.user_ns
    capsys.readouterr()
    shell.run_cell("%peek double(jnp.ones(3))").raise_error()
    assert "scaled  float32[3]  2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "%peek looks into a call: `%peek train_step(model, batch)`."),
        ("double", "%peek looks into a call: `%peek train_step(model, batch)`."),
        (
            "doubel(1)",
            "%peek doubel(1): name 'doubel' is not defined. Did you mean 'double'?",
        ),
        (
            "double()",
            "double cannot be traced with these arguments: TypeError: double() missing "
            "1 required positional argument: 'x'",
        ),
    ],
)
def test_what_is_no_call_is_said(shell: InteractiveShell, line: str, text: str) -> None:
    with pytest.raises(UsageError) as error:
        shell.run_line_magic("peek", line)
    assert text in str(error.value)


def test_functions_are_completed(shell: InteractiveShell) -> None:
    peeks = shell.magics_manager.registry["Peeks"]
    names, fragment = peeks.candidates("p = %peek dou")
    assert fragment == "dou"
    assert "double" in names
    assert not {"jnp", "In", "p"} & set(names)
    assert peeks.candidates("%peek double(x") == ((), "")
