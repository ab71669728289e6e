"""chex value assertions and `checkify.check` made live in code nobody wrapped.

chex emits its assertions inside traced code only while its chexify level is raised.
For a region we raise it, for its assertions alone: `chex.chexify` itself still reads
the true level, and so functions that are already wrapped go on working. The emitted
checks are turned into an extra output of the call at the seam, by checkify's own
transformation of a jaxpr (`functionalised`).

A trace with such checks must not outlive the region: a plain call would find it and
fail. So each function in whose trace an assertion was emitted is noted, and its traces
are evicted when the region ends; later regions trace it under a stand-in, whose traces
stay (`stand_ins`).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from jaxdbg.jax_internals import names as _compat
from jaxdbg.jax_internals.chex import under_vmap as vmapped_checks
from jaxdbg.jax_internals.chex.stand_ins import in_use, is_stand_in, remember
from jaxdbg.jax_internals.functions import functions_called
from jaxdbg.jax_internals.interpose import is_ours

SCALAR_ASSERTIONS: dict[str, Callable[..., Any]] = {
    "assert_scalar": lambda x: True,
    "assert_scalar_positive": lambda x: x > 0,
    "assert_scalar_non_negative": lambda x: x >= 0,
    "assert_scalar_negative": lambda x: x < 0,
    "assert_scalar_in": lambda x, min_, max_, included=True: (
        (x >= min_) & (x <= max_) if included else (x > min_) & (x < max_)
    ),
}
"""chex's scalar assertions, which refuse arrays outside a region, as predicates."""


class ChexMode:
    """The state of chex mode, from the first region that opens to the last that ends.

    Arguments:
        failed_eagerly: told of checkify's exception when an assertion fails outside of
            any jitted call; may raise.
    """

    def __init__(self, failed_eagerly: Callable[[Any], None]) -> None:
        self.failed_eagerly = failed_eagerly
        self._asserting: dict[int, Callable[..., Any]] = {}
        self._traced: dict[int, Callable[..., Any]] = {}
        self._conservative = False

    def emitted(self, frame: FrameType) -> None:
        """An assertion is about to emit a check into the traces of this stack."""
        _note_exception_type(frame)
        for fun in _functions_being_traced(frame):
            if not is_stand_in(fun):
                self._asserting[id(fun)] = fun

    def traced(self, fun: Callable[..., Any]) -> None:
        """A trace of `fun` began in the region."""
        if not is_stand_in(fun):
            self._traced[id(fun)] = fun

    def called_with_checks(self, frame: FrameType) -> None:
        """A jaxpr with checks arrived at the seam.

        A function that only calls an asserting one, whose trace was found in a cache,
        emits nothing itself. What else holds that trace cannot be known then, so all
        traces of the region go.
        """
        called = list(functions_called(frame))
        if not any(id(f) in self._asserting for f in called):
            self._conservative = True
        self._asserting.update((id(f), f) for f in called)

    def evict(self) -> None:
        """Forgets every trace of the region that holds a chex assertion."""
        doomed = dict(self._asserting)
        if self._conservative:
            doomed |= self._traced
        for fun in doomed.values():
            _compat.evict_traces(fun)
        for fun in self._asserting.values():
            remember(fun)
        self._asserting.clear()
        self._traced.clear()


_exception_types: dict[tuple[str, int], type[Exception]] = {}
"""By file and line of the assertion, the exception that the user asked it to raise."""


def exception_type(file: str, line: int) -> type[Exception]:
    """What `exception_type` the assertion at this place was given, if any."""
    return _exception_types.get((file, line), AssertionError)


def _note_exception_type(frame: FrameType) -> None:
    # chex itself has no use for it in traced code.
    user = _outside_chex(frame)
    if user is not None:
        wanted = frame.f_locals.get("exception_type", AssertionError)
        _exception_types[user.f_code.co_filename, user.f_lineno] = wanted


def _functions_being_traced(frame: FrameType | None) -> Iterator[Callable[..., Any]]:
    while frame is not None:
        if _compat.is_tracing(frame.f_code) and callable(frame.f_locals.get("fun")):
            yield frame.f_locals["fun"]
        frame = frame.f_back


