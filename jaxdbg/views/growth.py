"""How the leaves of watched trees grew over the calls, until one went bad.

In words where that says something, and as a small line of characters for each leaf, for
places without a panel.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from jaxdbg.records import Report, TreeHistory
from jaxdbg.records.finding_kinds import kind_of
from jaxdbg.views.words import count

WINDOW = 64
"""How many recorded calls before a failure are searched for growth."""

FACTOR = 10.0
"""A leaf is mentioned if it grew at least by this factor,"""

LARGE = 1e3
"""and is at least as large by then: growth from 0 says nothing."""

MAX_LEAVES = 6
"""How many leaves of a tree have a line."""

_WIDTH = 24
_LEVELS = "▁▂▃▄▅▆▇█"


class _Growth(NamedTuple):
    """A leaf that grew: between which recorded calls, and how large it was then."""

    leaf: int
    since: int
    until: int
    low: float
    high: float


def lines(report: Report) -> list[str]:
    """For a report of a NaN or an Inf: which leaf of each tree grew most before."""
    if not any(kind_of(f.kind).subject == "value" for f in report.findings):
        return []
    return [line for history in report.histories if (line := _line(history))]


def headline(history: TreeHistory) -> str:
    """`model up to call 192 of train_step: model.head.kernel went bad in call 192`."""
    function, last = history.functions[-1], history.calls[-1]
    text = f"{history.name} up to call {last:,} of {function}"
    return f"{text}: {_went_bad(history)}" if history.first_bad >= 0 else text


def _went_bad(history: TreeHistory) -> str:
    """`model.head.kernel went bad in call 192`, of what went bad first."""
    row = next(row for row in history.bad if any(row))
    n = sum(map(bool, row))
    what = history.paths[history.first_bad] if n == 1 else count(n, "leaf")
    return f"{what} went bad in call {history.first_bad_call:,}"


def telling(history: TreeHistory) -> list[int]:
    """The leaves worth a line: first what went bad, then what grew most."""
    ranked = []
    for leaf in range(len(history.paths)):
        bad = (i for i, row in enumerate(history.bad) if row[leaf])
        values = [v for row in history.largest if (v := row[leaf])]
        since = next(bad, len(history.calls))
        if values or since < len(history.calls):
            grown = values[-1] / values[0] if len(values) > 1 else 0.0
            ranked.append((since, -grown, leaf))
    return [leaf for _, _, leaf in sorted(ranked)][:MAX_LEAVES]


def spark(history: TreeHistory, leaf: int) -> str:
    """A leaf's magnitude over the calls, `·▁▁▂▃▅█✗`, on a logarithmic scale.

    A dot is for nothing but zeros, a cross for what is not finite.
    """
    n = len(history.calls)
    ends = [round(i * n / min(n, _WIDTH)) for i in range(min(n, _WIDTH) + 1)]
    spans = list(itertools.pairwise(ends))
    peaks = [max(row[leaf] or 0 for row in history.largest[a:b]) for a, b in spans]
    logs = [math.log10(peak) for peak in peaks if peak]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    return "".join(
        "✗"
        if any(row[leaf] for row in history.bad[a:b])
        else _level(math.log10(peak), low, high)
        if peak
        else "·"
        for (a, b), peak in zip(spans, peaks, strict=True)
    )


def _level(value: float, low: float, high: float) -> str:
    share = (value - low) / (high - low) if high > low else 0.0
    return _LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)]


def _line(history: TreeHistory) -> str:
    grown = _most_grown(history)
    if grown is None:
        return ""
    path = history.paths[grown.leaf]
    since, until = history.calls[grown.since], history.calls[grown.until]
    text = (
        f"{path} grew from {grown.low:.2g} to {grown.high:.2g} over calls {since:,} to "
        f"{until:,} of {history.functions[grown.until]}"
    )
    if history.first_bad < 0:
        return text
    return f"{text}; {_went_bad(history).replace(path, 'it')}"


def _most_grown(history: TreeHistory) -> _Growth | None:
    """The leaf that grew most in the calls before the first bad one."""
    went_bad = (i for i, row in enumerate(history.bad) if any(row))
    until = next(went_bad, len(history.calls)) - 1
    rows = range(max(0, until - WINDOW), until + 1)
    grown = []
    for leaf in range(len(history.paths)):
        values = [(history.largest[i][leaf] or 0.0, i) for i in rows]
        sizes = [(value, -i) for value, i in values if value]
        high = values[-1][0] if values else 0.0
        if not sizes or high < LARGE:
            continue
        low, since = min(sizes)  # of the same the latest
        if high >= FACTOR * low:
            grown.append(_Growth(leaf, -since, until, low, high))
    return max(grown, key=lambda g: g.high / g.low, default=None)
