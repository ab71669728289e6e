"""A call of an AOT-compiled function, not yet run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax


class AotCall:
    """One call of an AOT-compiled function; see `interpose.Invocation`.

    Attributes:
        leaves: its arguments, flat.
        error: what running it raised: the user's error, not one of ours.
    """

    def __init__(self, run: Callable[..., Any], args: Any, kwargs: Any):
        self._run = run
        self._results: list[Any] = []
        self.leaves, self._tree = jax.tree.flatten((args, kwargs))
        self.error: BaseException | None = None

    def execute(self, leaves: Sequence[Any]) -> Any:
        """Runs the call with these arguments."""
        args, kwargs = jax.tree.unflatten(self._tree, leaves)
        try:
            result = self._run(*args, **kwargs)
        except BaseException as error:
            self.error = error
            raise
        self._results = [result]
        return result

    def answer(self) -> Any:
        """What the plain program gives for this call; runs it where it did not run."""
        return self._results[0] if self._results else self.execute(self.leaves)
