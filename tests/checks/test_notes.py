"""What is noted on the user's own exceptions, against the truth."""

from __future__ import annotations

import pytest

import jaxdbg
from tests.programs.refused import PROGRAMS, Program


def error_of(program: Program, *, checked: bool) -> Exception:
    with pytest.raises(Exception) as caught:
        if checked:
            with jaxdbg.checked() as region:
                program.run()
        else:
            program.run()
    if checked:
        assert region.report.findings == ()
        assert not region.report.notices
    return caught.value


def ours(error: Exception) -> tuple[str, ...]:
    notes = getattr(error, "__notes__", ())
    return tuple(n.removeprefix("jaxdbg: ") for n in notes if n.startswith("jaxdbg: "))


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_an_error_says_where_it_rose_and_what_to_mark(program: Program) -> None:
    error = error_of(program, checked=True)
    assert ours(error) == program.notes


def test_the_error_is_the_users_own() -> None:
    program = PROGRAMS[0]
    plain, error = (error_of(program, checked=on) for on in (False, True))
    assert (type(error), error.args) == (type(plain), plain.args)
    assert ours(plain) == ()


def test_regions_inside_each_other_note_once() -> None:
    with pytest.raises(AssertionError) as caught, jaxdbg.checked(), jaxdbg.checked():
        PROGRAMS[0].run()
    assert ours(caught.value) == PROGRAMS[0].notes


def test_what_the_program_handles_is_not_noted() -> None:
    with jaxdbg.checked():
        with pytest.raises(AssertionError) as caught:
            PROGRAMS[0].run()
        assert ours(caught.value) == ()
