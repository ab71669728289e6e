"""What a region asks of chex, and where an assertion of chex stands on the stack."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import chex
import jax
from jax.experimental import checkify

from jaxdbg.jax_internals.chex.asserted import Asserted, Failed
from jaxdbg.jax_internals.identities import Living
from jaxdbg.jax_internals.interpose import is_ours
from jaxdbg.jax_internals.names import evict_traces
from jaxdbg.jax_internals.requirements import private
from jaxdbg.jax_internals.stack import functions_called, functions_traced
from jaxdbg.jax_internals.stand_ins import is_stand_in, remember

CHECK = private("jax._src.checkify.check", "chex")
_TEXT = private("chex._src.asserts_internal.get_chexify_err_message", "chex")
ASSERTION = private(
    "chex._src.asserts_internal.chex_assertion.<locals>._chex_assert_fn",
    "chex",
    variables=(
        "custom_message",
        "custom_message_format_vars",
        "exception_type",
        "host_assertion_fn",
        "jittable_assert_fn",
    ),
    constants=("assertion failed!",),
)

LeafNames = Callable[[FrameType, Sequence[Any]], list[list[str]]]
"""From the user's frame and the trees that it passes to the names of their leaves."""

FailedOnHost = Callable[[Asserted, Sequence[Failed], Exception, FrameType], Any]
"""From what an assertion is about, the leaves for which it failed, chex's exception,
and the frame that calls chex, to the exception to raise; None for chex's own."""


class ChexMode:
    """The state of chex mode, from the first region that opens to the last that ends.

    Arguments:
        failed_eagerly: called with checkify's exception when an assertion fails outside
            of any jitted call; may raise.
        failed_on_host: what to raise for an assertion over values that are there.
        failed_late: what to raise for checkify's exception, where the user's own
            `chex.chexify` meets it; None for chex's own.
        is_in_region: whether what is called here belongs to a region. For what does
            not, chex is as ever.
        broke: called with what jaxdbg was doing when a part of it broke, and the error.
        leaf_names: what the line of an assertion calls the leaves of its trees; by
            tree, in JAX's order, empty where there is no name.
    """

    def __init__(
        self,
        failed_eagerly: Callable[[Any], None],
        failed_on_host: FailedOnHost,
        failed_late: Callable[[Any], Any],
        is_in_region: Callable[[], bool],
        broke: Callable[[str, Exception], None],
        leaf_names: LeafNames,
    ) -> None:
        self.failed_eagerly = failed_eagerly
        self.failed_on_host = failed_on_host
        self.failed_late = failed_late
        self.is_in_region = is_in_region
        self.broke = broke
        self.leaf_names = leaf_names
        # Held, a function would be found in JAX's caches by one that is equal to it.
        self._asserting, self._traced = Living(), Living()
        self._conservative = False

    def is_live(self) -> bool:
        """Whether an assertion that runs here is one of a region's."""
        return is_ours() or self.is_in_region()

    def emitted(self, frame: FrameType) -> None:
        """An assertion is about to emit a check into the traces of this stack."""
        _note_exception_type(frame)
        for fun in functions_traced(frame):
            if not is_stand_in(fun):
                self._asserting.add(fun)

    def traced(self, fun: Callable[..., Any]) -> None:
        """A trace of `fun` began in the region."""
        if not is_stand_in(fun):
            self._traced.add(fun)

    def called_with_checks(self, frame: FrameType) -> None:
        """A jaxpr with checks arrived at the seam.

        A function that only calls an asserting one, whose trace was found in a cache,
        emits nothing itself. What else holds that trace cannot be known then, so all
        traces of the region go.
        """
        called = list(functions_called(frame))
        if not any(f in self._asserting for f in called):
            self._conservative = True
        for fun in called:
            self._asserting.add(fun)

    def evict(self) -> None:
        """Forgets every trace of the region that holds a chex assertion."""
        for fun in self._asserting:
            evict_traces(fun)
            remember(fun)
        for fun in self._traced if self._conservative else ():
            evict_traces(fun)
        self._asserting.clear()
        self._traced.clear()


_exception_types: dict[tuple[str, int], type[Exception]] = {}
"""By file and line of the assertion, the exception that the user asked it to raise."""


def exception_type(file: str, line: int) -> type[Exception]:
    """What `exception_type` the assertion at this place takes, if any."""
    return _exception_types.get((file, line), AssertionError)


def _note_exception_type(frame: FrameType) -> None:
    # chex itself has no use for it in traced code.
    user = outside_chex(frame)
    if user is not None:
        wanted = (ASSERTION.variables_in(frame) or {}).get("exception_type")
        _exception_types[user.f_code.co_filename, user.f_lineno] = (
            wanted or AssertionError
        )


def outside_chex(frame: FrameType | None) -> FrameType | None:
    """The frame that calls chex."""
    package = os.path.dirname(chex.__file__) + os.sep
    while frame is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return frame


def custom_message(wrapper: FrameType) -> tuple[str, tuple[Any, ...]]:
    """The user's own message, in the frame of an assertion, and the values it says.

    The values are those that are not known yet; others are in the message.
    """
    local = ASSERTION.variables_in(wrapper) or {}
    text = str(local.get("custom_message") or "")
    values = tuple(local.get("custom_message_format_vars") or ())
    if any(isinstance(v, jax.core.Tracer) for v in values):
        return text, values
    return (text.format(*values) if values else text), ()


def message(wrapper: FrameType, name: str, text: str) -> str:
    """Chex's own form of a failed assertion, which it builds for its callers only."""
    custom, values = custom_message(wrapper)
    custom = custom if values else escaped(custom)
    user = outside_chex(wrapper)
    where = f"{user.f_code.co_filename}:{user.f_lineno}" if user else "unknown"
    note = f" Custom message: {custom}." if custom else ""
    full = _TEXT.get()(name, text)
    return f"{full}{note} [failed at: {where}]"


def escaped(text: str) -> str:
    """A text to stand as it is in one that is formatted."""
    return text.replace("{", "{{").replace("}", "}}")


def unmock_check() -> None:
    """Undoes what chex leaves behind when an assertion raises inside of it.

    It replaces `checkify.check` while an assertion emits, and restores it only where
    that ends well.
    """
    checkify.check = CHECK.get()
