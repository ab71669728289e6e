"""Compilations in the trace event format of Chrome, which Perfetto opens.

A track for each thread, with the phases as slices, nested as they ran, and one more
for the cells. Of a checked region, a track for the calls of each function too, and a
mark for each finding.
The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from jaxdbg.records import CompileEvent, Report
from jaxdbg.views.words import short_place

PROCESS = 1
"""The number of the one process there is."""

CELLS = 2
"""The number of the track on which the cells are.

Perfetto takes 0 and the number of the process for one: the main thread.
"""

CALLS = 1000
"""The number of the track of the calls of the first function."""

THREADS = 10
"""The number of the track of the first thread."""

Event = dict[str, Any]


def trace(events: Sequence[CompileEvent], report: Report | None = None) -> Event:
    """The trace as JSON, in microseconds since the first event, or the region."""
    region = [report.began] if report is not None and report.began else []
    zero = min([*region, *(e.start for e in events)], default=0.0)
    threads = list(dict.fromkeys(e.thread for e in events))
    trace_events = [
        _named("process_name", "jaxdbg: compilations", PROCESS),
        *(_named("thread_name", name, i) for i, name in enumerate(threads, THREADS)),
        *(
            _slice(e, zero, threads.index(e.thread) + THREADS, i)
            for i, e in enumerate(events)
        ),
    ]
    cells = list(_cells(events, zero))
    if cells:
        trace_events += [_named("thread_name", "cells", CELLS), *cells]
    if report is not None and report.began:
        trace_events += [*_calls(report, zero), *_findings(report, zero)]
    return {"traceEvents": trace_events, "displayTimeUnit": "ms"}


def _named(what: str, name: str, track: int) -> Event:
    return {
        "ph": "M",
        "name": what,
        "pid": PROCESS,
        "tid": track,
        "args": {"name": name},
    }


def _slice(event: CompileEvent, zero: float, track: int, number: int) -> Event:
    return {
        "ph": "X",
        "name": f"{event.phase} {event.title}",
        "cat": event.phase,
        "pid": PROCESS,
        "tid": track,
        **_span(event.start - zero, event.start + event.duration - zero),
        "args": {"event": number, **_args(event)},
    }


def _args(event: CompileEvent) -> Event:
    reason = event.reason
    args: Event = {
        "function": event.function,
        "defined": event.defined,
        "from": short_place(event.source),
        "code": event.source.code if event.source else "",
        "self time": f"{event.self_time:.6f} s",
        "persistent cache": event.cache if event.phase == "compile" else "",
        "failed": "yes" if event.failed else "",
        **{f"argument {k}": v for k, v in event.signature.items()},
    }
    if reason is not None:
        args |= {
            "cause": reason.cause,
            "changed": reason.where,
            "before": reason.before,
            "after": reason.after,
            "also": "; ".join(reason.others),
            "note": reason.note,
            "advice": reason.advice,
            "avoidable": {True: "yes", False: "no", None: "not known"}[
                reason.avoidable
            ],
        }
    return {k: v for k, v in args.items() if v}


def _cells(events: Sequence[CompileEvent], zero: float) -> Iterator[Event]:
    """From the first to the last compilation of each cell, as far as is known."""
    spans: dict[int, tuple[float, float]] = {}
    for event in events:
        if event.cell is not None:
            begin, end = spans.get(event.cell, (event.start, event.start))
            end = max(end, event.start + event.duration)
            spans[event.cell] = min(begin, event.start), end
    begins = sorted(begin for begin, _ in spans.values())
    for cell, (begin, end) in spans.items():
        # A thread can outlive its cell; slices of a track must not overlap.
        end = min([end, *(b for b in begins if b > begin)])
        yield {
            "ph": "X",
            "name": f"cell {cell}",
            "cat": "cell",
            "pid": PROCESS,
            "tid": CELLS,
            **_span(begin - zero, end - zero),
        }


def _calls(report: Report, zero: float) -> Iterator[Event]:
    times = report.call_times
    for track, function in enumerate(times.functions):
        calls = [i for i, which in enumerate(times.which) if which == track]
        yield _named("thread_name", f"calls of {function}", CALLS + track)
        ends = [*(times.starts[i] for i in calls[1:]), math.inf]
        for i, end in zip(calls, ends, strict=True):
            # Calls of several threads may overlap, and slices of a track must not.
            end = min(end, times.starts[i] + times.seconds[i])
            began = report.began - zero
            yield {
                "ph": "X",
                "name": f"{function} call {times.numbers[i]}",
                "cat": "call",
                "pid": PROCESS,
                "tid": CALLS + track,
                **_span(began + times.starts[i], began + end),
            }


def _findings(report: Report, zero: float) -> Iterator[Event]:
    """A mark over all tracks where a failing call has ended, or was found out."""
    times = report.call_times
    ended = {
        (times.functions[which], number): report.began + start + seconds
        for which, number, start, seconds in zip(
            times.which, times.numbers, times.starts, times.seconds, strict=True
        )
    }
    for finding in report.findings:
        at = ended.get((finding.function, finding.call), finding.time)
        if at:
            yield {
                "ph": "i",
                "s": "g",
                "name": finding.headline,
                "cat": "finding",
                "pid": PROCESS,
                "tid": CELLS,
                "ts": _span(at - zero, at - zero)["ts"],
            }


def _span(begin: float, end: float) -> Event:
    """In whole nanoseconds, so that no slice ends after the next has begun."""
    first, last = round(begin * 1e9), round(end * 1e9)
    return {"ts": first / 1000, "dur": (last - first) / 1000}
