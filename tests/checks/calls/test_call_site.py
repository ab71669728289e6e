"""What the line of a call says of its results and arguments, and that it is true."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
import pytest

import jaxdbg
from tests.programs.calling_lines import PROGRAMS, Program


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_finding_names_what_the_user_does(program: Program) -> None:
    region = jaxdbg.checked(record=True)
    evaluated = []

    def here() -> None:
        if not evaluated:
            frame = sys._getframe(1)
            names = {**frame.f_globals, **frame.f_locals}
            evaluated.extend(
                eval(path, names) for path in program.paths if "..." not in path
            )

    with region:
        program.run(here)
    finding = region.report.findings[0]
    assert finding.paths == program.paths
    named = [path for path in finding.paths if "(...)" not in path]
    assert len(evaluated) == len(named)
    for path, value in zip(named, evaluated, strict=True):
        np.testing.assert_array_equal(plain(value), finding.output(path))


def plain(value: Any) -> Any:
    return value[...] if not isinstance(value, jax.Array) else value
