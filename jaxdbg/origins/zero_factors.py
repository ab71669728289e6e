"""Whether a product is non-finite only because a non-finite factor met a 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxdbg.jax_internals.jaxprs.evaluate import bind_equation
from jaxdbg.jax_internals.primitives import PRODUCTS
from jaxdbg.origins import numbers
from jaxdbg.origins.found import Birth


def zero_factors(birth: Birth) -> list[int]:
    """The operands that are 0 wherever the other one is not finite.

    Only what one element of the result was made from counts.
    """
    eqn, element = birth.site.eqn, birth.element
    if eqn.primitive.name not in PRODUCTS or element is None:
        return []
    operands = [numbers.host(v) for v in birth.operands]
    if any(v is None for v in operands):
        return []
    last = 1 if eqn.primitive.name == "div" else 2  # x / 0 is another matter
    return [n for n in range(last) if _holds_zeros(birth, operands, n)]


def _holds_zeros(birth: Birth, operands: list[Any], n: int) -> bool:
    """Whether operand `n` is 0 wherever the other one is not finite."""
    bad = ~np.isfinite(operands[1 - n])
    everywhere, not_0 = np.ones_like(operands[n], bool), operands[n] != 0
    return _meet(birth, n, everywhere, bad) and not _meet(birth, n, not_0, bad)


def _meet(birth: Birth, n: int, mine: Any, others: Any) -> bool:
    """Whether marked elements of operand `n` and of the other one are multiplied."""
    eqn = birth.site.eqn
    pair = [mine, others] if n == 0 else [others, mine]
    if eqn.primitive.name in ("mul", "div"):
        met = pair[0] & pair[1]
    else:
        dtypes = [v.dtype for v in birth.operands]
        ones = [m.astype(d) for m, d in zip(pair, dtypes, strict=True)]
        met = np.asarray(bind_equation(eqn, ones)[0]) != 0
    return bool(np.broadcast_to(met, birth.result.shape)[birth.element])
