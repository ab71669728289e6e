"""Many numbers as the panel unpacks them: packed where they are many."""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from typing import Any

FEW = 64
"""Up to so many numbers a column is written in the open."""

_MOST = 0.95
"""The share of equal numbers from which only the others are listed one by one."""


def column(values: Sequence[float | None]) -> dict[str, Any]:
    """Numbers, one for each leaf or call."""
    different = set(values)
    if len(different) == 1:
        return {"same": _json(values[0])}
    if len(values) <= FEW:
        return {"list": [_json(v) for v in values]}
    if len(different) <= FEW:
        most, times = Counter(values).most_common(1)[0]
        if times > len(values) * _MOST:
            others = ((i, v) for i, v in enumerate(values) if v != most)
            return {"same": _json(most), "but": {str(i): _json(v) for i, v in others}}
    full = array("d", [float("nan") if v is None else v for v in values])
    packed = array("f", full) if _fits_in_32_bits(full) else full
    if sys.byteorder == "big":
        packed.byteswap()
    return {f"f{8 * packed.itemsize}": b64encode(packed.tobytes()).decode()}


def _json(value: float | None) -> float | None:
    """A number; one that is infinite becomes the largest there is."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return int(value)
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def _fits_in_32_bits(values: array[float]) -> bool:
    """Whether counts stay exact, and nothing becomes 0 or infinite."""
    sizes = [abs(v) for v in values if v]
    sizes = [v for v in sizes if v == v]
    return not sizes or (min(sizes) > 1e-37 and max(sizes) < 2**24)
