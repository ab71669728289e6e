"""The data of the panel's timeline: compilations, calls, and where cells begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from jaxdbg.records import CallTimes, CompileEvent, Report
from jaxdbg.records.costs import lost
from jaxdbg.records.serial import plain
from jaxdbg.views.compiles_table import headline
from jaxdbg.views.panel.columns import column

Json = dict[str, Any]


def timeline_data(
    report: Report | None, events: Sequence[CompileEvent], what: str = ""
) -> Json:
    """The timeline of a region, or of all compilations.

    Arguments:
        report: of the region; None where the events are of no region.
        events: each trace, lowering and compilation.
        what: what they are those of, as it ends a sentence: "since jaxdbg was loaded".
    """
    return {
        "events": [_event(event) for event in events],
        "headline": headline(events, what) if events else "",
        "lost": lost(events)[1],
        "cells": _region(report) if report and report.began else _cells(events),
        "calls": _calls(report.call_times if report else CallTimes()),
    }


def _event(event: CompileEvent) -> Json:
    """An event; control flow outside of jit has the name of what it runs, too."""
    data: Json = plain(event)
    del data["bodies"], data["equations"]
    return {**data, "function": event.title}


def name_of(report: Report) -> str:
    """What a region is called: its cell, where it has one."""
    return f"cell {report.cell}" if report.cell is not None else "region"


def _region(report: Report) -> list[Json]:
    return [_cell(name_of(report), report.began, report.began + report.seconds)]


def _cells(events: Sequence[CompileEvent]) -> list[Json]:
    """The cells that have compiled, each from its first phase to its last."""
    runs = groupby((e for e in events if e.parent < 0), key=lambda e: e.cell)
    found: list[Json] = []
    for number, run in runs:
        phases = list(run)
        ends = max(e.start + e.duration for e in phases)
        name = f"cell {number}" if number is not None else ""
        found.append(_cell(name, phases[0].start, ends))
    return found


def _cell(name: str, start: float, end: float) -> Json:
    return {"name": name, "start": start, "end": end}


def _calls(times: CallTimes) -> Json:
    return {
        "functions": list(times.functions),
        "length": len(times),
        "which": column(times.which),
        "numbers": column(times.numbers),
        "starts": column(times.starts),
        "seconds": column(times.seconds),
        "share": times.share,
    }
