"""Findings in two lines each: what is wrong, and where it was born and why."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import Finding
from jaxdbg.views.origin_wording import birth, cause as cause_of
from jaxdbg.views.words import count


def lines(findings: Sequence[Finding]) -> list[str]:
    """The lines; findings of one line of code are said once."""
    return [line for group in _alike(findings) for line in _lines(group)]


def _alike(findings: Sequence[Finding]) -> list[list[Finding]]:
    """The findings, those of one function that were born in one line together."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        origin = finding.origin
        born = origin.source if origin else None
        alike = (finding.kind, finding.function, born) if born else id(finding)
        groups.setdefault(alike, []).append(finding)
    return list(groups.values())


def _lines(alike: Sequence[Finding]) -> list[str]:
    """A finding, where it was born and why; of those like it only how many."""
    first, others = alike[0], len(alike) - 1
    again = f", and {count(others, 'more finding')} of this line" if others else ""
    lines = [f"  {first.headline}{again}"]
    if first.origin is not None:
        cause = cause_of(first.origin)
        lines += [f"    {' · '.join(filter(None, (birth(first.origin), cause)))}"]
    return lines
