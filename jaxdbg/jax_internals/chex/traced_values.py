"""chex's assertions that look at Python values, live for traced ones in regions.

Outside of a region they refuse a traced value, each in its own way. In one the plain
assertion comes first: what it accepts at trace time it accepts.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import ConcretizationTypeError

from jaxdbg.jax_internals.chex.asserted import (
    Asserted,
    AssertionText,
    Row,
    no_rows,
    pairs,
)
from jaxdbg.jax_internals.chex.mode import (
    CHECK,
    ChexMode,
    custom_message,
    escaped,
    message,
)
from jaxdbg.jax_internals.chex.tree_assertions import names_of, own_options
from jaxdbg.jax_internals.closures import cells


@dataclass(frozen=True, slots=True)
class Traced:
    """A traced form of an assertion.

    Attributes:
        passed: whether it holds, as a scalar.
        text: what it says if not, with the names of `values` in braces.
        values: that it says.
        asserted: what it is about, where `values` are those of leaves.
    """

    passed: Any
    text: str
    values: dict[str, Any]
    asserted: Asserted | None = None


Named = Callable[[Sequence[Any]], list[list[str]]]
"""From trees to what the user's line calls their leaves."""


def _scalar(
    name: str, predicate: Callable[..., Any]
) -> Callable[..., list[Traced] | None]:
    def form(named: Named, x: Any, *args: Any, **kwargs: Any) -> list[Traced] | None:
        if np.shape(x) != ():
            raise AssertionError(
                f"{name} takes a scalar, got an array of shape {np.shape(x)}. Reduce "
                "it first, for example with .all(), .min() or .max()."
            )
        passed = predicate(x, *args, **kwargs) & (x == x)  # a NaN fails each of them
        text = f"{_wanted(name, args, kwargs)}, got {{x}}."
        return [Traced(passed, text, {"x": jnp.asarray(x)})]

    return form


