"""A program in a checked region, and what is said of it at the end."""

from __future__ import annotations

import sys
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING

from jaxdbg.command.on_import import when_imported
from jaxdbg.command.program import Program
from jaxdbg.command.saved import whole
from jaxdbg.command.targets import Targets
from jaxdbg.errors import broken, is_own_file
from jaxdbg.options import Options

if TYPE_CHECKING:
    from jaxdbg.checks.region import Region

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ends, as shells have it."""

Status = int | str | None
"""What `sys.exit` takes."""


def run(program: Program, options: Options, targets: Targets) -> Status:
    """Runs a program in a checked region.

    Returns:
        The exit status: the program's own, or 1 where that is 0 and something was
        found; 2 where a report cannot be written.

    Raises:
        UsageError: there is no such program, or no such place for a report; nothing
            has been run then.
    """
    targets.check()
    try:
        main, code = program.load()
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    opened = Opened(options, main)
    status = opened.run(code)
    region = opened.region
    if region is None:
        print("jaxdbg: this program has not imported JAX.", file=sys.stderr)
        return status
    report = region.report
    sys.stdout.flush()
    # Where a finding ended the program, it is printed already.
    print(whole(report) if options.record else report, file=sys.stderr)
    is_written = targets.write(report)
    if status not in (0, None):
        return status
    return 1 if report.findings else 0 if is_written else 2


class Opened:
    """A region that opens when the program has imported JAX.

    Not before: what a program sets in `os.environ` above its `import jax`, such as
    `JAX_ENABLE_X64`, is read during that import.

    Attributes:
        region: the region; None as long as JAX is not imported.
    """

    def __init__(self, options: Options, main: ModuleType):
        self._options = options
        self._main = main
        self.region: Region | None = None

    def run(self, code: CodeType) -> Status:
        """Runs the program to its end, and prints what it raises as Python would."""
        with when_imported("jax", self._open):
            error = self._close(_raised(code, self._main))
        if error is None or isinstance(error, SystemExit):
            return error.code if error else 0
        sys.stdout.flush()
        error.__traceback__ = _below_jaxdbg(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1

    def _open(self) -> None:
        try:
            from jaxdbg.checks.region import Region

            region = Region(namespace=self._main.__dict__, options=self._options)
        except Exception as error:  # of ours, in the middle of the user's import
            why = broken("loading its checks", error, "all calls go unchecked")
            print(f"jaxdbg: {why}", file=sys.stderr)
            return
        self.region = region.__enter__()

    def _close(self, error: BaseException | None) -> BaseException | None:
        """Ends the region; returns what is raised then, or else what was before."""
        if self.region is None:
            return error
        # A program that calls sys.exit has come to its end.
        ended = None if isinstance(error, SystemExit) else error
        try:
            at = ended.__traceback__ if ended else None
            self.region.__exit__(type(ended) if ended else None, ended, at)
        except BaseException as late:
            return late
        return error


def _raised(code: CodeType, main: ModuleType) -> BaseException | None:
    try:
        exec(code, main.__dict__)
    except BaseException as error:
        return error
    return None


def _below_jaxdbg(tb: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that Python would print without jaxdbg."""
    while tb is not None and is_own_file(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb
