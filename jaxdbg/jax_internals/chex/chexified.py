"""What functions that the user has wrapped in `chex.chexify` have found.

chex checks them asynchronously by default: what fails is raised by a later call of the
same function, by `wait_checks`, or at the exit of Python.
"""

from __future__ import annotations

from typing import Any

from jaxdbg.jax_internals.requirements import missing, private

_WAIT = private("chex._src.asserts_internal.CHEXIFY_STORAGE.wait_fns", "chex")


def failure() -> Any:
    """Waits for the checks that are pending; the first that fails, or None.

    Returns:
        checkify's own exception for it, where chex hands it on.
    """
    if missing("chex"):
        return None
    for wait in tuple(_WAIT.get()):
        try:
            wait()
        except AssertionError as error:
            return error.__cause__ or error
    return None
