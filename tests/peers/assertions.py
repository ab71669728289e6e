"""What tests have asserted: a hash of the arguments of each assertion that passed.

The assertions of NumPy and unittest (absl's are built on them) are replaced where they
are looked up. chex's keep their identity, since a region changes some of them: the
function that one runs on the host is replaced in the cell it is in.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import unittest
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import chex
import numpy as np
from absl.testing import absltest
from jax._src import core

from tests.peers.digest import digest, masked

_IN_CHEX = "host_assertion_fn"


class Asserted(threading.local):
    """The assertions of one thread; those inside of others are not counted."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._depth = 0

    @contextlib.contextmanager
    def one(self, name: str, values: Callable[[], str]) -> Iterator[None]:
        """An assertion runs; where it passes, outside of traces, it is noted.

        How often a function is traced is compared elsewhere: what it asserts while it
        is traced has no values.
        """
        noted = not self._depth and core.trace_state_clean()
        hashed = values() if noted else ""  # before the assertion may change them
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if noted:
            self.seen.append(f"{name} {hashed}")


def watch(asserted: Asserted) -> None:
    """Has every assertion noted, for the rest of this process."""
    for name in dir(np.testing):
        if name.startswith("assert_"):
            _replace(np.testing, name, asserted)
    for case in (unittest.TestCase, absltest.TestCase):
        for name in vars(case).copy():
            if name.startswith("assert") and "Raises" not in name:
                _replace(case, name, asserted)
    _watch_raises(asserted)
    for name in dir(chex):
        if name.startswith("assert_"):
            _watch_chex(name, asserted)


def _replace(home: Any, name: str, asserted: Asserted) -> None:
    plain = getattr(home, name)
    # `assertLogs` and its like are contexts: what they see is not passed to them.
    if not isinstance(plain, FunctionType) or "Logs" in name or "Warns" in name:
        return
    # The first argument of a method is the test itself.
    setattr(home, name, _noting(plain, name, asserted, int(isinstance(home, type))))


def _noting(
    plain: Callable[..., Any], name: str, asserted: Asserted, skipped: int
) -> Callable[..., Any]:
    @functools.wraps(plain)
    def noting(*args: Any, **kwargs: Any) -> Any:
        with asserted.one(name, lambda: digest(args[skipped:], kwargs)):
            return plain(*args, **kwargs)

    return noting


def _watch_raises(asserted: Asserted) -> None:
    """What `assertRaises` and its like have caught, with its text."""
    context = unittest.case._AssertRaisesContext  # type: ignore[attr-defined]
    plain = context.__exit__

    def leaving(self: Any, kind: Any, error: BaseException | None, tb: Any) -> Any:
        handled = plain(self, kind, error, tb)
        if handled and core.trace_state_clean():
            asserted.seen.append(f"raises {kind.__name__} {digest(masked(str(error)))}")
        return handled

    context.__exit__ = leaving


def _watch_chex(name: str, asserted: Asserted) -> None:
    function = getattr(chex, name)
    variables = getattr(getattr(function, "__code__", None), "co_freevars", ())
    if _IN_CHEX in variables:
        cell = function.__closure__[variables.index(_IN_CHEX)]
        cell.cell_contents = _noting(cell.cell_contents, name, asserted, 0)
