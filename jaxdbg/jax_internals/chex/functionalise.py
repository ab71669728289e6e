"""Checks turned into outputs of a jaxpr, by checkify's own transformation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.experimental import checkify

from jaxdbg.jax_internals.chex.under_vmap import any_element
from jaxdbg.jax_internals.names import jaxpr_as_fun, unspecified_sharding
from jaxdbg.jax_internals.requirements import private

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr

private("jax._src.core.jaxpr_as_fun", "chex")  # by names.jaxpr_as_fun
_RULES = private("jax._src.checkify.error_checks", "chex")
_DIVISION = private("jax._src.checkify.DivisionByZeroError", "chex")
_TRACEBACK = private("jax._src.checkify.get_traceback", "chex")
_ASSERT = private("jax._src.checkify.assert_func", "chex")


@dataclass(frozen=True, slots=True)
class Functionalised:
    """A jaxpr whose checks became outputs.

    Attributes:
        jaxpr: the closed jaxpr, with the error's leaves before the other outputs.
        out_tree: the tree of `(error, outputs)`.
        extra: how many of the outputs are leaves of the error.
    """

    jaxpr: ClosedJaxpr
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
    jaxpr: ClosedJaxpr, params: dict[str, Any], before: int, after: int
) -> dict[str, Any]:
    """The parameters of a call whose jaxpr has further outputs at its ends."""
    free = unspecified_sharding()
    shardings, layouts = params["out_shardings"], params["out_layouts"]
    return {
        "jaxpr": jaxpr,
        "out_shardings": (*[free] * before, *shardings, *[free] * after),
        "out_layouts": (*[None] * before, *layouts, *[None] * after),
    }


def functionalise(jaxpr: ClosedJaxpr, errors: tuple[str, ...]) -> Functionalised:
    """Turns the checks of a closed jaxpr into outputs.

    Arguments:
        jaxpr: a closed jaxpr.
        errors: further categories, "index" and "div".
    """
    enabled: set[Any] = set(checkify.user_checks)
    enabled |= checkify.index_checks if "index" in errors else set()
    enabled |= checkify.div_checks if "div" in errors else set()
    checked = checkify.checkify(jaxpr_as_fun(jaxpr), frozenset(enabled))
    with _rules():
        new, shapes = jax.make_jaxpr(checked, return_shape=True)(*jaxpr.in_avals)
    out_tree: Any = jax.tree.structure(shapes)
    return Functionalised(new, out_tree, out_tree.num_leaves - len(jaxpr.out_avals))


@contextlib.contextmanager
def _rules() -> Iterator[None]:
    """Checkify's rules, with three of ours while we transform."""
    rules = _RULES.get()
    ours = {
        jax.lax.div_p: _integer_division(rules[jax.lax.div_p]),
        jax.lax.rem_p: _integer_division(rules[jax.lax.rem_p]),
        jax.lax.while_p: any_element(rules[jax.lax.while_p]),
    }
    before = {p: rules[p] for p in ours}
    rules.update(ours)
    try:
        yield
    finally:
        rules.update(before)


# A rule takes (error, enabled, *operands); newer JAX puts a context before these.


def _integer_division(plain: Callable[..., Any]) -> Callable[..., Any]:
    # Float division by zero is an Inf or a NaN, which the finite check tells exactly.
    def rule(*args: Any, **params: Any) -> Any:
        *head, error, enabled, x, y = args
        division = _DIVISION.get()
        if division in enabled:
            enabled = enabled - {division}
            if np.issubdtype(y.dtype, np.integer):
                what = division(_TRACEBACK.get()())
                error = _ASSERT.get()(*head, error, (y == 0).any(), what)
        return plain(*head, error, enabled, x, y, **params)

    return rule
