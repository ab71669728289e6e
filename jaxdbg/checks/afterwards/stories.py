"""The story of a finding, on request: what `jaxdbg.origin()` and `%origin` answer."""

from __future__ import annotations

from jaxdbg.checks.region import last_failing_report
from jaxdbg.errors import Failure, UsageError
from jaxdbg.records import Finding, Origin


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
    if isinstance(finding, Failure):
        finding = finding.finding
    if finding is None:
        return _latest()
    if not isinstance(finding, Finding):
        raise TypeError(
            "jaxdbg.origin() takes a Finding, the error raised for one, or nothing for "
            f"the last one; it was given {type(finding).__name__}."
        )
    if finding.origin is None:
        raise UsageError(_without(finding))
    return finding.origin


def findings() -> tuple[Finding, ...]:
    """The findings of the region that failed last."""
    report = last_failing_report()
    return report.findings if report is not None else ()


def select(typed: str) -> Finding:
    """The finding that a user means by its number, from 1, or by a path.

    Raises:
        UsageError: none of them fits.
    """
    known = findings()
    if not known:
        raise UsageError(_NOTHING)
    if typed.isdigit() and 1 <= int(typed) <= len(known):
        return known[int(typed) - 1]
    named = [f for f in known if typed in (f.path, *f.paths)]
    if named:
        return named[0]
    paths = ", ".join(dict.fromkeys(f.path for f in known if f.path))
    raise UsageError(
        f"There is no finding {typed!r}. Expected a number from 1 to {len(known)}"
        + (f", or one of: {paths}." if paths else ".")
    )


_NOTHING = (
    "No region has failed yet, so there is no origin to tell. Run the code under "
    "%%checked, or in `with jaxdbg.checked():`."
)


def _latest() -> Origin:
    known = findings()
    if not known:
        raise UsageError(_NOTHING)
    for finding in known:
        if finding.origin is not None:
            return finding.origin
    raise UsageError(_without(known[0]))


def _without(finding: Finding) -> str:
    about, first = _ABOUT.get(finding.kind, "a check"), finding.message.splitlines()[0]
    return f"This finding has no origin, it is about {about}: {first}"


_ABOUT = {
    "traces": "tracing",
    "compiles": "compiling",
    "index": "an index",
    "div": "a division of integers",
}
