"""The exceptions a checked region raises, each with its finding."""

from __future__ import annotations

import difflib
import os
import pickle
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from jaxdbg.records import Finding, Report


_F = TypeVar("_F", bound="Failure")


class Failure(Exception):
    """What every failure of a checked region has in common.

    Attributes:
        finding: the `Finding` this error was raised for.
        report: the `Report` of the region up to the failure. While the region is
            still open it is a snapshot; when the region ends it is its last report.
    """

    _made_of: ClassVar[tuple[type[Failure], type[Exception]] | None] = None

    def __init__(self, message: str, finding: Finding, report: Report | None = None):
        super().__init__(message)
        self.finding = finding
        self.report = report

    def __str__(self) -> str:
        # A user's own exception type may be mixed in, and say it in another way.
        return self.finding.message

    def __reduce__(self) -> tuple[Any, ...]:
        # By default it is made anew from its message alone, which is not enough.
        return _again, (*_travelling(type(self)), self.args), self.__dict__


class NonFiniteError(Failure, FloatingPointError):
    """A jitted call returned a NaN or an Inf, which was born or has spread in it."""


class CheckError(Failure, AssertionError):
    """A chex assertion over values, or a `checkify.check` in jitted code, failed."""


class TraceBudgetError(Failure, AssertionError):
    """A function was traced or compiled more often, or longer, than its budget allows.

    The budget is that of a region, or of the function itself (`jaxdbg.max_traces`).
    """


def of_type(failure: type[_F], wanted: type[Exception]) -> type[_F]:
    """A failure that is also of a type that the user has asked for."""
    if issubclass(failure, wanted):
        return failure
    try:
        attributes = {"__doc__": wanted.__doc__, "_made_of": (failure, wanted)}
        both = type(wanted.__name__, (failure, wanted), attributes)
    except TypeError:  # a class that cannot be inherited from
        return failure
    return both


def _travelling(cls: type[Failure]) -> tuple[type[Failure], type[Exception]]:
    """What `of_type` makes the class of, without a type that pickle does not find."""
    failure, wanted = cls._made_of or (cls, cls)
    try:
        pickle.dumps(wanted)
    except Exception:
        return failure, failure
    return failure, wanted


def _again(
    failure: type[Failure], wanted: type[Exception], args: tuple[Any, ...]
) -> Failure:
    cls = of_type(failure, wanted)
    return cls.__new__(cls, *args)


class UsageError(ValueError):
    """A call of jaxdbg that cannot be carried out as written."""


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
    if isinstance(error, KeyboardInterrupt):
        return f"{doing} was interrupted."
    what = f"{doing}; {outcome}" if outcome else doing
    return (
        f"a part of jaxdbg broke while {what} ({cause(error)}). "
        "Please report this; your program was not touched."
    )


def cause(error: BaseException) -> str:
    """What an error says, and where it was raised: `KeyError: 'x', at a.py:3`."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__ raises
        text = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text}, at {frames[-1].filename}:{frames[-1].lineno}" if frames else text


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
