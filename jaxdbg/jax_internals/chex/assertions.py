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
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from jaxdbg.jax_internals.chex import under_vmap
from jaxdbg.jax_internals.chex.asserted import (
    FINITE,
    Asserted,
    AssertionText,
    Form,
    Row,
    are_alike,
    close,
    equal,
    no_rows,
    pairs,
)
from jaxdbg.jax_internals.closures import cells
from jaxdbg.jax_internals.identities import Living
from jaxdbg.jax_internals.interpose import is_ours
from jaxdbg.jax_internals.names import evict_traces
from jaxdbg.jax_internals.requirements import missing, private
from jaxdbg.jax_internals.stack import functions_called, functions_traced
from jaxdbg.jax_internals.stand_ins import in_use, is_stand_in, remember
from jaxdbg.jax_internals.user_frames import outward

_CHECK = private("jax._src.checkify.check", "chex")
_CHECK_PRIMITIVE = private("jax._src.checkify.check_p", "chex")
_ERROR = private("jax._src.checkify.JaxRuntimeError", "chex")
_STORAGE = private("chex._src.asserts_internal.CHEXIFY_STORAGE", "chex")
_LEVEL = private("chex._src.asserts_internal.CHEXIFY_STORAGE.level", "chex")
_TEXT = private("chex._src.asserts_internal.get_chexify_err_message", "chex")
_ASSERTION = private(
    "chex._src.asserts_internal.chex_assertion.<locals>._chex_assert_fn",
    "chex",
    variables=(
        "custom_message",
        "exception_type",
        "host_assertion_fn",
        "jittable_assert_fn",
    ),
    constants=("assertion failed!",),
)

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


LeafNames = Callable[[FrameType, Sequence[Any]], list[list[str]]]
"""From the user's frame and the trees that it passes to the names of their leaves."""


class ChexMode:
    """The state of chex mode, from the first region that opens to the last that ends.

    Arguments:
        failed_eagerly: called with checkify's exception when an assertion fails outside
            of any jitted call; may raise.
        is_in_region: whether what is called here belongs to a region. For what does
            not, chex is as ever.
        broke: called with what jaxdbg was doing when a part of it broke, and the error.
        leaf_names: what the line of an assertion calls the leaves of its trees; by
            tree, in JAX's order, empty where there is no name.
    """

    def __init__(
        self,
        failed_eagerly: Callable[[Any], None],
        is_in_region: Callable[[], bool],
        broke: Callable[[str, Exception], None],
        leaf_names: LeafNames,
    ) -> None:
        self.failed_eagerly = failed_eagerly
        self.is_in_region = is_in_region
        self.broke = broke
        self.leaf_names = leaf_names
        # Held, a function would be found in JAX's caches by one that is equal to it.
        self._asserting, self._traced = Living(), Living()
        self._conservative = False

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
    user = _outside_chex(frame)
    if user is not None:
        wanted = (_ASSERTION.variables_in(frame) or {}).get("exception_type")
        _exception_types[user.f_code.co_filename, user.f_lineno] = (
            wanted or AssertionError
        )


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
        if level or caller.f_code not in _ASSERTION.codes():
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
            for name, predicate in SCALAR_ASSERTIONS.items():
                undo.enter_context(_scalar_assertion(name, predicate, mode))
            for name, form in TREE_ASSERTIONS.items():
                undo.enter_context(_tree_assertion(name, form, mode, plain))
            yield
    finally:
        _STORAGE.put(plain)
        _unmock_check()
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
            _unmock_check()
            if "assertion failed!" not in str(error):  # chex's second look at the same
                mode.failed_eagerly(error.__cause__)
            return []

    primitive.impl = impl
    try:
        yield
    finally:
        primitive.impl = plain


def _in_assertion(frame: FrameType | None) -> bool:
    codes = _ASSERTION.codes()
    return any(one.f_code in codes for one in outward(frame))


def _unmock_check() -> None:
    """Undoes what chex leaves behind when an assertion raises inside of it.

    It replaces `checkify.check` while an assertion emits, and restores it only where
    that ends well.
    """
    checkify.check = _CHECK.get()


