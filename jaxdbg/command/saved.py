"""What `jaxdbg show`, `diff` and `merge` do with reports that were saved."""

from __future__ import annotations

import json
from pathlib import Path

from jaxdbg.command.parser import Parser
from jaxdbg.errors import UsageError
from jaxdbg.records import Compilations, Report


def show(words: list[str]) -> int:
    """Prints a saved report or saved compilations; 0."""
    parser = _parser("show", "Prints a saved report, or saved compilations.")
    parser.add_argument("file")
    parser.add_argument("--html", metavar="FILE", help="write the panel to this file")
    args = parser.parse_args(words)
    record = read(args.file)
    if args.html:
        if not isinstance(record, Report):
            raise UsageError(
                f"{args.file!r} has compilations only. Expected a report for --html."
            )
        print(record.save(args.html))
    else:
        print(whole(record) if isinstance(record, Report) else record)
    return 0


def whole(report: Report) -> str:
    """A report with what it found in full."""
    return "\n\n".join([str(report), *(f.message for f in report.findings)])


def diff(words: list[str]) -> int:
    """Prints what two runs have compiled differently; 1 if anything."""
    parser = _parser("diff", "Compares the compilations of two saved runs.")
    parser.add_argument("old")
    parser.add_argument("new")
    args = parser.parse_args(words)
    difference = read(args.new).diff(read(args.old))
    print(difference)
    return 1 if difference.changes else 0


def merge(words: list[str]) -> int:
    """Prints the reports of several processes as one text; 1 if one has a finding."""
    parser = _parser("merge", "Prints the reports of a job's processes as one text.")
    parser.add_argument("files", nargs="+", metavar="FILE")
    reports = {name: read(name) for name in parser.parse_args(words).files}
    for name, report in reports.items():
        if not isinstance(report, Report):
            raise UsageError(f"{name!r} has compilations only. Expected a report.")
    found: dict[str, list[str]] = {}
    for name, report in reports.items():
        assert isinstance(report, Report)
        print(f"{Path(name).stem}: {report}")
        for finding in report.findings:
            found.setdefault(finding.message, []).append(Path(name).stem)
    for message, names in found.items():
        print(f"\n{', '.join(names)}:\n{message}")
    return 1 if found else 0


def read(name: str) -> Report | Compilations:
    """A record that was saved as JSON.

    Raises:
        UsageError: there is no such file, or it has no record of jaxdbg.
    """
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"Cannot read {name!r}: {why}.") from None
    try:
        is_report = "jaxdbg_report" in json.loads(text)
        return Report.from_json(text) if is_report else Compilations.from_json(text)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{name!r} is no report of jaxdbg ({error}). Expected a file that "
            "`jaxdbg --json`, Report.to_json() or `%compiles --save` has written."
        ) from None


def _parser(command: str, what: str) -> Parser:
    return Parser(f"jaxdbg {command}", description=what, allow_abbrev=False)
