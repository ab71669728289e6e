"""`python -m tests.planted`: plants bugs, and scores what jaxdbg says of them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jaxdbg
from tests.planted import runs
from tests.planted.models import MODELS, Model
from tests.planted.runs import Planted, Score


def main() -> int:
    """Prints a line for what is not right, and the counts."""
    parser = argparse.ArgumentParser("python -m tests.planted", description=__doc__)
    parser.add_argument("models", nargs="*", help="only these; default: all")
    parser.add_argument("--each", type=int, default=12, help="bugs in each model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="what is right, too")
    args = parser.parse_args()
    scores: list[tuple[Planted, Score]] = []
    alarms: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            if not model.is_installed or (
                args.models and model.name not in args.models
            ):
                continue
            alarms += _alarms(model)
            found = runs.reached(model)
            for planted in runs.choices(model, found, args.each, args.seed):
                score = _scored(planted, Path(folder))
                scores.append((planted, score))
                _say(planted, score, args.all)
    print(_counts(scores, alarms))
    return 0


def _alarms(model: Model) -> list[str]:
    """What a region says of a model as it is, on three steps."""
    step, args = model.build()
    try:
        with jaxdbg.checked(namespace={}):
            for _ in range(3):
                step(*args)
    except jaxdbg.NonFiniteError as error:
        print(f"FALSE ALARM {model.name}: {error}", flush=True)
        return [model.name]
    return []


def _scored(planted: Planted, folder: Path) -> Score:
    try:
        return runs.score(planted, folder)
    except Exception as error:  # the rewritten program does not run at all
        return Score(False, False, said=f"{type(error).__name__}: {error}"[:200])


def _say(planted: Planted, score: Score, everything: bool) -> None:
    wrong = "wrong" in (score.line, score.row, score.advice) or score.line == "none"
    if everything or wrong or (score.non_finite and not score.found):
        whose = "user's" if planted.is_users else "library's"
        marks = f"line {score.line}, row {score.row}, advice {score.advice}"
        print(f"{planted.place} ({whose})\n    {marks}: {score.said}", flush=True)


def _counts(scores: list[tuple[Planted, Score]], alarms: list[str]) -> str:
    bad = [score for _, score in scores if score.non_finite]
    rows = {
        "planted": len(scores),
        "stay finite, or do not run": len(scores) - len(bad),
        "non-finite": len(bad),
        "found": sum(score.found for score in bad),
        **{
            f"{part} {verdict}": n
            for part in ("line", "row", "advice")
            for verdict, n in Counter(getattr(s, part) for s in bad).items()
            if verdict
        },
        "false alarms": len(alarms),
    }
    return "\n".join(f"{n:5} {name}" for name, n in rows.items())


if __name__ == "__main__":
    sys.exit(main())