@contextlib.contextmanager
def _scalar_assertion(
    name: str, predicate: Callable[..., Any], mode: ChexMode
) -> Iterator[None]:
    # The user may hold the function under any name (`from chex import ...`), so the
    # function itself changes: the cell its wrapper looks up what it does in traced
    # code. Outside of it, it refuses arrays, as without a region.
    traced = cells(getattr(chex, name))["jittable_assert_fn"]
    plain = traced.cell_contents

    def jittable(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not (is_ours() or mode.is_in_region()):
            return plain(x, *args, **kwargs)
        if np.shape(x) != ():
            _unmock_check()
            raise AssertionError(
                f"{name} takes a scalar, got an array of shape {np.shape(x)}. Reduce "
                "it first, for example with .all(), .min() or .max()."
            )
        passed = predicate(x, *args, **kwargs) & (x == x)  # a NaN fails each of them
        wrapper = sys._getframe(1)
        text = _message(wrapper, name, f"{_wanted(name, args, kwargs)}, got {{x}}.")
        said = AssertionText.of(text)
        _CHECK.get()(passed, said, x=jnp.asarray(x), rows=no_rows())
        return passed

    traced.cell_contents = jittable
    try:
        yield
    finally:
        traced.cell_contents = plain


def _finite(*trees: Any) -> Form | None:
    return FINITE if len(trees) == 1 else None


def _equal(*trees: Any, strict: bool = True) -> Form | None:
    return equal() if strict and len(trees) > 1 else None


def _close(
    *trees: Any, rtol: float = 1e-06, atol: float = 0.0, strict: bool = False
) -> Form | None:
    return None if strict or len(trees) < 2 else close(rtol, atol)


TREE_ASSERTIONS: dict[str, Callable[..., Form | None]] = {
    "assert_tree_all_finite": _finite,
    "assert_trees_all_equal": _equal,
    "assert_trees_all_close": _close,
}
"""chex's assertions over trees: from their arguments to a form that says which leaf;
None where chex's own form is to answer, or refuses."""


@contextlib.contextmanager
def _tree_assertion(
    name: str, form_of: Callable[..., Form | None], mode: ChexMode, storage: Any
) -> Iterator[None]:
    traced = cells(getattr(chex, name))["jittable_assert_fn"]
    plain = traced.cell_contents

    def jittable(*trees: Any, **options: Any) -> Any:
        # A function that the user chexified says what chex says.
        if storage.level or not (is_ours() or mode.is_in_region()):
            return plain(*trees, **options)
        made = None
        # What cannot be said of these trees: then chex's own form says what it can.
        with contextlib.suppress(Exception):
            made = _looked_at(name, form_of(*trees, **options), trees, mode)
        if made is None:
            return plain(*trees, **options)
        passed, text, looked = made
        _CHECK.get()(passed, text, looked=looked, rows=no_rows())
        return passed

    traced.cell_contents = jittable
    try:
        yield
    finally:
        traced.cell_contents = plain


def _looked_at(
    name: str, form: Form | None, trees: Sequence[Any], mode: ChexMode
) -> tuple[Any, AssertionText, Any] | None:
    """Whether an assertion holds, what it says if not, and the values for that."""
    if form is None:
        return None
    wrapper = sys._getframe(2)
    rows = _rows(trees)
    if not rows or not are_alike(rows):
        return None
    asserted = _asserted(name, rows, trees, wrapper, mode)
    asserted = replace(asserted, tolerance=form.tolerance)
    passed, looked = form.look(rows)
    return (
        passed,
        AssertionText.of(_message(wrapper, name, form.text), asserted),
        looked,
    )


def _rows(trees: Sequence[Any]) -> list[tuple[Any, ...]]:
    first, *others = map(jax.tree.leaves, trees)
    if not others:
        return [(x,) for x in first]
    if len(set(map(jax.tree.structure, trees))) > 1:
        return []
    return [(first[leaf], others[n - 1][leaf]) for leaf, n in pairs(trees)]


def _asserted(
    name: str,
    rows: Sequence[tuple[Any, ...]],
    trees: Sequence[Any],
    wrapper: FrameType,
    mode: ChexMode,
) -> Asserted:
    user = _outside_chex(wrapper)
    names: list[list[str]] = []
    try:
        names = mode.leaf_names(user, trees) if user is not None else []
    except Exception as error:  # the assertion is to say what it can
        mode.broke("naming what an assertion is about", error)
    if len(names) != len(trees):
        names = [[""] * len(jax.tree.leaves(t)) for t in trees]
    if len(trees) == 1:
        paths: list[tuple[str, ...]] = [(path,) for path in names[0]]
    else:
        paths = [(names[0][leaf], names[n][leaf]) for leaf, n in pairs(trees)]
    described = (
        Row(p, np.shape(r[0]), str(jnp.asarray(r[0]).dtype))
        for p, r in zip(paths, rows, strict=True)
    )
    custom = (_ASSERTION.variables_in(wrapper) or {}).get("custom_message")
    return Asserted(name, tuple(described), str(custom or ""))


def _message(wrapper: FrameType, name: str, text: str) -> str:
    """Chex's own form of a failed assertion, which it builds for its callers only."""
    custom = (_ASSERTION.variables_in(wrapper) or {}).get("custom_message")
    user = _outside_chex(wrapper)
    where = f"{user.f_code.co_filename}:{user.f_lineno}" if user else "unknown"
    note = f" Custom message: {custom}." if custom else ""
    full = _TEXT.get()(name, text)
    return f"{full}{note} [failed at: {where}]"


def _wanted(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    word = name.removeprefix("assert_scalar").strip("_").replace("_", "-")
    if word != "in":
        return f"The argument must be {word or 'a number'}"
    given = dict(zip(("min_", "max_"), args, strict=False)) | kwargs
    return f"The argument must be in [{given.get('min_')}, {given.get('max_')}]"
