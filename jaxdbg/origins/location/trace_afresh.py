"""The user's function traced afresh, so that an equation tells its module and rule.

Nothing is executed, and nothing of the user's is changed: JAX makes new objects of the
arguments for each trace. The new jaxpr is believed only where it is the old one,
equation by equation, in each body on the way to the equation that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import jax

from jaxdbg.errors import is_of_ours
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.protocol import Argument, Scopes
from jaxdbg.jax_internals.fresh_traces import Rules, fresh_traces
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.jax_internals.jaxprs.effects import NotReplayable, replayable
from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.higher_order import bodies
from jaxdbg.jax_internals.stack import UserCall
from jaxdbg.origins.found import Site


class NotTraced(Exception):
    """The function could not be traced afresh, or to another jaxpr; says why."""


class _TheirError(Exception):
    """What the user's function raised, for `__cause__`."""


@dataclass(frozen=True, slots=True)
class Retrace:
    """A function traced afresh.

    Attributes:
        jaxpr: the new closed jaxpr.
        rules: the derivative rules that were run for it.
    """

    jaxpr: Any
    rules: Rules = field(default_factory=Rules)


def retrace(
    call: UserCall, jaxpr: Any, inputs: Sequence[str], name_of: Callable[[Any], Any]
) -> Retrace:
    """Traces a function afresh, with the paths of its modules on the name stack.

    Arguments:
        call: the function, and the arguments it was called with.
        jaxpr: the closed jaxpr that it was traced to before.
        inputs: what the user calls each flat argument.
        name_of: what the user calls an array, or None.

    Raises:
        NotTraced: it cannot be traced, or is another program by now.
        Exception: a part of jaxdbg broke.
    """
    why = ""
    for may_mark in (True, False):
        try:
            new = _traced(call, jaxpr, inputs, name_of, may_mark)
        except _TheirError as raised:
            error = raised.__cause__
            why = f"tracing it again failed ({type(error).__name__}: {error})"
            continue
        if same_program(jaxpr, new.jaxpr):
            return new
        why = "traced again it is another program"
    raise NotTraced(why)


def _traced(
    call: UserCall,
    jaxpr: Any,
    inputs: Sequence[str],
    name_of: Callable[[Any], Any],
    may_mark: bool,
) -> Retrace:
    dynamic, rebuild = _flat(call)
    avals = list(jaxpr.in_avals)
    if len(dynamic) != len(avals) or len(inputs) != len(avals):
        raise NotTraced("its arguments are not those of the trace")
    known = [Argument(n, tuple(a.shape)) for n, a in zip(inputs, avals, strict=True)]
    named = {argument.name: argument for argument in known}
    tracers: dict[int, tuple[Any, Argument]] = {}

    def argument_of(value: Any) -> Argument | None:
        value = _primal(value)
        tracer, argument = tracers.get(id(value), (None, None))
        if argument is not None and tracer is value:
            return argument
        name = None if isinstance(value, jax.core.Tracer) else name_of(value)
        return Argument(name, tuple(value.shape)) if name else None

    scopes = _scopes(argument_of, named.get, may_mark)

    def program(*leaves: Any) -> Any:
        tracers.update({id(t): (t, n) for t, n in zip(leaves, known, strict=True)})
        args, kwargs = rebuild(leaves)
        function = call.function
        for scope in scopes:
            function = scope.naming(function)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if is_of_ours(error):
                raise
            raise _TheirError from error

    with our_own_work(), fresh_traces() as rules, ExitStack() as open_scopes:
        for scope in scopes:
            open_scopes.enter_context(scope.installed())
        new = jax.make_jaxpr(program)(*map(_abstract, avals))
    return Retrace(new, rules)


def _flat(call: UserCall) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves that jit traces, in its order, and the way back to arguments."""
    count = len(call.args)
    static = {i + count if i < 0 else i for i in call.static_argnums}
    args = tuple(None if i in static else a for i, a in enumerate(call.args))
    kwargs = {k: v for k, v in call.kwargs.items() if k not in call.static_argnames}
    leaves, tree = jax.tree.flatten((args, kwargs))

    def rebuild(new: Sequence[Any]) -> Any:
        new_args, new_kwargs = jax.tree.unflatten(tree, new)
        whole = [call.args[i] if i in static else a for i, a in enumerate(new_args)]
        return whole, {**call.kwargs, **new_kwargs}

    return leaves, rebuild


def _abstract(aval: Any) -> Any:
    if not hasattr(aval, "weak_type"):
        raise NotTraced(f"it takes a {type(aval).__name__}")
    new: Any = jax.ShapeDtypeStruct
    return new(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _primal(value: Any) -> Any:
    """The value that a differentiated one was made of."""
    while hasattr(value, "primal"):
        value = value.primal
    return value


def _scopes(
    argument_of: Callable[[Any], Argument | None],
    argument_named: Callable[[str], Argument | None],
    may_mark: bool,
) -> list[Scopes]:
    """Of each library of models that is loaded, what names its modules."""
    found = (f.scopes(argument_of, argument_named, may_mark) for f in loaded())
    return [scopes for scopes in found if scopes is not None]


def equation_at(site: Site, old: Any, new: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """The equation at the site's path, and those around it; None if it is another.

    Arguments:
        site: an equation of `old`.
        old, new: closed jaxprs that were traced from the same function.
    """
    try:
        old, new = replayable(old), replayable(new)
    except NotReplayable:
        return None
    found: list[Any] = []
    for n, which in site.path:
        old_body, new_body = body(old), body(new)
        if not _same_equations(old_body, new_body) or n >= len(new_body.eqns):
            return None
        found.append(new_body.eqns[n])
        inside = bodies(old_body.eqns[n]), bodies(new_body.eqns[n])
        if all(which < len(b) for b in inside):
            old, new = (b[which].jaxpr for b in inside)
    if not found or found[-1].primitive.name != site.eqn.primitive.name:
        return None
    return found[-1], tuple(found[:-1])


def same_program(old: Any, new: Any) -> bool:
    """Whether two jaxprs have the same equations at the top, by what shows."""
    return _same_equations(body(old), body(new))


def _same_equations(old: Any, new: Any) -> bool:
    return len(old.eqns) == len(new.eqns) and all(
        a.primitive is b.primitive and _shapes(a) == _shapes(b)
        for a, b in zip(old.eqns, new.eqns, strict=True)
    )


def _shapes(eqn: Any) -> list[Any]:
    return [
        (getattr(v.aval, "shape", None), getattr(v.aval, "dtype", None))
        for v in (*eqn.invars, *eqn.outvars)
    ]
