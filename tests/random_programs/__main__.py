"""`python -m tests.random_programs --examples 2000`: prints what differs."""

from __future__ import annotations

import argparse
import collections
import sys
import warnings

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.random_programs.comparison import MODES, differences
from tests.random_programs.programs import Program, programs


def main() -> int:
    """Runs programs until there are enough; 1 where something differs for certain."""
    args = _parse()
    counts: collections.Counter[str] = collections.Counter()

    @seed(args.seed)
    @settings(
        max_examples=args.examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs())
    def run(program: Program) -> None:
        for mode in args.modes.split(","):
            counts["runs"] += 1
            found = _differences(program, mode)
            counts.update(f"{d[0]}{'' if d[2] else ' (noted)'}" for d in found)
            for kind, text, certain in found:
                if certain or args.all:
                    _say(program, mode, kind, text)

    warnings.simplefilter("ignore")
    run()
    print(dict(counts))
    return int(any("(" not in kind for kind in counts if kind != "runs"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.random_programs")
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--all", action="store_true", help="print what is noted, too")
    return parser.parse_args()


def _differences(program: Program, mode: str) -> list[tuple[str, str, bool]]:
    try:
        return [(d.kind, d.text, d.certain) for d in differences(program, mode)]
    except Exception as error:
        return [("raised", f"{type(error).__name__}: {error}"[:600], True)]


def _say(program: Program, mode: str, kind: str, text: str) -> None:
    head = program.source.find("K = ")
    first = program.source[:head].count("\n") + 1
    print(f"=== {kind} in {mode}: {text}\n--- from line {first}")
    print(program.source[head:], f"{program.x=} {program.y=} {program.m=} {program.n=}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
