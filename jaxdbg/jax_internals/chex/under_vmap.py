"""Checks under vmap, where a branch or an iteration runs that was not taken.

`vmap` runs both branches of a `cond` whose predicate it maps over, and iterates a
`while` until every element is done. A check in there would fail for elements that never
reached it. So before JAX maps such a branch or body, each check in it gets the
condition under which it counts; and a mapped `while`, which checkify refuses, gets a
scalar predicate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from jaxdbg.jax_internals.chex.asserted import AssertionText, with_row
from jaxdbg.jax_internals.jaxprs.evaluate import Frame, Visitor, evaluate
from jaxdbg.jax_internals.jaxprs.forms import in_avals, out_avals
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Call,
    Cond,
    HigherOrder,
    Loop,
    structure_of,
)
from jaxdbg.jax_internals.jaxprs.rebuild import still_running, while_test
from jaxdbg.jax_internals.names import jaxpr_as_fun
from jaxdbg.jax_internals.requirements import missing, private

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, ClosedJaxpr, JaxprEqn


_BATCHERS = private("jax._src.interpreters.batching.fancy_primitive_batchers", "chex")
_CHECK = private("jax._src.checkify.check_p", "chex")
_ERROR_EFFECT = private("jax._src.checkify.ErrorEffect", "chex")
_PREDICATES = private("jax._src.checkify.Error._pred", "chex")
_METADATA = private("jax._src.checkify.Error._metadata", "chex")
_PAYLOADS = private("jax._src.checkify.Error._payload", "chex")


def has_checks(jaxpr: AnyJaxpr | JaxprEqn) -> bool:
    """Whether a jaxpr, or an equation, holds a check that is to be functionalised."""
    if not jaxpr.effects or missing("chex"):
        return False
    return any(isinstance(e, _ERROR_EFFECT.get()) for e in jaxpr.effects)


def failing_text(eqn: JaxprEqn, operands: Sequence[Any]) -> str:
    """The text of a check that fails for these operands; empty if it does not."""
    error = jax.tree.unflatten(eqn.params["err_tree"], operands)
    if not any(bool(np.asarray(p).any()) for p in _PREDICATES.of(error).values()):
        return ""
    (metadata,) = _METADATA.of(error).values()
    (payload,) = _PAYLOADS.of(error).values()
    return str(getattr(jax.tree.unflatten(metadata, payload), "fmt_string", ""))


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Guards the checks in what `vmap` maps, while it is open."""
    batchers = _BATCHERS.get()
    cond, loop = jax.lax.cond_p, jax.lax.while_p
    check = _CHECK.get()
    plain = {primitive: batchers[primitive] for primitive in (cond, loop, check)}
    batchers[cond] = _guarded_cond(plain[cond])
    batchers[loop] = _guarded_while(plain[loop])
    batchers[check] = _noting_the_row(plain[check])
    try:
        yield
    finally:
        batchers.update(plain)


