"""What a run of tests has compiled and found, at its end and in files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaxdbg.records import Report
from jaxdbg.views.words import count, seconds

PROPERTY = "jaxdbg"
"""The name under which a test's row travels with pytest's report of the test."""

MAX_ROWS = 10
"""How many tests the table at the end has; the file has all."""

COLUMNS = ("compiling", "traces", "compiles", "again", "findings", "test")


def row(report: Report) -> dict[str, Any]:
    """A test as a row: plain values, since it may come from another process."""
    return {
        "seconds": report.compile_seconds,
        "traces": sum(report.traces.values()),
        "compiles": sum(report.compiles.values()),
        "again": list(report.retraces),
        "findings": [finding.headline for finding in report.findings],
        "unchecked": list(report.unchecked),
        "notices": list(report.notices),
    }


def write_if_failed(item: pytest.Item, report: Report) -> None:
    """Writes the page and the JSON of a test with findings, where a folder is given."""
    folder = item.config.getoption("--jaxdbg-report")
    if not folder or not report.findings:
        return
    name = re.sub(r"[^\w.-]+", "_", item.nodeid)
    page = report.save(_folder(folder) / f"{name}.html")
    page.with_suffix(".json").write_text(report.to_json(), encoding="utf-8")
    item.add_report_section("call", "jaxdbg", f"the panel of this failure: {page}")


class Summary:
    """Collects the rows of all tests, those of xdist's workers too."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._rows: list[tuple[str, dict[str, Any]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes the row of a test, once."""
        if report.when != "call":
            return
        rows = [value for name, value in report.user_properties if name == PROPERTY]
        self._rows += [(report.nodeid, row) for row in rows if isinstance(row, dict)]

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Prints the dearest tests, and writes all of them where a folder is given."""
        if not self._rows:
            return
        rows = sorted(self._rows, key=lambda named: -named[1]["seconds"])
        terminalreporter.section("jaxdbg")
        for line in self._lines(rows):
            terminalreporter.write_line(line)
        markdown = "\n".join(_markdown(rows))
        if folder := self._config.getoption("--jaxdbg-report"):
            (_folder(folder) / "summary.md").write_text(markdown, encoding="utf-8")
        if file := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(file).open("a", encoding="utf-8") as out:
                out.write(markdown)

    def _lines(self, rows: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
        yield _headline(rows)
        shown = [cells(name, row) for name, row in rows[:MAX_ROWS]]
        widths = [max(map(len, column)) for column in zip(COLUMNS, *shown, strict=True)]
        for line in (COLUMNS, *shown):
            *numbers, test = line
            aligned = (f"{cell:>{w}}" for cell, w in zip(numbers, widths, strict=False))
            yield "  ".join((*aligned, test))
        for name, row in rows:
            for text in (*row["unchecked"], *row["notices"]):
                yield f"! {name}: {text}"


def cells(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    """A row as text, by `COLUMNS`."""
    numbers = (row["traces"], row["compiles"], len(row["again"]), len(row["findings"]))
    return (seconds(row["seconds"]), *map(str, numbers), name)


def _headline(rows: list[tuple[str, dict[str, Any]]]) -> str:
    spent = seconds(sum(row["seconds"] for _, row in rows))
    compiles = count(sum(row["compiles"] for _, row in rows), "compilation")
    findings = count(sum(len(row["findings"]) for _, row in rows), "finding")
    return f"{count(len(rows), 'test')} checked · {compiles}, {spent} · {findings}"


def _markdown(rows: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    yield f"### jaxdbg: {_headline(rows)}\n"
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| ---: | ---: | ---: | ---: | ---: | --- |"
    for name, row in rows:
        *numbers, test = cells(name, row)
        yield f"| {' | '.join(numbers)} | `{test}` |"
    yield from ("", *(f"- `{n}`: {f}" for n, row in rows for f in row["findings"]), "")


def _folder(name: str) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
