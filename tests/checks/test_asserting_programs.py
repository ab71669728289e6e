"""What is said of assertions over values that fail, against the truth."""

from __future__ import annotations

import pytest

import jaxdbg
from tests.programs.asserting import PROGRAMS, Program


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_failed_assertion_says_which_leaf_and_where(program: Program) -> None:
    with pytest.raises(jaxdbg.CheckError) as caught, jaxdbg.checked() as region:
        program.run()
    text, finding = str(caught.value), caught.value.finding
    for part in program.says:
        assert part in text
    for part in program.never:
        assert part not in text
    assert (finding.path, finding.index) == (program.path, program.index)
    assert not region.report.notices
