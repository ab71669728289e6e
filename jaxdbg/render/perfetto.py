"""Compilations in the trace event format of Chrome, which Perfetto opens.

A track for each thread, with the phases as slices, nested as they ran, and one more
for the cells.
The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from jaxdbg.records import CompileEvent
from jaxdbg.render.compiles import place

PROCESS = 1
"""The number of the one process there is."""

CELLS = 2
"""The number of the track on which the cells are.

Perfetto takes 0 and the number of the process for one: the main thread.
"""

THREADS = 10
"""The number of the track of the first thread."""

Event = dict[str, Any]


def render(events: Sequence[CompileEvent]) -> str:
    """The trace as JSON text. Times are microseconds since the first event began."""
    zero = min((e.start for e in events), default=0.0)
    threads = list(dict.fromkeys(e.thread for e in events))
    told = [
        _named("process_name", "jaxdbg: compilations", PROCESS),
        *(_named("thread_name", name, i) for i, name in enumerate(threads, THREADS)),
        *(
            _slice(e, zero, threads.index(e.thread) + THREADS, i)
            for i, e in enumerate(events)
        ),
    ]
    cells = list(_cells(events, zero))
    if cells:
        told += [_named("thread_name", "cells", CELLS), *cells]
    return json.dumps({"traceEvents": told, "displayTimeUnit": "ms"})


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
        "name": f"{event.phase} {event.function}",
        "cat": event.phase,
        "pid": PROCESS,
        "tid": track,
        **_span(event.start - zero, event.start + event.duration - zero),
        "args": {"event": number, **_args(event)},
    }


def _args(event: CompileEvent) -> Event:
    reason = event.reason
    told: Event = {
        "function": event.function,
        "defined": event.defined,
        "from": place(event.source),
        "code": event.source.code if event.source else "",
        "self time": f"{event.self_time:.6f} s",
        "persistent cache": event.cache if event.phase == "compile" else "",
        "failed": "yes" if event.failed else "",
        **{f"argument {k}": v for k, v in event.signature.items()},
    }
    if reason is not None:
        told |= {
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
    return {k: v for k, v in told.items() if v}


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


def _span(begin: float, end: float) -> Event:
    """In whole nanoseconds, so that no slice ends after the next has begun."""
    first, last = round(begin * 1e9), round(end * 1e9)
    return {"ts": first / 1000, "dur": (last - first) / 1000}
