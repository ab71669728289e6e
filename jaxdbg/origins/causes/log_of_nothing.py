"""The one -Inf that is born by arithmetic and right: the logarithm of no terms."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.jax_internals import source_info
from jaxdbg.origins.found import Found


def is_log_of_nothing(found: Found, inside: Sequence[str] = ()) -> bool:
    """Whether a -Inf is logsumexp of a row that is all -Inf: right, and no failure.

    Arguments:
        found: the result of the search.
        inside: names of functions that an eager operation was called in.
    """
    birth = found.birth
    if birth is None or birth.kind != "-inf" or found.turns:
        return False
    if birth.site.eqn.primitive.name != "log":
        return False
    eqns = [birth.site.eqn, *birth.site.outer]
    functions = {f.function for eqn in eqns for f in source_info.frames(eqn)}
    return "logsumexp" in functions.union(inside)
