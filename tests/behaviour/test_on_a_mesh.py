"""Programs on a mesh of eight devices: what is found is what is true of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

SECONDS = 120
"""After so long the process is killed."""

Outcome = dict[str, Any]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """By program, what is true of it and what was found."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.on_a_mesh"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["program"]: line for line in lines}


NAMES = [
    "as_many_rows_as_devices",
    "branch_with_a_key",
    "came_in_with_the_batch",
    "columns_of_a_matmul",
    "data_parallel",
    "explicit",
    "fully_sharded",
    "gradient_in_shard_map",
    "one_shard",
    "only_in_the_psum",
    "partly_manual",
    "pmap_of_a_gradient",
    "pmap_with_axis_index",
    "ring",
    "scan_in_shard_map",
    "scan_of_collectives_in_shard_map",
    "shard_map_in_scan",
    "shard_map_without_jit",
    "shard_map_without_jit_on_an_explicit_mesh",
    "two_axes",
    "uneven",
    "vmap_in_shard_map",
]


def test_each_program_is_listed(outcomes):
    assert sorted(outcomes) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_good_run_is_untouched(outcomes, name):
    assert outcomes[name]["same"]
    assert outcomes[name]["good"].startswith("\N{CHECK MARK}")


@pytest.mark.parametrize("name", NAMES)
def test_the_line_and_the_operation(outcomes, name):
    found, truth = outcomes[name], outcomes[name]["truth"]
    origin = found["origin"]
    assert found["found"] == found["line"]
    assert found["function"] == truth["function"]
    for part in ("primitive", "kind", "loop", "argument"):
        assert origin[part] == truth[part]
    assert origin["direction"] == (truth["direction"] if truth["primitive"] else "")


@pytest.mark.parametrize("name", NAMES)
def test_the_device(outcomes, name):
    assert outcomes[name]["origin"]["device"] == outcomes[name]["truth"]["device"]


@pytest.mark.parametrize("name", NAMES)
def test_the_row_and_where_it_is(outcomes, name):
    rows, message = outcomes[name]["truth"]["rows"], outcomes[name]["message"]
    assert (f"{rows}, alone causes it" in message) == bool(rows)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_said_of_modules(outcomes, name):
    assert "module" not in outcomes[name]["message"]
    assert not outcomes[name]["notices"]
