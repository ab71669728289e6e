"""The region that ended last: its report, `jaxdbg.origin()`, `jaxdbg.bad_output()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxdbg.checks.afterwards import kept_calls
from jaxdbg.checks.afterwards.rewind import Rewound, rewind
from jaxdbg.errors import Failure, UsageError, did_you_mean
from jaxdbg.records import Finding, Origin, Report
from jaxdbg.records.finding_kinds import kind_of
from jaxdbg.records.keeper import outputs_not_kept
from jaxdbg.views import words

MAX_NAMED = 3
"""How many bad leaves an error names."""

_last: Report | None = None
_last_failing: Report | None = None


def remember(report: Report) -> Report:
    """A region has ended with this report."""
    global _last, _last_failing
    _last = report
    _last_failing = report if report.findings else _last_failing
    return report


def last_report() -> Report | None:
    """The report of the region that ended last, or None."""
    return _last


def findings() -> tuple[Finding, ...]:
    """The findings of the region that failed last."""
    return _last_failing.findings if _last_failing is not None else ()


# -- asking ----------------------------------------------------------------------------


def origin(finding: Finding | Failure | None = None) -> Origin:
    """Where a bad value was born, and the way it took.

    Prints as the whole story, and shows itself in a notebook.

    Arguments:
        finding: a `Finding`, or the error that was raised for one; by default the
            first finding, of the region that failed last, that has an origin.

    Raises:
        UsageError: there is no such finding, or it is not about a value.
        TypeError: it is neither.
    """
    if not isinstance(finding, Finding | Failure | None):
        raise TypeError(
            "jaxdbg.origin() takes a Finding, the error raised for one, or nothing for "
            f"the last one; it was given {type(finding).__name__}."
        )
    found = meant(finding, lambda known: known.origin is not None)
    if found.origin is None:
        raise UsageError(_without(found))
    return found.origin


def bad_output(
    path: str | None = None, finding: int | Finding | Failure | None = None
) -> Any:
    """The array that a failing call gave, with its bad elements.

    The results of a failing call are not used, so the user's model holds the last good
    ones. The bad ones are kept beside, until a later checked region calls a jitted
    function: 256 MB of a region, at most.

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
    found = meant(finding, lambda known: known.paths and path in (None, *known.paths))
    return output(found, path)


def output(finding: Finding, path: str | None = None) -> Any:
    """What `Finding.output` does; see there."""
    if not finding.paths:
        raise UsageError(
            f"This finding names no bad result: {finding.headline or finding.kind}"
        )
    path = finding.path if path is None else path
    if path not in finding.paths:
        raise UsageError(_not_bad(finding, path))
    arrays = kept_calls.outputs_of(finding)
    if arrays is None:
        raise outputs_not_kept(finding.function, finding.call)
    if path not in arrays:
        raise RuntimeError(_left_out(finding, path))
    return arrays[path]


def rewind_last(namespace: Mapping[str, object]) -> Rewound:
    """`Region.rewind` for the region that failed last.

    Arguments:
        namespace: where the user's names are.

    Raises:
        RuntimeError: nothing has failed, or what was kept is dropped.
    """
    return rewind([call for _, call in kept_calls.latest()], [namespace])


def meant(
    which: int | str | Finding | Failure | None,
    fits: Callable[[Finding], object] = lambda _: True,
) -> Finding:
    """The finding that a user means, of the region that failed last.

    Arguments:
        which: the finding, the error that was raised for it, its number from 1, or the
            path of a leaf that is bad in it; None for the first one that fits, or else
            the first of all.
        fits: whether a finding is about what the user asks for.

    Raises:
        UsageError: there is none.
    """
    if isinstance(which, Failure):
        return which.finding
    if isinstance(which, Finding):
        return which
    known = findings()
    if not known:
        raise UsageError(
            "No region has failed yet, so there is no finding. Run the code under "
            "%%checked, or in `with jaxdbg.checked():`."
        )
    if which is None:
        return next(filter(fits, known), known[0])
    number = int(which) if str(which).isdigit() else 0
    named = [f for f in known if which in (f.path, *f.paths)]
    if 1 <= number <= len(known):
        return known[number - 1]
    if named:
        return named[0]
    paths = ", ".join(dict.fromkeys(f.path for f in known if f.path))
    raise UsageError(
        f"There is no finding {which!r}. Expected a number from 1 to {len(known)}"
        + (f", or one of: {paths}." if paths else ".")
    )


def _not_bad(finding: Finding, path: str) -> str:
    bad = words.listed(finding.paths, MAX_NAMED)
    rest = " (`finding.paths`)" if len(finding.paths) > MAX_NAMED else ""
    near = did_you_mean(path, finding.paths[:200])
    return (
        f"{_call(finding)} gave no bad {path!r}.{near} Only bad results are kept, here "
        f"{bad}{rest}."
    )


def _left_out(finding: Finding, path: str) -> str:
    leaf = next((leaf for leaf in finding.outputs if leaf.path == path), None)
    size = f" ({words.size(leaf.nbytes)})" if leaf is not None else ""
    return (
        f"{path}{size}, as {_call(finding)} gave it, is not kept: of the bad results "
        f"of a region {words.size(kept_calls.OUTPUTS)} are, the worst leaf first. What "
        "it held is in `finding.outputs`; `finding.pictures` and the panel show where."
    )


def _call(finding: Finding) -> str:
    return f"call {finding.call} of {finding.function}"


def _without(finding: Finding) -> str:
    about, first = kind_of(finding.kind).about, finding.headline
    return f"This finding has no origin, it is about {about}: {first}"
