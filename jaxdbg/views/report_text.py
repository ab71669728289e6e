"""A report as text: one quiet line when all is well, the findings when not."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdbg.records import Report
from jaxdbg.records.costs import Repeat, dearest
from jaxdbg.views import found, growth
from jaxdbg.views.retrace_wording import in_short, what_to_do
from jaxdbg.views.words import KINDS, count, listed, more, seconds, times

MAX_NAMED = 4
"""How many functions the quiet line names."""


def text(report: Report) -> str:
    """The report, without a line break at its end."""
    again = dearest(report.compilations)
    lines = [_headline(report, again)]
    lines += found.lines(report.findings)
    lines += [f"  {line}" for line in growth.lines(report)]
    lines += [_placed(report.placed)] if report.placed else []
    lines += _advice(again) if again and not report.findings else []
    lines += [f"  {remark}" for remark in report.remarks]
    lines += [f"  jaxdbg: {notice}" for notice in report.notices]
    return "\n".join(lines)


def _headline(report: Report, again: Repeat | None) -> str:
    counts = _counts(report, again)
    parts = [_calls(report), *_allowed(report), counts, _seconds(report)]
    return f"{_mark(report)} {' · '.join(part for part in parts if part)}"


def _advice(again: Repeat) -> list[str]:
    function = again.builds[-1].function
    return [f"  → {function}: {advice}" for advice in what_to_do(again)]


def _allowed(report: Report) -> list[str]:
    return [
        f"{count(a.count, f'allowed {KINDS[a.kind]}')} {a.where}"
        for a in report.allowed[:MAX_NAMED]
    ]


def _mark(report: Report) -> str:
    if report.findings:
        return f"✗ {count(len(report.findings), 'finding')},"
    return "!" if report.unchecked else "✓"


def _calls(report: Report) -> str:
    if report.unchecked:
        return f"{_unchecked(report)}: {_reasons(report.unchecked)}"
    eager = f" and {count(report.eager_ops, 'eager op')}" if report.eager_ops else ""
    return f"{count(report.calls, 'call')}{eager} checked"


def _unchecked(report: Report) -> str:
    """`3 of 6 calls were not checked`; empty where all were."""
    left_out, calls = sum(report.unchecked.values()), report.calls + report.eager_ops
    if left_out:
        was = "was" if left_out == 1 else "were"
        return f"{left_out:,} of {count(calls, 'call')} {was} not checked"
    return "not everything was checked" if report.unchecked else ""


def _reasons(unchecked: Mapping[str, int]) -> str:
    """The reasons, the most frequent first; with numbers where there are several."""
    reasons = sorted(unchecked.items(), key=lambda item: -item[1])
    is_counted = len(reasons) > 1
    texts = [f"{why} ({n:,})" if is_counted and n else why for why, n in reasons]
    return listed(texts, MAX_NAMED)


def _counts(report: Report, again: Repeat | None) -> str:
    names = list(dict.fromkeys((*report.traces, *report.compiles)))
    if again is not None and (name := again.builds[-1].head.function) in names:
        names.remove(name)  # the one that ran again for a reason is named
        names = [name, *names]
    counts = [_count(n, report.traces, report.compiles) for n in names[:MAX_NAMED]]
    if again is not None and counts:
        counts[0] += f" ({in_short(again)})"
    left_out = len(names) - MAX_NAMED
    return ", ".join([*counts, *([more(left_out, "function")] if left_out > 0 else [])])


def _count(name: str, traces: Mapping[str, int], compiles: Mapping[str, int]) -> str:
    traced, compiled = traces.get(name, 0), compiles.get(name, 0)
    if traced == compiled:
        return f"{name} traced and compiled {times(traced)}"
    counts = {"traced": traced, "compiled": compiled}
    return f"{name} " + ", ".join(
        f"{what} {times(n)}" for what, n in counts.items() if n
    )


def _seconds(report: Report) -> str:
    checking = report.check_seconds - report.origin_seconds
    parts = [f"{seconds(report.compile_seconds)} compiling"]
    parts += [f"{seconds(checking)} checking"]
    if report.origin_seconds:
        parts.append(f"{seconds(report.origin_seconds)} finding the origin")
    return " · ".join(parts)


def _placed(placed: tuple[str, ...]) -> str:
    paths = listed(placed, MAX_NAMED)
    return f"  NaN or Inf that was placed or came in, no failure: {paths}"
