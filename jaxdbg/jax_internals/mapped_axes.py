"""Which dimensions of an array `vmap` has added to it."""

from __future__ import annotations

from typing import Any

from jaxdbg.jax_internals.requirements import missing, private

_TRACER = private("jax._src.interpreters.batching.BatchTracer", "devices")
_DIM = private("jax._src.interpreters.batching.BatchTracer.batch_dim", "devices")
_VALUE = private("jax._src.interpreters.batching.BatchTracer.val", "devices")
_TRACE = private("jax._src.interpreters.batching.BatchTracer._trace", "devices")
_AXIS = private("jax._src.interpreters.batching.BatchTrace.axis_data", "devices")

Axes = tuple[str | None, ...]
"""For each dimension of an array the name of the mapped axis; None for its own."""


def mapped_axes(value: Any) -> Axes | None:
    """The axes of a value inside of vmaps, as it is evaluated; None if not known."""
    if missing("devices"):
        return None
    axes: list[str | None] = [None] * len(value.shape)
    while isinstance(value, _TRACER.get()):
        dim = _DIM.of(value)
        if not isinstance(dim, int):
            return None
        axes.insert(dim, _AXIS.of(_TRACE.of(value)).name)
        value = _VALUE.of(value)
    return tuple(axes)
