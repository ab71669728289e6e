"""Who keeps the arrays of failing calls, for the methods of a `Finding` that need them.

A record is plain data. What a failing call was given, and what it returned, is kept by
the process that ran it, which registers its keeper here. Where none is registered, as
on a machine that only reads a saved report, nothing is kept.
"""

from __future__ import annotations

import os
from typing import Any, Protocol, TypeVar

_F = TypeVar("_F", contravariant=True)


class Keeper(Protocol[_F]):
    """Keeps the arrays of failing calls, as long as its own rules say.

    It is generic over the finding, whose class is above this module.
    """

    def output(self, finding: _F, path: str | None) -> Any:
        """The bad array at a path; see `Finding.output`."""

    def repro(self, finding: _F, path: str | os.PathLike[str], overwrite: bool) -> Any:
        """Writes a folder that shows the failure; see `Finding.repro`."""


class _NothingKept:
    """The keeper of a process that has run no call."""

    def output(self, finding: Any, path: str | None) -> Any:
        raise outputs_not_kept(finding.function, finding.call)

    def repro(self, finding: Any, path: str | os.PathLike[str], overwrite: bool) -> Any:
        raise inputs_not_kept()


_keeper: Keeper[Any] = _NothingKept()


def register(keeper: Keeper[Any]) -> None:
    """Makes a keeper the one that findings ask."""
    global _keeper
    _keeper = keeper


def keeper() -> Keeper[Any]:
    """The registered keeper; where there is none, one that has nothing."""
    return _keeper


def outputs_not_kept(function: str, call: int) -> RuntimeError:
    """The error where the bad results of a call are not kept."""
    return RuntimeError(
        f"What call {call} of {function} gave is not kept (any more): "
        "it is kept of the region that failed last, until a later checked region calls "
        "a jitted function, and never in a file. Run the failing code again in a "
        "checked region, and look before you go on. What it held is in "
        "`finding.outputs`."
    )


def inputs_not_kept() -> RuntimeError:
    """The error where the arguments of a failing call are not kept."""
    return RuntimeError(
        "What the failing call was given is not kept, or not any more: it is kept "
        "for the first failing calls of the region that failed last, until a later "
        "checked region calls a jitted function; never in a file, and not for "
        "functions that were compiled ahead of time. Run the failing code again in "
        "a checked region, then call repro at once."
    )
