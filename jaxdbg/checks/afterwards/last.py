"""The bad results of a failing call, on request: `jaxdbg.bad_output()`."""

from __future__ import annotations

from typing import Any

from jaxdbg.checks.afterwards import kept_calls as held
from jaxdbg.checks.region import last_failing_report
from jaxdbg.errors import Failure, UsageError
from jaxdbg.options import did_you_mean
from jaxdbg.records import Finding
from jaxdbg.records.keeper import outputs_not_kept
from jaxdbg.views.tree_text import nbytes

MAX_NAMED = 3
"""How many bad leaves an error names."""


def bad_output(
    path: str | None = None, finding: int | Finding | Failure | None = None
) -> Any:
    """The array that a failing call gave, with its bad elements.

    The results of a failing call are not used, so the user's model holds the last good
    ones. The bad ones are kept beside, until a later checked region calls a jitted
    function: 256 MiB of a region, at most.

        jaxdbg.bad_output("model.conv1.kernel")[0, 0]

    Arguments:
        path: of a bad leaf, as the failure names it; by default the one it names first.
        finding: the number of the finding, from 1, as in `%origin 2`; or the finding,
            or the error raised for it. By default the first finding, of the region that
            failed last, that has such a leaf.

    Returns:
        The array; do not donate it.

    Raises:
        UsageError: there is no such finding, or the leaf was not bad in it.
        RuntimeError: the array is not kept, or not any more.
    """
    if isinstance(finding, Failure):
        finding = finding.finding
    if isinstance(finding, Finding):
        return output(finding, path)
    known = _findings()
    if isinstance(finding, int):
        if not 1 <= finding <= len(known):
            raise UsageError(
                f"There is no finding {finding}. Expected a number from 1 to "
                f"{len(known)}."
            )
        return output(known[finding - 1], path)
    named = [f for f in known if f.paths and path in (None, *f.paths)]
    return output(named[0] if named else known[0], path)


def output(finding: Finding, path: str | None = None) -> Any:
    """What `Finding.output` does; see there."""
    if not finding.paths:
        raise UsageError(
            "This finding names no bad result: "
            f"{finding.message.splitlines()[0] if finding.message else finding.kind}"
        )
    path = finding.path if path is None else path
    if path not in finding.paths:
        raise UsageError(_not_bad(finding, path))
    arrays = held.outputs_of(finding)
    if arrays is None:
        raise outputs_not_kept(finding.function, finding.call)
    if path not in arrays:
        raise RuntimeError(_left_out(finding, path))
    return arrays[path]


def _findings() -> tuple[Finding, ...]:
    report = last_failing_report()
    if report is None or not report.findings:
        raise UsageError(
            "No region has failed yet, so there is no bad result. Run the code under "
            "%%checked, or in `with jaxdbg.checked():`."
        )
    return report.findings


def _not_bad(finding: Finding, path: str) -> str:
    bad = ", ".join(finding.paths[:MAX_NAMED])
    more = len(finding.paths) - MAX_NAMED
    rest = f" and {more} more (`finding.paths`)" if more > 0 else ""
    near = did_you_mean(path, finding.paths[:200])
    return (
        f"{_call(finding)} gave no bad {path!r}.{near} Only bad results are kept, here "
        f"{bad}{rest}."
    )


def _left_out(finding: Finding, path: str) -> str:
    leaf = next((leaf for leaf in finding.outputs if leaf.path == path), None)
    size = f" ({nbytes([leaf])})" if leaf is not None else ""
    return (
        f"{path}{size}, as {_call(finding)} gave it, is not kept: of the bad results "
        f"of a region {held.OUTPUTS >> 20} MiB are, the worst leaf first. What it held "
        "is in `finding.outputs`; `finding.pictures` and the panel show where."
    )


def _call(finding: Finding) -> str:
    return f"call {finding.call} of {finding.function}"
