"""Jobs of several processes: no program is changed, no NaN missed, nothing hangs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import pytest

ROOT = Path(__file__).parents[2]

SECONDS = 100
"""After so long the processes are killed."""

Outcome = dict[str, Any]
Job = dict[str, tuple[Outcome, ...]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(jax.__version_info__ < (0, 10), reason="in one environment"),
]


@pytest.fixture(scope="module")
def job() -> Job:
    """By program, what has become of it in each process."""
    return _job(2)


@pytest.fixture(scope="module")
def job_of_four() -> Job:
    """The same of four processes, for some of the programs."""
    return _job(4, *OF_FOUR)


OF_FOUR = [
    "plain",
    "good",
    "bad sharded",
    "bad sharded donated",
    "bad shard_map",
    "bad rows",
    "bad rows aot",
    "bad rows in one",
    "bad in a loop",
    "good after one",
]


def _job(count: int, *names: str) -> Job:
    each = [_outcomes(text) for text in _ran(_free_port(), count, names)]
    assert all(outcomes.keys() == each[0].keys() for outcomes in each)
    return {name: tuple(outcomes[name] for outcomes in each) for name in each[0]}


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _ran(port: int, count: int, names: Sequence[str]) -> list[str]:
    """What each process writes."""
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.programs.several_processes"]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(port), str(count), *names],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    end = time.monotonic() + SECONDS
    texts = []
    for process in processes:
        try:
            out, err = process.communicate(timeout=max(end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        if process.returncode != 0:
            sys.stderr.write(err[-4000:])
        texts.append(out)
    return texts


def _outcomes(text: str) -> dict[str, Outcome]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {line["program"]: line for line in lines}


CALL = {"bad after all": 1}
"""Where it is not the fifth call that is bad."""

GOOD = [
    "good",
    "good sharded",
    "good donated",
    "good donated sharded",
    "good async",
    "good async donated sharded",
    "good every op",
    "good in one",
    "good every op in one",
    "good async in one",
    "good aot",
    "good without connections",
    "good after one",
]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_program_has_the_same_results(job, name):
    plain = job["plain sharded" if "sharded" in name else "plain"]
    assert not any(outcome["findings"] for outcome in job[name])
    assert [o["hash"] for o in job[name]] == [o["hash"] for o in plain]
    broke = [n for o in job[name] for n in o["notices"] if "broke" in n]
    assert not broke


@pytest.mark.parametrize(
    "name",
    [
        "bad",
        "bad sharded",
        "bad donated",
        "bad async",
        "bad every op",
        "bad shard_map",
        "bad shard_map async donated",
        "bad rows",
        "bad rows async",
        "bad aot",
        "bad rows aot",
        "bad sharded donated",
        "bad rows without connections",
        "bad rows, one without connections",
        "bad after all",
        "bad in a loop",
        "bad in an explicit mesh",
        "bad input",
    ],
)
def test_a_nan_raises_in_each_process(job, name):
    for outcome in job[name]:
        assert outcome["raised"]
        function, call, _ = outcome["findings"][0]
        assert (function, call) == (job[name][1]["findings"][0][0], CALL.get(name, 5))
        assert not [n for n in outcome["notices"] if "broke" in n]


LINE = "NaN was born in `… / x.std(-1, keepdims=True)`"
ALONE = "found in the shards of process 1 alone"


@pytest.mark.parametrize(
    "name",
    [
        "bad",
        "bad sharded",
        "bad donated",
        "bad sharded donated",
        "bad async",
        "bad shard_map",
        "bad rows",
        "bad in a loop",
        "bad rows without connections",
    ],
)
def test_each_process_has_the_line_that_the_one_with_the_bad_shard_finds(job, name):
    for outcome in job[name]:
        assert LINE in outcome["message"]
        assert ALONE in outcome["message"]


@pytest.mark.parametrize("name", ["bad rows in one", "bad in one"])
def test_the_line_is_found_without_the_other_process(job, name):
    _, alone = job[name]
    assert LINE in alone["message"]


def test_under_async_the_program_has_the_results_of_what_a_call_was_donated(job):
    for outcome in job["bad shard_map async donated"]:
        assert outcome["raised"]
        assert outcome["hash"]  # empty where it is deleted


def test_a_value_that_came_in_is_followed_to_its_element(job):
    for outcome in job["bad input"]:
        assert "x[5, 2]" in outcome["message"]
        assert "was born" not in outcome["message"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bad after all", "the shards of the others are not here"),
        ("bad in an explicit mesh", "its mesh has explicit axes"),
    ],
)
def test_a_line_that_no_process_can_know_is_not_known(job, name, why):
    for outcome in job[name]:
        assert "where it was born is not known" in outcome["message"]
        assert why in outcome["message"]


@pytest.mark.parametrize("name", ["bad", "bad rows", "bad rows async"])
def test_the_process_with_the_bad_shard_names_the_device_and_the_element(job, name):
    message = job[name][1]["message"]
    assert ", process 1" in message
    assert "[5, 0]" in message


@pytest.mark.parametrize(
    "name",
    [
        "bad rows",
        "bad rows async",
        "bad rows aot",
        "bad rows without connections",
        "bad rows, one without connections",
    ],
)
def test_the_other_process_raises_the_same_finding(job, name):
    other, holder = job[name]
    assert other["message"] == holder["message"]
    assert other["said"] == ["found by process 1, and raised in the others too"]


def test_what_is_recorded_is_recorded_in_each_process(job):
    other, holder = job["bad rows recorded"]
    assert not other["raised"]
    assert not holder["raised"]
    assert other["findings"] == holder["findings"]
    assert len(holder["findings"]) == 1


def test_a_region_in_one_process_alone(job):
    without, alone = job["bad rows in one"]
    assert alone["raised"]
    assert not without["raised"]


def test_a_part_of_what_a_call_was_given_reproduces_nothing(job):
    _, alone = job["bad rows in one"]
    assert "ran in several processes, and this one has a part" in alone["repro"]


@pytest.mark.parametrize("name", ["good every op", "bad every op"])
def test_nothing_is_added_to_a_program_of_several_processes(job, name):
    assert all("nothing was added" in o["notices"][0] for o in job[name])


def test_a_good_program_in_four_processes(job_of_four):
    plain, good = job_of_four["plain"], job_of_four["good"]
    assert [o["hash"] for o in good] == [o["hash"] for o in plain]
    assert not any(outcome["findings"] for outcome in good)


@pytest.mark.parametrize("name", [n for n in OF_FOUR if "bad" in n and "one" not in n])
def test_a_nan_raises_in_each_of_four_processes(job_of_four, name):
    for outcome in job_of_four[name]:
        assert outcome["raised"]
        assert outcome["findings"][0][1] == 5
        assert not [n for n in outcome["notices"] if "broke" in n]


@pytest.mark.parametrize("name", ["bad rows", "bad rows aot"])
def test_three_processes_raise_what_the_third_has_found(job_of_four, name):
    holder = job_of_four[name][2]
    assert ", process 2" in holder["message"]
    assert "[5, 0]" in holder["message"]
    for rank, other in enumerate(job_of_four[name]):
        assert other["message"] == holder["message"]
        if rank != 2:
            said = "found by process 2, and raised in the others too"
            assert other["said"] == [said]


def test_a_region_in_one_process_of_four(job_of_four):
    raised = [outcome["raised"] for outcome in job_of_four["bad rows in one"]]
    assert raised == [False, False, True, False]
