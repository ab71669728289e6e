"""A job of two processes: each writes a report of its own, and `merge` reads both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command.test_program import ROOT, checked

SECONDS = 100

JOB = """
import sys
import jax, jax.numpy as jnp, numpy as np

rank = int(sys.argv[1])
jax.distributed.initialize(f"127.0.0.1:{sys.argv[2]}", 2, rank)

@jax.jit
def step(x):
    return jnp.log(x)

step(jnp.ones(3))
if rank == 1:
    step(-jnp.ones(3))
"""


@pytest.mark.slow
def test_each_process_writes_its_own_report(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jaxdbg", "--record", "--json", "run.json"]
    processes = [
        subprocess.Popen(
            [*command, "job.py", str(rank), port], cwd=tmp_path, env=variables
        )
        for rank in (0, 1)
    ]
    try:
        statuses = [process.wait(SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    names = sorted(path.name for path in tmp_path.glob("run*"))
    assert names == ["run.process0.json", "run.process1.json"]
    # What one process has found, the other hears of, if it makes a call after that.
    assert statuses[1] == 1
    done = checked("merge", *names, at=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("run.process0: ")
    assert "NaN in step(...), from step (call 2 in this region" in done.stdout