def _wanted(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    word = name.removeprefix("assert_scalar").strip("_").replace("_", "-")
    if word != "in":
        return f"The argument must be {word or 'a number'}"
    given = dict(zip(("min_", "max_"), args, strict=False)) | kwargs
    return f"The argument must be in [{given.get('min_')}, {given.get('max_')}]"


def _equal(named: Named, first: Any, second: Any) -> list[Traced] | None:
    """Scalars, or lists, tuples and dicts of them: what Python's `==` looks into."""
    ones, others = jax.tree.leaves(first), jax.tree.leaves(second)
    if not (_is_plain(first) and _is_plain(second)) or any(
        np.size(x) != 1 for x in (*ones, *others)
    ):
        return None
    form: Any = jax.tree.structure(first)
    if form != jax.tree.structure(second):
        return None
    is_bare = form.num_nodes == 1
    names = zip(*named((first, second)), strict=True)
    # In a container Python takes what is the same object for equal, a NaN, too.
    both = [
        (a, b, paths)
        for a, b, paths in zip(ones, others, names, strict=True)
        if is_bare or a is not b
    ]
    same = [jnp.reshape(jnp.asarray(a == b), ()) for a, b, _ in both]
    passed = jnp.stack(same).all()
    rows = tuple(Row(paths, (), str(jnp.asarray(a).dtype)) for a, _, paths in both)
    looked = [
        [(~one).astype(jnp.int32) for one in same],
        [jnp.zeros((), jnp.int32) for _ in same],
        [tuple(jnp.reshape(jnp.asarray(x), ()) for x in (a, b)) for a, b, _ in both],
    ]
    about = Asserted("assert_equal", rows)
    return [Traced(passed, "The two are not equal.", {"looked": looked}, about)]


def _is_plain(tree: Any) -> bool:
    """Whether a tree is a value, or made of Python's own containers alone."""
    if type(tree) in (list, tuple):
        return all(map(_is_plain, tree))
    if type(tree) is dict:
        return all(map(_is_plain, tree.values()))
    return isinstance(tree, jax.Array | np.ndarray | np.generic | int | float | complex)


def _divisible(named: Named, numerator: Any, denominator: Any) -> list[Traced] | None:
    if np.size(numerator) != 1 or np.size(denominator) != 1:
        return None
    passed = jnp.reshape(jnp.asarray(numerator % denominator == 0), ())
    values = {"n": jnp.asarray(numerator), "d": jnp.asarray(denominator)}
    return [Traced(passed, "{n} is not divisible by {d}.", values)]


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

FORMS: dict[str, Callable[..., list[Traced] | None]] = {
    **{name: _scalar(name, p) for name, p in SCALAR_ASSERTIONS.items()},
    "assert_equal": _equal,
    "assert_is_divisible": _divisible,
}
"""From the arguments of an assertion to its traced forms; None where there is none, and
the plain assertion is to answer."""


COMPARATOR = "assert_trees_all_equal_comparator"
"""The assertion over trees that compares leaves by a function of the user's."""


@contextlib.contextmanager
def live(name: str, mode: ChexMode) -> Iterator[None]:
    """Has an assertion hold for traced values."""
    # The user may hold the function under any name (`from chex import ...`), so the
    # function itself changes: the cell its wrapper looks up what it does.
    host = cells(getattr(chex, name))["host_assertion_fn"]
    plain = host.cell_contents
    check = _check_comparator if name == COMPARATOR else _check_values

    def assert_on_host(*args: Any, **options: Any) -> None:
        if mode.is_live() and _has_tracers((args, options)):
            check(name, plain, args, options, sys._getframe(1), mode)
        else:
            plain(*args, **options)

    host.cell_contents = assert_on_host
    try:
        yield
    finally:
        host.cell_contents = plain


def _has_tracers(tree: Any) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


def _check_values(
    name: str,
    plain: Callable[..., None],
    args: tuple[Any, ...],
    options: dict[str, Any],
    wrapper: FrameType,
    mode: ChexMode,
) -> None:
    def named(trees: Sequence[Any]) -> list[list[str]]:
        return names_of(trees, wrapper, mode)

    def made() -> list[Traced] | None:
        return FORMS[name](named, *args, **own_options(options))

    if name in SCALAR_ASSERTIONS:
        _emit(name, made() or [], wrapper, mode)
        return
    try:
        plain(*args, **options)
    except ConcretizationTypeError:
        checks = made()
        if checks is None:
            raise
        _emit(name, checks, wrapper, mode)


def _check_comparator(
    name: str,
    plain: Callable[..., None],
    args: tuple[Any, ...],
    options: dict[str, Any],
    wrapper: FrameType,
    mode: ChexMode,
) -> None:
    compare, said, *trees = args
    verdicts: list[Any] = []

    def comparing(one: Any, other: Any) -> Any:
        verdict = compare(one, other)
        is_traced = isinstance(verdict, jax.core.Tracer) and verdict.size == 1
        verdicts.append(verdict if is_traced else None)
        return True if is_traced else verdict

    plain(comparing, said, *trees, **options)
    names = names_of((compare, said, *trees), wrapper, mode)[2:]
    made = []
    for verdict, (leaf, other) in zip(verdicts, pairs(trees), strict=True):
        if verdict is not None:
            one, another = names[0][leaf], names[other][leaf]
            both = f"{one} and {another}" if one and another else f"leaf {leaf}"
            text = f"{escaped(both)} are not equal by the comparator"
            passed = jnp.reshape(verdict, ()).astype(bool)
            made.append(Traced(passed, text, {}))
    _emit(name, made, wrapper, mode)


def _emit(
    name: str, checks: Sequence[Traced], wrapper: FrameType, mode: ChexMode
) -> None:
    mode.emitted(wrapper)
    note, said = custom_message(wrapper)
    for one in checks:
        about = one.asserted and replace(one.asserted, note=note)
        text = AssertionText.of(message(wrapper, name, one.text), about)
        CHECK.get()(one.passed, text, *said, **one.values, rows=no_rows())