def _outside_chex(frame: FrameType | None) -> FrameType | None:
    package = os.path.dirname(chex.__file__) + os.sep
    while frame is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return frame


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
        caller = sys._getframe(1)
        if level or caller.f_code is not _compat.chex_assertion_code():
            return level
        if not is_ours():
            self._mode.emitted(caller)
        return 1

    @level.setter
    def level(self, value: int) -> None:
        self._plain.level = value


@contextlib.contextmanager
def live_assertions(mode: ChexMode) -> Iterator[None]:
    """Makes chex assertions emit checks in traced code, in every thread."""
    if _compat.missing("chex"):
        yield
        return
    internal = _compat.chex_internal()
    plain = internal.CHEXIFY_STORAGE
    internal.CHEXIFY_STORAGE = _LiveStorage(plain, mode)
    try:
        with contextlib.ExitStack() as undo:
            undo.enter_context(vmapped_checks.guarded())
            undo.enter_context(_eager_checks(mode, plain))
            undo.enter_context(in_use())
            for name, predicate in SCALAR_ASSERTIONS.items():
                undo.enter_context(_scalar_assertion(name, predicate))
            yield
    finally:
        internal.CHEXIFY_STORAGE = plain
        _unmock_check()
        mode.evict()


@contextlib.contextmanager
def _eager_checks(mode: ChexMode, storage: Any) -> Iterator[None]:
    """An assertion under an eager grad or vmap runs at once: ours to report too."""
    internal = _compat.checkify()
    plain = internal.check_p.impl

    def impl(*args: Any, **params: Any) -> list[Any]:
        try:
            return list(plain(*args, **params))
        except internal.JaxRuntimeError as error:
            # Under chex.chexify, or from a plain checkify.check, it is the user's own.
            if storage.level or not _in_assertion(sys._getframe()):
                raise
            _unmock_check()
            if "assertion failed!" not in str(error):  # chex's second look at the same
                mode.failed_eagerly(error.__cause__)
            return []

    internal.check_p.impl = impl
    try:
        yield
    finally:
        internal.check_p.impl = plain


