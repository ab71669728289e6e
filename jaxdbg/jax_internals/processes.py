"""The processes of a job (`jax.distributed`), of which this is one."""

from __future__ import annotations

import functools
from typing import Any

import jax

from jaxdbg.jax_internals.requirements import private

_JOB = private("jax._src.distributed.global_state", "processes")
_CLIENT = private("jax._src.distributed.State.client", "processes")
_ADDRESS = private("jax._src.distributed.State.coordinator_address", "processes")
_NUMBER = private("jax._src.distributed.State.process_id", "processes")


@functools.cache
def are_several() -> bool:
    """Whether the job has more than one process; for when JAX runs already."""
    return bool(jax.process_count() > 1)


def store() -> Any:
    """The key-value store that the processes of the job share; None without one."""
    return None if _CLIENT.absent or _JOB.absent else _CLIENT.of(_JOB.get())


def number() -> int:
    """Which process this is, from 0; asked where there is a `store`."""
    return int(_NUMBER.of(_JOB.get()))


def coordinator() -> str:
    """The address of the job's coordinator, `host:port`; where there is a `store`."""
    return str(_ADDRESS.of(_JOB.get()))


def place(device: Any) -> str:
    """A device in words: `cpu:5`, and where there are several `cpu:5, process 1`."""
    name = str(device)
    if name.startswith("TFRT_CPU_"):  # in JAX 0.9
        name = f"{device.platform}:{device.id}"
    return f"{name}, process {device.process_index}" if are_several() else name
