"""Which device holds an element of an array."""

from __future__ import annotations

from typing import Any

import jax

from jaxdbg.jax_internals.processes import place
from jaxdbg.trees.copies import is_gone


def holder(array: Any, element: tuple[int, ...]) -> str:
    """The device that holds an element, in words.

    Of the devices of this process, if one of them does. Empty where all devices hold
    the same, and where there is only one.
    """
    if not isinstance(array, jax.Array) or is_gone(array):
        return ""
    if len(array.sharding.device_set) < 2 or array.is_fully_replicated:
        return ""
    of_here = array.sharding.addressable_devices_indices_map(array.shape)
    of_all = array.sharding.devices_indices_map(array.shape)
    for device, index in (*of_here.items(), *of_all.items()):
        if _is_inside(element, index, array.shape):
            return place(device)
    return ""


def _is_inside(element: tuple[int, ...], index: Any, shape: tuple[int, ...]) -> bool:
    return all(
        (s.start or 0) <= i < (n if s.stop is None else s.stop)
        for s, i, n in zip(index, element, shape, strict=True)
    )
