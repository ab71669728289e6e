"""The files that a report is written to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxdbg.errors import UsageError
from jaxdbg.records import Report

_HELP = {
    "--html": "write the panel with the report to this file, which needs no server",
    "--json": "write the report as JSON, for `jaxdbg show`, `diff` and `merge`",
    "--markdown": "write the report as Markdown, for an issue or the summary of a job",
}

FLAGS = tuple(_HELP)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name files."""
    for flag, text in _HELP.items():
        parser.add_argument(flag, metavar="FILE", help=text)


def of(args: argparse.Namespace) -> Targets:
    """The files that were named on the command line."""
    named = {flag: getattr(args, flag.strip("-")) for flag in FLAGS}
    return Targets({flag: Path(file) for flag, file in named.items() if file})


@dataclass(frozen=True)
class Targets:
    """Files by the option that named them."""

    files: dict[str, Path]

    def check(self) -> None:
        """Finds out before the program runs what would fail after hours.

        Raises:
            UsageError: a file cannot be written where it was asked for.
        """
        for flag, file in self.files.items():
            folder = file.parent
            if file.is_dir():
                why = "it is a folder"
            elif not folder.is_dir():
                why = f"there is no folder {str(folder)!r}"
            elif not os.access(file if file.exists() else folder, os.W_OK):
                why = "permission denied"
            else:
                continue
            raise UsageError(f"Cannot write {flag} {str(file)!r}: {why}.")

    def write(self, report: Report) -> bool:
        """Writes the report; says so where a file cannot be written.

        Returns:
            Whether all files are written.
        """
        are_written = [self._write(flag, report) for flag in self.files]
        return all(are_written)

    def _write(self, flag: str, report: Report) -> bool:
        file = of_this_process(self.files[flag])
        try:
            WRITERS[flag](report, file)
        except OSError as error:
            print(f"jaxdbg: {file} is not written: {error}", file=sys.stderr)
            return False
        return True


def of_this_process(file: Path) -> Path:
    """`run.json`, and `run.process1.json` in the second process of a job."""
    from jaxdbg.jax_internals import processes

    if processes.store() is None:
        return file
    return file.with_suffix(f".process{processes.number()}{file.suffix}")


def _text(text: Callable[[Report], str]) -> Callable[[Report, Path], object]:
    return lambda report, file: file.write_text(text(report), encoding="utf-8")


WRITERS: dict[str, Callable[[Report, Path], object]] = {
    "--html": lambda report, file: report.save(file),
    "--json": _text(Report.to_json),
    "--markdown": _text(Report.to_markdown),
}
