"""chex value assertions and `checkify.check` made live in code nobody wrapped.

chex emits its assertions inside traced code only while its chexify level is raised.
For a region we raise it, for its assertions alone: `chex.chexify` itself still reads
the true level, and so functions that are already wrapped go on working. The emitted
checks are turned into an extra output of the call at the seam, by checkify's own
transformation of a jaxpr (`functionalise`).

A trace with such checks must not outlive the region: a plain call would find it and
fail. So each function in whose trace an assertion was emitted is noted, and its traces
are evicted when the region ends; later regions trace it under a stand-in, whose traces
stay (`stand_ins`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from jaxdbg.jax_internals.chex import under_vmap
from jaxdbg.jax_internals.chex.chexified import said_by_chexify
from jaxdbg.jax_internals.chex.mode import ASSERTION, ChexMode, unmock_check
from jaxdbg.jax_internals.chex.traced_values import COMPARATOR, FORMS, live
from jaxdbg.jax_internals.chex.tree_assertions import TREE_ASSERTIONS, tree_assertion
from jaxdbg.jax_internals.interpose import is_ours
from jaxdbg.jax_internals.requirements import missing, private
from jaxdbg.jax_internals.stand_ins import in_use
from jaxdbg.jax_internals.user_frames import outward

_CHECK_PRIMITIVE = private("jax._src.checkify.check_p", "chex")
_ERROR = private("jax._src.checkify.JaxRuntimeError", "chex")
_STORAGE = private("chex._src.asserts_internal.CHEXIFY_STORAGE", "chex")
_LEVEL = private("chex._src.asserts_internal.CHEXIFY_STORAGE.level", "chex")


class _LiveStorage:
    """chex's storage, with a level that its assertions alone read as raised."""

    def __init__(self, plain: Any, mode: ChexMode):
        self._plain = plain
        self._mode = mode

    @property
    def wait_fns(self) -> Any:
        return self._plain.wait_fns

    @property
    def level(self) -> int:
        level: int = self._plain.level
        try:
            return self._read_by(sys._getframe(1), level)
        except Exception as error:  # chex calls this in the user's trace
            self._mode.broke("making a chex assertion live", error)
            return level

    @level.setter
    def level(self, value: int) -> None:
        self._plain.level = value

    def _read_by(self, caller: FrameType, level: int) -> int:
        """The level that a caller reads: raised for assertions in regions."""
        if level or caller.f_code not in ASSERTION.codes():
            return level
        if is_ours():
            return 1
        if not self._mode.is_in_region():
            return level
        self._mode.emitted(caller)
        return 1


@contextlib.contextmanager
def live_assertions(mode: ChexMode) -> Iterator[None]:
    """Makes chex assertions emit checks in traced code of regions, in every thread."""
    # Where calls are not seen nothing turns the checks into outputs.
    if missing("chex") or missing("interpose"):
        yield
        return
    plain = _STORAGE.get()
    _STORAGE.put(_LiveStorage(plain, mode))
    try:
        with contextlib.ExitStack() as undo:
            undo.enter_context(under_vmap.guarded())
            undo.enter_context(_eager_checks(mode, plain))
            undo.enter_context(in_use(mode.is_in_region))
            undo.enter_context(said_by_chexify(mode))
            for name in (*FORMS, COMPARATOR):
                undo.enter_context(live(name, mode))
            for name in TREE_ASSERTIONS:
                undo.enter_context(tree_assertion(name, mode, plain))
            yield
    finally:
        _STORAGE.put(plain)
        unmock_check()
        mode.evict()


@contextlib.contextmanager
def _eager_checks(mode: ChexMode, storage: Any) -> Iterator[None]:
    """An assertion under an eager grad or vmap runs at once: ours to report too."""
    primitive = _CHECK_PRIMITIVE.get()
    plain = primitive.impl

    def impl(*args: Any, **params: Any) -> list[Any]:
        try:
            return list(plain(*args, **params))
        except _ERROR.get() as error:
            # Under chex.chexify, or from a plain checkify.check, it is the user's own.
            if storage.level or not _in_assertion(sys._getframe()):
                raise
            unmock_check()
            if "assertion failed!" not in str(error):  # chex's second look at the same
                mode.failed_eagerly(error.__cause__)
            return []

    primitive.impl = impl
    try:
        yield
    finally:
        primitive.impl = plain


def _in_assertion(frame: FrameType | None) -> bool:
    codes = ASSERTION.codes()
    return any(one.f_code in codes for one in outward(frame))
