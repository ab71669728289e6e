"""Another number of CPU devices in a process in which JAX runs already.

JAX reads the number when it starts, and refuses a change later, as
`chex.set_n_cpu_devices` does; `jax.extend.backend.clear_backends` has it start again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import jax
import jax.extend.backend

from jaxdbg.checks.hub import hub
from jaxdbg.errors import UsageError
from jaxdbg.jax_internals import processes
from jaxdbg.views.words import count

_jax: Any = jax  # whose types leave these functions out

MOST = 1024
"""More devices than this are a slip of the keyboard, and take minutes to start."""


class devices:
    """Gives JAX another number of CPU devices, to run sharded programs on.

        jaxdbg.testing.devices(8)

        with jaxdbg.testing.devices(8):
            mesh = jax.make_mesh((8,), ("data",))

    They are real devices of XLA, so meshes, shardings and `shard_map` are those of a
    machine with eight. What was compiled is gone: each function is traced and compiled
    again at its next call. Arrays from before can be read, and used where JAX may move
    them; one that was put on a device or a mesh has to be put there again.

    Arguments:
        number: how many devices.

    Raises:
        UsageError: the number is none, or this process has devices other than CPUs,
            is one of several of a job, or is in a checked region.
    """

    def __init__(self, number: int):
        _check(number)
        self._before = (jax.device_count(), _jax.config.jax_num_cpu_devices)
        self.number = number
        _start_with(number)

    def __enter__(self) -> list[Any]:
        return jax.devices()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _, setting = self._before
        _start_with(setting)

    def __repr__(self) -> str:
        before, _ = self._before
        return (
            f"{count(self.number, 'CPU device')}, {before:,} before. Functions are "
            "traced and compiled again at their next call. Arrays from before can be "
            "read; one that was put on a device or a mesh has to be put there again."
        )


def _start_with(number: int) -> None:
    _jax.extend.backend.clear_backends()
    _jax.config.update("jax_num_cpu_devices", number)


def _check(number: object) -> None:
    is_number = isinstance(number, int) and not isinstance(number, bool)
    if not is_number or not 1 <= number <= MOST:  # type: ignore[operator]
        raise UsageError(
            f"devices({number!r}): expected a whole number of CPU devices from 1 to "
            f"{MOST:,}."
        )
    if processes.store() is not None:
        raise UsageError(
            "The devices of a job of several processes cannot be changed. Start each "
            f'process with jax.config.update("jax_num_cpu_devices", {number}).'
        )
    if hub.regions():
        raise UsageError(
            "The devices cannot be changed in a checked region, which has what was "
            "computed on them. Change them in a cell of its own, or above the region."
        )
    if (platform := jax.default_backend()) != "cpu":
        raise UsageError(
            f"JAX runs on {platform} here, and to change the number of CPU devices "
            "would drop what is there. Start Python with JAX_PLATFORMS=cpu."
        )
