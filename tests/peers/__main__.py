"""`python -m tests.peers`: runs other people's tests in a region, and compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.peers import results, suites
from tests.peers.allowed import not_needed, unexplained
from tests.peers.compare import Difference
from tests.peers.comparison import Comparison, Run, compare
from tests.peers.modes import AGAIN, MODES, PLAIN
from tests.peers.processes import Limits, run
from tests.peers.results import Result
from tests.peers.suites import Module
from tests.peers.table import table


def main() -> int:
    """Runs what is asked for; 1 where something differs that may not."""
    args = _parse()
    modules = [m for m in _modules(args) if args.only in m.name]
    limits = Limits(args.sample, args.seconds)
    runner = _kept(args.results) if args.results else run
    comparison = compare(modules, args.modes.split(","), limits, runner, _say)
    print(table(comparison))
    return int(_judge(comparison, all_ran=not (args.sample or args.only)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.peers", description=__doc__)
    add = parser.add_argument
    add("packages", nargs="*", help=f"of {', '.join(suites.PACKAGES)}; default: all")
    add("--path", type=Path, help="a folder of tests, or one file, instead")
    others = ",".join(mode for mode in MODES if mode not in (PLAIN, AGAIN))
    add("--modes", default="record", help=f"of {others}; default: record")
    add("--sample", type=int, default=0, help="so many tests of each module")
    add("--only", default="", help="modules whose name has this in it")
    add("--seconds", type=float, default=900, help="how long a module may take")
    add("--results", type=Path, help="keep the results here, and use what is here")
    return parser.parse_args()


def _modules(args: argparse.Namespace) -> Iterator[Module]:
    if args.path:
        yield from suites.of_path(args.path)
        return
    for package in args.packages or filter(suites.is_installed, suites.PACKAGES):
        yield from suites.of_package(package)


def _kept(folder: Path) -> Run:
    """A run that is not made again: its results are read from a file."""
    folder.mkdir(parents=True, exist_ok=True)

    def kept(module: Module, mode: str, limits: Limits) -> dict[str, Result]:
        name = f"{module.name.replace('/', '.')}-{mode}-{limits.sample}.jsonl"
        file = folder / name
        if not file.exists():
            found = run(module, mode, limits)
            file.write_text("".join(result.to_line() for result in found.values()))
        return results.read(file)

    return kept


def _say(module: Module, found: Sequence[Difference]) -> None:
    print(f"{module.name}: {len(found)} differences", flush=True)
    for one in unexplained(found):
        name = one.test.rpartition("::")[2]
        print(f"  {one.mode} {one.kind} {name}: {one.text}", flush=True)


def _judge(comparison: Comparison, all_ran: bool) -> bool:
    bad = unexplained(comparison.found)
    stale = not_needed(comparison.found, comparison.ran, all_ran)
    print(f"{len(bad)} differences without a reason")
    for one in comparison.unsteady:
        print(f"differs by itself: {one.test} {one.kind}")
    for entry in stale:
        print(f"not needed any more: {entry}")
    return bool(bad or stale)


if __name__ == "__main__":
    sys.exit(main())
