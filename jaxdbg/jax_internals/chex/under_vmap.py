"""Checks under vmap, where a branch or an iteration runs that was not taken.

`vmap` runs both branches of a `cond` whose predicate it maps over, and goes on with a
`while` until every element is done. A check in there would fail for elements that never
came to it. So before JAX maps such a branch or body, each check in it is given the
condition under which it counts; and checkify, which refuses the mapped `while`, gets it
in words that it knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.experimental import checkify

from jaxdbg.jax_internals import names as _compat
from jaxdbg.jax_internals.jaxprs import BODIES, bind_equation, evaluate, keep_running


def has_checks(jaxpr: Any) -> bool:
    """Whether a jaxpr holds a check that was not functionalised."""
    return bool(jaxpr.effects) and any(
        isinstance(e, _compat.checkify().ErrorEffect) for e in jaxpr.effects
    )


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Guards the checks in what `vmap` maps, while it is open."""
    batchers = _compat.batchers()
    cond, loop = jax.lax.cond_p, jax.lax.while_p
    plain = batchers[cond], batchers[loop]
    batchers[cond] = _guarded_cond(plain[0])
    batchers[loop] = _guarded_while(plain[1])
    try:
        yield
    finally:
        batchers[cond], batchers[loop] = plain


def _guarded_cond(plain: Callable[..., Any]) -> Callable[..., Any]:
    def rule(
        axis: Any, args: Any, dims: Any, *, branches: tuple[Any, ...], **params: Any
    ) -> Any:
        if dims[0] is not None and any(map(has_checks, branches)):
            branches = tuple(_only_if_taken(b, n) for n, b in enumerate(branches))
            args, dims = (args[0], *args), (dims[0], *dims)
        return plain(axis, args, dims, branches=branches, **params)

    return rule


def _only_if_taken(branch: Any, number: int) -> Any:
    def run(index: Any, *operands: Any) -> list[Any]:
        return _closed(branch, operands, index == number)

    return jax.make_jaxpr(run)(0, *branch.in_avals)


def _guarded_while(plain: Callable[..., Any]) -> Callable[..., Any]:
    def rule(axis: Any, args: Any, dims: Any, **params: Any) -> Any:
        if has_checks(params["body_jaxpr"]):
            n = params["cond_nconsts"]
            params |= {
                "body_jaxpr": _only_while_running(params),
                "body_nconsts": n + params["body_nconsts"],
            }
            args, dims = (*args[:n], *args), (*dims[:n], *dims)
        return plain(axis, args, dims, **params)

    return rule


def _only_while_running(params: dict[str, Any]) -> Any:
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond, body = params["cond_jaxpr"], params["body_jaxpr"]

    def run(*values: Any) -> list[Any]:
        for_cond, for_body = values[:n_cond], values[n_cond : n_cond + n_body]
        carry = values[n_cond + n_body :]
        running = _compat.jaxpr_as_fun(cond)(*for_cond, *carry)[0]
        return _closed(body, (*for_body, *carry), running)

    return jax.make_jaxpr(run)(*cond.in_avals[:n_cond], *body.in_avals)


def _closed(jaxpr: Any, args: Any, counts: Any) -> list[Any]:
    """Evaluates a closed jaxpr whose checks hold only where `counts` is true."""
    return evaluate(jaxpr, args, lambda eqn, ins: _equation(eqn, ins, counts))


def _equation(eqn: Any, ins: list[Any], counts: Any) -> list[Any]:
    name = eqn.primitive.name
    if eqn.primitive is _compat.checkify().check_p:
        error = jax.tree.unflatten(eqn.params["err_tree"], ins)
        for effect, failed in error._pred.items():
            error._pred[effect] = failed & counts
        return bind_equation(eqn, jax.tree.leaves(error))
    if name in BODIES and has_checks(eqn.params[BODIES[name]]):
        return _closed(eqn.params[BODIES[name]], ins, counts)
    return bind_equation(eqn, ins)


def any_element(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Checkify's rule for `while`, also for a predicate for each batch element.

    Such a loop runs until every element is done and keeps the values of those that
    are, as JAX's own lowering of it says.
    """

    # A rule takes (error, enabled, *operands); newer JAX puts a context before these.
    def rule(*args: Any, **params: Any) -> Any:
        if params["cond_jaxpr"].out_avals[0].shape:
            error = (i for i, a in enumerate(args) if isinstance(a, checkify.Error))
            start = next(error) + 2
            operands, params = _unbatched(params, args[start:])
            args = (*args[:start], *operands)
        return plain(*args, **params)

    return rule


def _unbatched(
    params: dict[str, Any], args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond = _compat.jaxpr_as_fun(params["cond_jaxpr"])
    body = _compat.jaxpr_as_fun(params["body_jaxpr"])
    consts, carry = args[: n_cond + n_body], args[n_cond + n_body :]

    def go_on(*values: Any) -> Any:
        return cond(*values)[0].any()

    def step(*values: Any) -> list[Any]:
        for_cond, for_body = values[:n_cond], values[n_cond : n_cond + n_body]
        old = values[n_cond + n_body :]
        running = cond(*for_cond, *old)[0]
        new = body(*for_body, *old)
        return [keep_running(running, n, o) for n, o in zip(new, old, strict=True)]

    unbatched = {
        "cond_nconsts": n_cond,
        "cond_jaxpr": jax.make_jaxpr(go_on)(*consts[:n_cond], *carry),
        "body_nconsts": n_cond + n_body,
        "body_jaxpr": jax.make_jaxpr(step)(*consts, *carry),
    }
    return (*consts[:n_cond], *consts, *carry), params | unbatched
