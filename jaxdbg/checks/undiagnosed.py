"""The failure of a call whose results are bad, where its diagnosis broke.

What is known is known without names, lines and pictures. So this uses nothing of what
can have broken: NumPy alone reads the arrays, and the texts are written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from jaxdbg.checks.calls.call import Call, Run
from jaxdbg.errors import CheckError, NonFiniteError, cause
from jaxdbg.jax_internals.arrays import REF
from jaxdbg.records import Finding


def non_finite(run: Run, suspects: Sequence[int], error: BaseException) -> Any:
    """The failure of a call with bad results; None where it may be none.

    As where an origin is not found: a failure if all inputs are good, except for a
    -Inf, which may be a mask.

    Arguments:
        run: the call.
        suspects: indices of its bad results.
        error: what ended the diagnosis.
    """
    kind = _kind([run.results[i] for i in suspects])
    if not kind or not _was_good(run):
        return None
    lines = [
        f"a value that is not finite, from {run.call}",
        f"  where it was born is not known: {_why(error)}",
        "  next: the results of the call were not used; run it again for a diagnosis.",
    ]
    finding = _finding(kind, run.call, lines)
    return NonFiniteError(finding.message, finding)


def check(call: Call, exception: Any, error: BaseException) -> CheckError:
    """The failure of a call in which a check of the user's failed."""
    lines = [str(exception), f"  in {call}", f"  no more is known: {_why(error)}"]
    finding = _finding("check", call, lines)
    return CheckError(finding.message, finding)


def _finding(kind: str, call: Call, lines: Sequence[str]) -> Finding:
    message = "\n".join(lines)
    return Finding(kind, call.function.name, call.number, message)


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "the diagnosis was interrupted"
    return f"a part of jaxdbg broke ({cause(error)}); please report this"


def _kind(results: Iterable[Any]) -> str:
    """Which kind of bad value is certain to be no mask, the worst first; or none."""
    for value in results:
        # What cannot be read any more has been found bad while it could.
        if _read(value) is None or _holds(value, np.isnan):
            return "nan"
        if _holds(value, lambda host: host == np.inf):
            return "inf"
    return ""


def _was_good(run: Run) -> bool:
    inputs = [a for a in run.args if not isinstance(a, REF)]
    constants = getattr(run.jaxpr, "consts", ())
    values = [*inputs, *constants]
    return not (run.lost or any(_holds(v, _is_bad) for v in values))


def _is_bad(host: Any) -> Any:
    return np.isnan(host) | np.isinf(host)


def _holds(value: Any, test: Callable[[Any], Any]) -> bool:
    try:
        return bool(np.any(test(_read(value))))
    except TypeError:  # a type that holds no numbers, or nothing that can be read
        return False


def _read(value: Any) -> Any:
    """The value on the host; None where it cannot be read."""
    try:
        return np.asarray(value[...] if isinstance(value, REF) else value)
    except (RuntimeError, TypeError, ValueError):
        return None
