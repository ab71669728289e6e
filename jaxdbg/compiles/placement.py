"""Where the arguments of a call lie, and with which options it is lowered."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxdbg.jax_internals.descriptions import described
from jaxdbg.jax_internals.names import is_unspecified
from jaxdbg.jax_internals.stack import JitCall


class Placed(NamedTuple):
    """Where an argument lies."""

    devices: str
    sharding: str
    committed: bool


def placed(value: Any) -> Placed:
    """Where an argument of a call that runs lies."""
    try:
        sharding = value.sharding
        committed = bool(value.committed)
    except Exception:  # a NumPy array, a Python scalar, an array that was deleted
        return Placed("", "", False)
    return Placed(*_sharding(sharding), committed)


def asked(sharding: Any) -> Placed:
    """Where an argument must lie, by the sharding that is asked for."""
    if sharding is None or is_unspecified(sharding):
        return Placed("", "", False)
    return Placed(*_sharding(sharding), True)


@functools.lru_cache(maxsize=1024)
def _sharding(sharding: Any) -> tuple[str, str]:
    devices = sorted(sharding.device_set, key=lambda d: d.id)
    named = ", ".join(f"{d.platform}:{d.id}" for d in devices[:4])
    more = f" and {len(devices) - 4} more" if len(devices) > 4 else ""
    spec = getattr(sharding, "spec", None)
    if spec is None:
        kind = "" if len(devices) == 1 else type(sharding).__name__
    else:
        sizes = ", ".join(f"{k}={v}" for k, v in sharding.mesh.shape.items())
        kind = f"{str(spec).replace('PartitionSpec', 'P')} over {sizes}"
    memory = getattr(sharding, "memory_kind", None)
    kind += f" in {memory}" if memory not in (None, "device", "unpinned_host") else ""
    return named + more, kind


def options(where: JitCall) -> dict[str, str]:
    """How a call is lowered: donations, shardings and layouts."""
    donated = [i for i, d in enumerate(where.donated_invars) if d]
    return {
        "donated": f"arguments {donated}" if donated else "nothing",
        "keep_unused": described(where.keep_unused),
        "compiler_options": described(where.compiler_options_kvs),
        "out_shardings": _all_asked(where.out_shardings),
        "in_layouts": described(where.in_layouts),
        "out_layouts": described(where.out_layouts),
    }


def _all_asked(shardings: Sequence[Any]) -> str:
    places = list(dict.fromkeys(map(asked, shardings)))
    texts = [f"{p.sharding or p.devices}" if p.committed else "any" for p in places]
    return ", ".join(texts[:4]) or "any"
