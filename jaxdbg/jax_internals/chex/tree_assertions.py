"""chex's assertions over trees, in regions: which leaf, which element, and values.

In traced code a check holds them beside chex's own verdict. On the host they are looked
at when chex has refused.
"""

from __future__ import annotations

import contextlib
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

from jaxdbg.jax_internals.chex.asserted import (
    FINITE,
    Asserted,
    AssertionText,
    Form,
    Row,
    are_alike,
    close,
    equal,
    failed_in,
    have_one_shape,
    no_rows,
    pairs,
    within_ulp,
)
from jaxdbg.jax_internals.chex.mode import (
    CHECK,
    ChexMode,
    custom_message,
    message,
    outside_chex,
)
from jaxdbg.jax_internals.closures import cells
from jaxdbg.jax_internals.interpose import is_ours, our_own_work
from jaxdbg.jax_internals.requirements import private

_MOCK = private(
    "chex._src.asserts_internal.chex_assertion.<locals>._chex_assert_fn.<locals>._check",
    "chex",
    variables=("original_check",),
)


def _finite(*trees: Any) -> Form | None:
    return FINITE if len(trees) == 1 else None


def _equal(*trees: Any, strict: bool = True) -> Form | None:
    return equal() if strict and len(trees) > 1 else None


def _close(
    *trees: Any, rtol: float = 1e-06, atol: float = 0.0, strict: bool = False
) -> Form | None:
    return None if strict or len(trees) < 2 else close(rtol, atol)


def _ulp(*trees: Any, maxulp: int = 1) -> Form | None:
    return within_ulp(maxulp) if len(trees) > 1 else None


TREE_ASSERTIONS: dict[str, Callable[..., Form | None]] = {
    "assert_tree_all_finite": _finite,
    "assert_trees_all_equal": _equal,
    "assert_trees_all_close": _close,
    "assert_trees_all_close_ulp": _ulp,
}
"""chex's assertions over trees: from their arguments to a form that says which leaf;
None where chex's own form is to answer, or refuses."""


@contextlib.contextmanager
def tree_assertion(name: str, mode: ChexMode, storage: Any) -> Iterator[None]:
    """Has an assertion over trees say which leaf, traced and on the host."""
    inside = cells(getattr(chex, name))
    traced, host = inside["jittable_assert_fn"], inside["host_assertion_fn"]
    before = traced.cell_contents, host.cell_contents
    traced.cell_contents = _traced(name, mode, storage, before[0])
    host.cell_contents = _on_host(name, mode, before[1])
    try:
        yield
    finally:
        traced.cell_contents, host.cell_contents = before


def _traced(
    name: str, mode: ChexMode, storage: Any, plain: Callable[..., Any]
) -> Callable[..., Any]:
    form_of = TREE_ASSERTIONS[name]

    def jittable(*trees: Any, **options: Any) -> Any:
        if not mode.is_live():
            return plain(*trees, **options)
        made, wrapper = None, sys._getframe(1)
        # What cannot be said of these trees: then chex's own form says what it can.
        with contextlib.suppress(Exception):
            made = _looked_at(name, form_of(*trees, **options), trees, mode, wrapper)
        if made is None:
            return plain(*trees, **options)
        passed, text, looked = made
        if storage.level:
            mode.emitted(wrapper)
            with _with_its_values(text.asserted, looked):
                return plain(*trees, **options)
        _, said = custom_message(wrapper)
        CHECK.get()(passed, text, *said, looked=looked, rows=no_rows())
        return passed

    return jittable


@contextlib.contextmanager
def _with_its_values(asserted: Asserted | None, looked: Any) -> Iterator[None]:
    """The checks that chex emits now say what they say, and hold the values, too.

    For functions that the user has chexified: what they raise outside of regions, too,
    has chex's own text.
    """
    mock = checkify.check
    if getattr(mock, "__code__", None) not in _MOCK.codes():
        yield
        return
    cell = cells(mock)["original_check"]  # type: ignore[arg-type]
    plain = cell.cell_contents

    def check(passed: Any, text: str, *args: Any, **values: Any) -> Any:
        text = AssertionText.of(text, asserted)
        return plain(passed, text, *args, **values, looked=looked, rows=no_rows())

    cell.cell_contents = check
    try:
        yield
    finally:
        cell.cell_contents = plain


