"""The exceptions a checked region raises, each with the finding it stands for."""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxdbg.records import Finding, Report


class Failure(Exception):
    """What every failure of a checked region has in common.

    Attributes:
        finding: the `Finding` this error was raised for.
        report: the `Report` of the region up to the failure. While the region is
            still open it is a snapshot; when the region ends it is its last report.
    """

    def __init__(self, message: str, finding: Finding, report: Report | None = None):
        super().__init__(message)
        self.finding = finding
        self.report = report

    def __str__(self) -> str:
        # A user's own exception type may be mixed in, and say it in another way.
        return self.finding.message


class NonFiniteError(Failure, FloatingPointError):
    """A NaN or an Inf left a jitted call whose inputs were good."""


class CheckError(Failure, AssertionError):
    """A chex value assertion, or a `checkify.check`, failed inside jitted code."""


class TraceBudgetError(Failure, AssertionError):
    """A function was traced or compiled more often than the region allows."""


class UsageError(ValueError):
    """An option that jaxdbg does not know, or with a value it cannot take."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


class NotOffered(Exception):
    """An installed library lacks a name that jaxdbg needs; says what is lost."""


def broken(doing: str, error: BaseException, outcome: str = "") -> str:
    """The notice that a part of jaxdbg broke.

    Arguments:
        doing: what it was doing: "watching trees".
        error: what it raised.
        outcome: what that means for the user.
    """
    if isinstance(error, NotOffered):
        return f"{error}."
    where = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{doing}; {outcome}" if outcome else doing
    return (
        f"a part of jaxdbg broke while {what} "
        f"({type(error).__name__}: {error}, at {where.filename}:{where.lineno}). "
        "Please report this; your program was not touched."
    )


def is_of_ours(error: BaseException) -> bool:
    """Whether a line of jaxdbg itself has raised an error, and not what it called."""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return tb is not None and is_own_file(tb.tb_frame.f_code.co_filename)


def is_own_file(file: str) -> bool:
    """Whether a source file is one of jaxdbg."""
    return file.startswith(_OWN)


_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep

for _cls in (NonFiniteError, CheckError, TraceBudgetError, UsageError):
    _cls.__module__ = "jaxdbg"  # the name a user reads, and the one to import
