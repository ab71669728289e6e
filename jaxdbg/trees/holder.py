"""Which devices hold an element or a row of an array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax

from jaxdbg.jax_internals.processes import place
from jaxdbg.trees.copies import is_gone

MOST_NAMED = 4
"""More devices than this are not named."""


def holder(array: Any, element: tuple[int, ...]) -> str:
    """The device that holds an element, in words.

    Of the devices of this process, if one of them does. Empty where all devices hold
    the same, and where there is only one.
    """
    return place(found[0]) if (found := _holders(array, element)) else ""


def holders(array: Any, rows: Iterable[int]) -> str:
    """The devices that hold some rows of an array, in words; empty as in `holder`."""
    found = [device for row in rows for device in _holders(array, (row,))]
    return in_words(sorted(dict.fromkeys(found), key=lambda device: device.id))


def in_words(devices: Sequence[Any]) -> str:
    """`cpu:4 and cpu:5`; empty where they are more than are named."""
    *first, last = map(place, devices) if devices else [""]
    if len(first) >= MOST_NAMED:
        return ""
    return f"{', '.join(first)} and {last}" if first else last


def _holders(array: Any, index: tuple[int, ...]) -> list[Any]:
    """The devices with elements whose index begins so, those of this process first."""
    if not isinstance(array, jax.Array) or is_gone(array):
        return []
    if len(array.sharding.device_set) < 2 or array.is_fully_replicated:
        return []
    of_here = array.sharding.addressable_devices_indices_map(array.shape)
    of_all = array.sharding.devices_indices_map(array.shape)
    return [
        device
        for device, slices in {**of_here, **of_all}.items()
        if _is_inside(index, slices, array.shape)
    ]


def _is_inside(element: tuple[int, ...], index: Any, shape: tuple[int, ...]) -> bool:
    return all(
        (s.start or 0) <= i < (n if s.stop is None else s.stop)
        for s, i, n in zip(index, element, shape, strict=False)
    )