def _looked_at(
    name: str,
    form: Form | None,
    trees: Sequence[Any],
    mode: ChexMode,
    wrapper: FrameType,
) -> tuple[Any, AssertionText, Any] | None:
    """Whether an assertion holds, what it says if not, and the values for that."""
    if form is None:
        return None
    rows = [tuple(map(jnp.asarray, row)) for row in _rows(trees)]
    if not rows or not are_alike(rows):
        return None
    asserted = _asserted(name, rows, trees, wrapper, mode)
    asserted = replace(asserted, tolerance=form.tolerance)
    passed, looked = form.look(rows)
    text = AssertionText.of(message(wrapper, name, form.text), asserted)
    return passed, text, looked


def _on_host(
    name: str, mode: ChexMode, plain: Callable[..., None]
) -> Callable[..., None]:
    form_of = TREE_ASSERTIONS[name]

    def assert_on_host(*trees: Any, **options: Any) -> None:
        failure = None
        try:
            plain(*trees, **options)
            return
        except Exception as error:
            # Of what is refused for another reason chex says it: another structure.
            if is_ours() or not mode.is_in_region() or not _is_failure(error, options):
                raise
            wrapper, own = sys._getframe(1), own_options(options)
            own.pop("strict", None)  # that shapes are the same is seen anyhow
            try:
                with our_own_work():
                    form = form_of(*trees, **own)
                    failure = _failure(name, form, trees, error, mode, wrapper)
            except Exception:  # what holds no numbers, or is not here
                failure = None
            if failure is None:
                raise
        raise failure

    return assert_on_host


_OF_ALL = (
    "custom_message",
    "custom_message_format_vars",
    "include_default_message",
    "exception_type",
)
"""The options that each assertion of chex has."""


def own_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of an assertion itself."""
    return {k: v for k, v in options.items() if k not in _OF_ALL}


def _is_failure(error: Exception, options: dict[str, Any]) -> bool:
    return isinstance(error, options.get("exception_type", AssertionError))


def _failure(
    name: str,
    form: Form | None,
    trees: Sequence[Any],
    error: Exception,
    mode: ChexMode,
    wrapper: FrameType,
) -> Any:
    """What to raise for an assertion that chex has found to fail; None for its own."""
    rows = [tuple(map(np.asarray, row)) for row in _rows(trees)]
    user = outside_chex(wrapper)
    if form is None or not rows or not have_one_shape(rows) or user is None:
        return None
    _, looked = form.look(rows, np)
    asserted = _asserted(name, rows, trees, wrapper, mode)
    asserted = replace(asserted, tolerance=form.tolerance)
    failed = failed_in(asserted, looked)
    if not failed:
        return None
    return mode.failed_on_host(asserted, failed, error, user)


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
    names = names_of(trees, wrapper, mode)
    if len(trees) == 1:
        paths: list[tuple[str, ...]] = [(path,) for path in names[0]]
    else:
        paths = [(names[0][leaf], names[n][leaf]) for leaf, n in pairs(trees)]
    described = (
        Row(p, np.shape(r[0]), str(r[0].dtype))
        for p, r in zip(paths, rows, strict=True)
    )
    return Asserted(name, tuple(described), custom_message(wrapper)[0])


def names_of(
    trees: Sequence[Any], wrapper: FrameType, mode: ChexMode
) -> list[list[str]]:
    """By tree what the user's line calls its leaves."""
    user = outside_chex(wrapper)
    names: list[list[str]] = []
    try:
        names = mode.leaf_names(user, trees) if user is not None else []
    except Exception as error:  # the assertion is to say what it can
        mode.broke("naming what an assertion is about", error)
    if len(names) != len(trees):
        names = [[""] * len(jax.tree.leaves(t)) for t in trees]
    return names
