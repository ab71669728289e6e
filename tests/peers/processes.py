"""One test module in one mode, in a process of its own that ends in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import results
from tests.peers.results import Result
from tests.peers.suites import Module

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Limits:
    """How much of a module runs, and for how long."""

    sample: int = 0  # 0: all of its tests
    seconds: float = 900.0


def run(module: Module, mode: str, limits: Limits) -> dict[str, Result]:
    """Runs the tests of a module; those that gave no result are not there."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results"
        command = [*_command(module), f"--peers-mode={mode}", f"--peers-results={file}"]
        finish([*command, f"--peers-sample={limits.sample}"], folder, limits.seconds)
        return results.read(file)


def _command(module: Module) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "pytest", str(module.file), "-q", "--tb=no"),
        *("-c", os.devnull, f"--rootdir={module.root}", "-p", "no:cacheprovider"),
        *("--assert=plain", "-p", "tests.peers.plugin"),
        f"--peers-module={module.file}",
    ]


def finish(command: Sequence[str], folder: str, seconds: float) -> int | None:
    """Runs a command; its exit status, or None where it was killed, as its children."""
    process = subprocess.Popen(
        command,
        cwd=folder,  # what they write is gone with it
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment() -> dict[str, str]:
    strays = ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "JAX_COMPILATION_CACHE_DIR")
    plain = {k: v for k, v in os.environ.items() if k not in strays}
    return {
        **plain,
        "JAX_PLATFORMS": "cpu",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "XLA_FLAGS": "",
    }