def _noting_the_row(plain: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a check, of whose failing rows one is left: with its number."""

    def rule(axis: Any, args: Any, dims: Any, **params: Any) -> Any:
        mapped = [d is not None for d in dims]
        if any(mapped):
            numbers = jax.tree.unflatten(params["err_tree"], range(len(args)))
            args, dims = list(args), list(dims)
            for at in _rows_in(numbers):
                rows = args[at]
                rows = jnp.moveaxis(rows, dims[at], 0) if mapped[at] else rows
                args[at], dims[at] = with_row(rows, axis.size), 0
        return plain(axis, tuple(args), tuple(dims), **params)

    return rule


def _rows_in(error: Any) -> list[int]:
    """Which operands of a check are the rows of an assertion."""
    (metadata,) = _METADATA.of(error).values()
    found = []
    for payload in _PAYLOADS.of(error).values():
        exception = jax.tree.unflatten(metadata, payload)
        if isinstance(getattr(exception, "fmt_string", None), AssertionText):
            found.append(exception.kwargs["rows"])
    return found


def _guarded_cond(plain: Callable[..., Any]) -> Callable[..., Any]:
    def rule(axis: Any, args: Any, dims: Any, **params: Any) -> Any:
        cond = cast(Cond, structure_of(jax.lax.cond_p.name, params, len(args)))
        branches = [b.jaxpr for b in cond.bodies]
        if dims[0] is not None and any(map(has_checks, branches)):
            guarded = [_only_if_taken(b, n) for n, b in enumerate(branches)]
            params |= cond.params(guarded)
            args, dims = (args[0], *args), (dims[0], *dims)
        return plain(axis, args, dims, **params)

    return rule


def _only_if_taken(branch: AnyJaxpr, number: int) -> ClosedJaxpr:
    def run(index: Any, *operands: Any) -> list[Any]:
        return evaluate(branch, operands, _Guarding(index == number))

    return jax.make_jaxpr(run)(0, *in_avals(branch))


def _guarded_while(plain: Callable[..., Any]) -> Callable[..., Any]:
    def rule(axis: Any, args: Any, dims: Any, **params: Any) -> Any:
        loop = _while_of(params, args)
        if has_checks(loop.step.jaxpr):
            n = len(loop.operands(args).test_consts)
            params |= _only_while_running(loop, n)
            args, dims = (*args[:n], *args), (*dims[:n], *dims)
        return plain(axis, args, dims, **params)

    return rule


def _while_of(params: dict[str, Any], args: Sequence[Any]) -> Loop:
    return cast(Loop, structure_of(jax.lax.while_p.name, params, len(args)))


def _only_while_running(loop: Loop, n_test: int) -> dict[str, Any]:
    """The parameters of a loop whose step takes the constants of the test, too."""
    assert loop.test is not None
    test, step = loop.test.jaxpr, loop.step.jaxpr

    def run(*values: Any) -> list[Any]:
        _, carry, _ = loop.inputs(values[n_test:])
        running = while_test(loop)(*values[:n_test], *carry)
        return evaluate(step, values[n_test:], _Guarding(running))

    guarded = jax.make_jaxpr(run)(*in_avals(test)[:n_test], *in_avals(step))
    return loop.while_params(test, n_test, guarded, n_test + loop.n_consts)


class _Guarding(Visitor[Any]):
    """Evaluates a jaxpr whose checks hold only where `counts` is true."""

    def __init__(self, counts: Any):
        self._counts = counts

    def enters(self, frame: Frame, n: int, inner: HigherOrder) -> bool:
        called = isinstance(inner, Call) and super().enters(frame, n, inner)
        return called and has_checks(inner.bodies[0].jaxpr)

    def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
        eqn = frame.eqns[n]
        if eqn.primitive is _CHECK.get():
            error = jax.tree.unflatten(eqn.params["err_tree"], ins)
            predicates = _PREDICATES.of(error)
            for effect, failed in predicates.items():
                predicates[effect] = failed & self._counts
            ins = jax.tree.leaves(error)
        return super().bind(frame, n, ins)


def any_element(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Checkify's rule for `while`, also for a predicate for each batch element.

    Such a loop runs until every element is done and keeps the values of those that
    are, as JAX's own lowering of it says.
    """

    # A rule takes (error, enabled, *operands); newer JAX puts a context before these.
    def rule(*args: Any, **params: Any) -> Any:
        error = (i for i, a in enumerate(args) if isinstance(a, checkify.Error))
        start = next(error) + 2
        loop = _while_of(params, args[start:])
        assert loop.test is not None
        if out_avals(loop.test.jaxpr)[0].shape:
            operands, params = _unbatched(loop, params, args[start:])
            args = (*args[:start], *operands)
        return plain(*args, **params)

    return rule


def _unbatched(
    loop: Loop, params: dict[str, Any], args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    test_consts, consts, carry, _ = loop.operands(args)
    n_test, test = len(test_consts), while_test(loop)
    body = jaxpr_as_fun(loop.step.jaxpr)

    def running(*values: Any) -> Any:
        return test(*values).any()

    def step(*values: Any) -> list[Any]:
        _, old, _ = loop.inputs(values[n_test:])
        still = test(*values[:n_test], *old)
        return still_running(still, body(*values[n_test:]), old)

    unbatched = loop.while_params(
        jax.make_jaxpr(running)(*test_consts, *carry),
        n_test,
        jax.make_jaxpr(step)(*test_consts, *consts, *carry),
        n_test + loop.n_consts,
    )
    return (*test_consts, *test_consts, *consts, *carry), params | unbatched
