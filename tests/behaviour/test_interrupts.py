"""Interrupts at random moments leave nothing of ours, and the last good values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TIMES = 20
"""More of them: `python -m tests.programs.interrupts 100`."""


@pytest.mark.slow
def test_after_interrupts_at_random_moments_all_is_well() -> None:
    command = [sys.executable, "-m", "tests.programs.interrupts", str(TIMES)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert sum(told["outcomes"].values()) == TIMES
    assert told["outcomes"].get("interrupted", 0) >= TIMES // 4
