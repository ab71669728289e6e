"""What functions that the user has wrapped in `chex.chexify` have found.

chex checks them asynchronously by default: what fails is raised by a later call of the
same function, by `wait_checks`, or at the exit of Python.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jaxdbg.jax_internals.chex.mode import ChexMode
from jaxdbg.jax_internals.requirements import missing, private

_WAIT = private("chex._src.asserts_internal.CHEXIFY_STORAGE.wait_fns", "chex")
_CHECK_ERROR = private("chex._src.asserts_chexify._check_error", "chex")


def failure() -> Any:
    """Waits for the checks that are pending; the first that fails, or None.

    Returns:
        What `said_by_chexify` makes of it; else checkify's own exception, where chex
        hands it on.
    """
    if missing("chex"):
        return None
    for wait in tuple(_WAIT.get()):
        try:
            wait()
        except AssertionError as error:
            return _of_checkify(error)
    return None


def _of_checkify(error: BaseException) -> BaseException:
    """The exception of checkify that one of chex has come from; else the same."""
    raised = error.__context__
    return (raised.__cause__ if raised is not None else None) or error


@contextlib.contextmanager
def said_by_chexify(mode: ChexMode) -> Iterator[None]:
    """What a chexified function finds and raises itself is said as in any other."""
    plain = _CHECK_ERROR.get()

    def check_error(error: Any) -> None:
        failure = None
        try:
            plain(error)
            return
        except AssertionError as raised:
            with contextlib.suppress(Exception):
                failure = mode.failed_late(_of_checkify(raised))
            if failure is None:
                raise
        raise failure

    _CHECK_ERROR.put(check_error)
    try:
        yield
    finally:
        _CHECK_ERROR.put(plain)