def _in_assertion(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is _compat.chex_assertion_code():
            return True
        frame = frame.f_back
    return False


def _unmock_check() -> None:
    """Undoes what chex leaves behind when an assertion raises inside of it.

    It replaces `checkify.check` while an assertion emits, and restores it only where
    that ends well.
    """
    checkify.check = _compat.checkify().check


@contextlib.contextmanager
def _scalar_assertion(name: str, predicate: Callable[..., Any]) -> Iterator[None]:
    # The user may hold the function under any name (`from chex import ...`), so the
    # function itself changes: the two cells its wrapper looks its work up in.
    function = getattr(chex, name)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
    on_host, traced = cells["host_assertion_fn"], cells["jittable_assert_fn"]
    plain = on_host.cell_contents, traced.cell_contents

    def host(*args: Any, **kwargs: Any) -> None:
        plain[0](*map(_scalar, args), **{k: _scalar(v) for k, v in kwargs.items()})

    def jittable(x: Any, *args: Any, **kwargs: Any) -> Any:
        if np.shape(x) != ():
            _unmock_check()
            raise AssertionError(
                f"{name} takes a scalar, got an array of shape {np.shape(x)}. Reduce "
                "it first, for example with .all(), .min() or .max()."
            )
        passed = predicate(x, *args, **kwargs) & (x == x)  # a NaN fails each of them
        text = _message(name, f"{_wanted(name, args, kwargs)}, got {{x}}.")
        _compat.checkify().check(passed, text, x=jnp.asarray(x))
        return passed

    on_host.cell_contents, traced.cell_contents = host, jittable
    try:
        yield
    finally:
        on_host.cell_contents, traced.cell_contents = plain


def _message(name: str, text: str) -> str:
    """Chex's own form of a failed assertion, which it builds for its callers only."""
    wrapper = sys._getframe(2)
    custom = wrapper.f_locals.get("custom_message")
    user = _outside_chex(wrapper)
    where = f"{user.f_code.co_filename}:{user.f_lineno}" if user else "unknown"
    note = f" Custom message: {custom}." if custom else ""
    full = _compat.chex_internal().get_chexify_err_message(name, text)
    return f"{full}{note} [failed at: {where}]"


def _wanted(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    word = name.removeprefix("assert_scalar").strip("_").replace("_", "-")
    if word != "in":
        return f"The argument must be {word or 'a number'}"
    given = dict(zip(("min_", "max_"), args, strict=False)) | kwargs
    return f"The argument must be in [{given.get('min_')}, {given.get('max_')}]"


def _scalar(value: Any) -> Any:
    array = isinstance(value, jax.Array | np.ndarray | np.generic)
    if array and not isinstance(value, jax.core.Tracer) and np.shape(value) == ():
        return value.item()
    return value


@dataclass(frozen=True, slots=True)
class Functionalised:
    """A jaxpr whose checks became outputs.

    Attributes:
        jaxpr: the closed jaxpr, with the error's leaves before the other outputs.
        out_tree: the tree of `(error, outputs)`.
        extra: how many of the outputs are leaves of the error.
    """

    jaxpr: Any
    out_tree: Any
    extra: int

    def split(self, flat: list[Any]) -> tuple[checkify.Error, list[Any]]:
        """The error value and the outputs of a call."""
        error, outs = jax.tree.unflatten(self.out_tree, flat)
        return error, list(outs)

    def changed(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the call that follow from the extra outputs."""
        return with_outputs(self.jaxpr, params, before=self.extra, after=0)


def with_outputs(
    jaxpr: Any, params: dict[str, Any], before: int, after: int
) -> dict[str, Any]:
    """The parameters of a call whose jaxpr has further outputs at its ends."""
    free = _compat.unspecified_sharding()
    shardings, layouts = params["out_shardings"], params["out_layouts"]
    return {
        "jaxpr": jaxpr,
        "out_shardings": (*[free] * before, *shardings, *[free] * after),
        "out_layouts": (*[None] * before, *layouts, *[None] * after),
    }


def functionalise(jaxpr: Any, errors: tuple[str, ...]) -> Functionalised:
    """Turns the checks of a closed jaxpr into outputs.

    Arguments:
        jaxpr: a closed jaxpr.
        errors: further categories, "index" and "div".
    """
    enabled: set[Any] = set(checkify.user_checks)
    enabled |= checkify.index_checks if "index" in errors else set()
    enabled |= checkify.div_checks if "div" in errors else set()
    checked = checkify.checkify(_compat.jaxpr_as_fun(jaxpr), frozenset(enabled))
    with _rules(_compat.checkify()):
        new, shapes = jax.make_jaxpr(checked, return_shape=True)(*jaxpr.in_avals)
    out_tree: Any = jax.tree.structure(shapes)
    return Functionalised(new, out_tree, out_tree.num_leaves - len(jaxpr.out_avals))


@contextlib.contextmanager
def _rules(internal: Any) -> Iterator[None]:
    """Checkify's rules, with three of ours while we transform."""
    rules = internal.error_checks
    ours = {
        jax.lax.div_p: _integer_division(internal, rules[jax.lax.div_p]),
        jax.lax.rem_p: _integer_division(internal, rules[jax.lax.rem_p]),
        jax.lax.while_p: vmapped_checks.any_element(rules[jax.lax.while_p]),
    }
    before = {p: rules[p] for p in ours}
    rules.update(ours)
    try:
        yield
    finally:
        rules.update(before)


# A rule takes (error, enabled, *operands); newer JAX puts a context before these.


def _integer_division(internal: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    # Float division by zero is an Inf or a NaN, which the finite check tells exactly.
    def rule(*args: Any, **params: Any) -> Any:
        *head, error, enabled, x, y = args
        if internal.DivisionByZeroError in enabled:
            enabled = enabled - {internal.DivisionByZeroError}
            if np.issubdtype(y.dtype, np.integer):
                what = internal.DivisionByZeroError(internal.get_traceback())
                error = internal.assert_func(*head, error, (y == 0).any(), what)
        return plain(*head, error, enabled, x, y, **params)

    return rule
