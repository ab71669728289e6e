"""What a finding answers where no process keeps the arrays of its call."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jaxdbg.records import Finding, keeper

FINDING = Finding("nan", "step", 3, "NaN in loss", path="loss", paths=("loss",))

READER = """
import sys
from jaxdbg.records import Finding
finding = Finding("nan", "step", 3, "NaN in loss", path="loss", paths=("loss",))
for ask in (finding.output, lambda: finding.repro("folder")):
    try:
        ask()
    except RuntimeError as error:
        print(error)
print("jax" in sys.modules)
"""


def test_who_only_reads_reports_is_told_that_nothing_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READER], check=True, text=True, capture_output=True
    )
    output, repro, has_jax = done.stdout.splitlines()
    assert output.startswith("What call 3 of step gave is not kept (any more): ")
    assert repro.startswith("What the failing call was given is not kept, or not any ")
    assert has_jax == "False"


def test_a_finding_asks_the_registered_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept:
        def output(self, finding: Finding, path: str | None) -> object:
            return finding.function, path

        def repro(self, finding: Finding, path: object, overwrite: bool) -> object:
            return path, overwrite

    monkeypatch.setattr(keeper, "_keeper", Kept())
    assert FINDING.output("loss") == ("step", "loss")
    assert FINDING.repro("folder") == ("folder", False)
