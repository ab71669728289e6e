"""The commands of `jaxdbg`, and what each is given."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from jaxdbg.command import saved, targets
from jaxdbg.command.parser import Parser
from jaxdbg.command.program import Module, Program, Script
from jaxdbg.command.region import run
from jaxdbg.errors import UsageError, did_you_mean
from jaxdbg.options import OPTIONS, Options, add_options, joined, typed

USAGE = """\
jaxdbg [run] [options] script.py [arguments]
       jaxdbg [run] [options] -m package.module [arguments]
       jaxdbg show | diff | merge | doctor | version"""

ABOUT = """\
Runs a Python program and checks what JAX computes in it. The program is not changed.
Its output and its exit status are its own, but the status is 1 when something is found.
What is found is printed to stderr.
"""

EPILOG = """\
other commands:
  show FILE [--html FILE]   print a saved report, or saved compilations
  diff OLD NEW              what is compiled differently; exit status 1 if anything is
  merge FILE...             the reports of a job's processes as one text; exit status 1
                            if one of them has a finding
  doctor                    what the installed JAX offers, and what is lost without it
  version                   the version of jaxdbg

`python -m jaxdbg` does the same where the command `jaxdbg` is not found.
"""


def main(arguments: Sequence[str] | None = None) -> int | str | None:
    """Carries out a command line.

    Arguments:
        arguments: the words after `jaxdbg`; those of this process by default.

    Returns:
        What to give to `sys.exit`: 0, 1 at a finding, 2 where the command line cannot
        be carried out, or what the program has given to it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = COMMANDS.get(words[0]) if words else None
    try:
        return command(words[1:]) if command else _run(words)
    except UsageError as error:
        print(f"jaxdbg: {error}", file=sys.stderr)
        return 2


def _run(words: list[str]) -> int | str | None:
    parser = run_parser()
    if not words:
        parser.print_help(sys.stderr)
        return 2
    args, strays = parser.parse_known_args(joined(words))
    if strays:
        word = strays[0].partition("=")[0]
        known = [*(o.flag for o in OPTIONS), *targets.FLAGS, "-m", "--help"]
        raise UsageError(
            f"Unknown option {word!r}.{did_you_mean(word, known)} Options of the "
            "program itself go after its name; `jaxdbg --help` lists those of jaxdbg."
        )
    return run(_program(args), Options(**typed(vars(args))), targets.of(args))


def run_parser() -> argparse.ArgumentParser:
    """The options of `jaxdbg run`: those of a region, and where reports are written."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        "jaxdbg",
        usage=USAGE,
        description=ABOUT,
        epilog=EPILOG,
        formatter_class=raw,
        allow_abbrev=False,
    )
    add_options(parser)
    targets.add_to(parser)
    rest = argparse.REMAINDER
    module = "run a module, as `python -m` does; its arguments follow"
    parser.add_argument("-m", dest="module", nargs=rest, metavar="MODULE", help=module)
    parser.add_argument("script", nargs=rest, help="the program, and its arguments")
    return parser


def _program(args: argparse.Namespace) -> Program:
    if args.module:
        return Module(args.module[0], args.module[1:])
    if args.script:
        return Script(args.script[0], args.script[1:])
    raise UsageError(
        "No program to run. Expected `jaxdbg [options] script.py [arguments]` or "
        "`jaxdbg [options] -m package.module [arguments]`."
    )


def _doctor(words: list[str]) -> int:
    from jaxdbg.checks.doctor import doctor

    _no_arguments("doctor", words)
    print(doctor())
    return 0


def _version(words: list[str]) -> int:
    _no_arguments("version", words)
    print(f"jaxdbg {metadata.version('jaxdbg')}")
    return 0


def _no_arguments(command: str, words: list[str]) -> None:
    if words:
        raise UsageError(f"`jaxdbg {command}` takes no arguments, not {words[0]!r}.")


COMMANDS: dict[str, Callable[[list[str]], int | str | None]] = {
    "run": _run,
    "show": saved.show,
    "diff": saved.diff,
    "merge": saved.merge,
    "doctor": _doctor,
    "version": _version,
}
"""The commands by name; a first word that is none of them is the program to run."""
