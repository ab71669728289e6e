"""Why a library's function places a NaN or an Inf, and what to do about it.

No arithmetic gives it: the function has a value of its own for what is not defined. The
call as the user wrote it says which function that is.
"""

from __future__ import annotations

import ast

from jaxdbg.origins.causes.rules import Cause

_VARIANCE = Cause(
    "a variance of too few elements: n - ddof is 0",
    "leave out what has one element, or use ddof=0 and add an eps",
)
_QUANTILE = Cause(
    "a quantile of exactly 0 or 1",
    "keep the probability inside (0, 1): `jnp.clip(u, eps, 1 - eps)`",
)
_DENSITY = Cause(
    "a density outside of its support",
    "clip the values into the support, or leave these elements out",
)
_RANGE = Cause(
    "an interpolation out of range",
    "clip x into the range of the knots, or leave these elements out",
)
_SEGMENT = Cause(
    "a segment without elements",
    "the largest of no elements is -Inf, and the smallest Inf. Place what is neutral "
    "there: `jnp.where(jnp.isfinite(m), m, 0)`",
)
_OWN = Cause(
    "a placed value that is mixed with others",
    "leave it out where elements are combined, `x.mean(where=ok)`, or place what is "
    "neutral there: 0 in a sum",
)

_BY_FUNCTION = {
    **dict.fromkeys(("std", "var", "nanstd", "nanvar", "cov"), _VARIANCE),
    **dict.fromkeys(("ndtri", "erfinv", "ppf", "isf"), _QUANTILE),
    **dict.fromkeys(("logpdf", "logpmf"), _DENSITY),
    "interp": _RANGE,
    **dict.fromkeys(("segment_max", "segment_min"), _SEGMENT),
    **dict.fromkeys(("where", "full", "full_like", "set", "select", "add"), _OWN),
}
"""By the name of the function that the user calls."""


def recognise(call: str) -> Cause | None:
    """The cause; None where what is called says nothing.

    Arguments:
        call: the user's expression, `x.std(0, ddof=1)`.
    """
    try:
        node = ast.parse(call.strip(), mode="eval").body
    except SyntaxError:
        return None
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return _BY_FUNCTION.get(name)
    return None
