"""A report as text: one quiet line when all is well, the findings when not."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdbg.records import Report
from jaxdbg.views import growth

MAX_NAMED = 4
"""How many functions the quiet line names."""


def render(report: Report) -> str:
    """The report as text, without a line break at its end."""
    lines = [_headline(report)]
    lines += [f"  {_first_line(f.message)}" for f in report.findings]
    lines += [f"  {line}" for line in growth.lines(report)]
    lines += [_placed(report.placed)] if report.placed else []
    lines += [f"  {remark}" for remark in report.remarks]
    lines += [f"  jaxdbg: {n}" for n in report.notices]
    return "\n".join(lines)


def _headline(report: Report) -> str:
    parts = [_calls(report), _counts(report), _seconds(report)]
    found = len(report.findings)
    mark = "✓" if not found else f"✗ {_some(found, 'finding')},"
    return f"{mark} {' · '.join(p for p in parts if p)}"


def _calls(report: Report) -> str:
    eager = f" and {_some(report.eager_ops, 'eager op')}" if report.eager_ops else ""
    return f"{_some(report.calls, 'call')}{eager} checked"


def _some(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _counts(report: Report) -> str:
    names = list(dict.fromkeys((*report.traces, *report.compiles)))
    shown = [_count(n, report.traces, report.compiles) for n in names[:MAX_NAMED]]
    rest = len(names) - MAX_NAMED
    more = [f"{rest} more functions"] if rest > 0 else []
    return ", ".join(shown + more)


def _count(name: str, traces: Mapping[str, int], compiles: Mapping[str, int]) -> str:
    traced, compiled = traces.get(name, 0), compiles.get(name, 0)
    if traced == compiled:
        return f"{name} traced and compiled {_times(traced)}"
    return f"{name} traced {_times(traced)}, compiled {_times(compiled)}"


def _times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def _seconds(report: Report) -> str:
    checking = report.check_seconds - report.origin_seconds
    parts = [f"{report.compile_seconds:.2f} s compiling", f"{checking:.2f} s checking"]
    if report.origin_seconds:
        parts.append(f"{report.origin_seconds:.2f} s finding the origin")
    return " · ".join(parts)


def _placed(placed: tuple[str, ...]) -> str:
    shown = ", ".join(placed[:MAX_NAMED])
    more = f" and {len(placed) - MAX_NAMED} more" if len(placed) > MAX_NAMED else ""
    return f"  NaN or Inf that was placed or came in, no failure: {shown}{more}"


def _first_line(message: str) -> str:
    return message.partition("\n")[0]
