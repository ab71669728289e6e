"""The user's function traced afresh, for the module and the rule of an equation.

Nothing is executed, and nothing of the user's is changed: JAX makes new objects of the
arguments for each trace. The old and the new jaxpr are compared by `same_program`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.errors import is_of_ours
from jaxdbg.frameworks.framework import Argument, Scopes
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.binds import Binds
from jaxdbg.jax_internals.fresh_traces import fresh_traces
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.jax_internals.stack import UserCall
from jaxdbg.origins.location.same_program import same_program

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr


class NotTraced(Exception):
    """The function could not be traced afresh, or to another jaxpr; says why."""


class _TheirError(Exception):
    """What the user's function raised, as `__cause__`."""

    def __str__(self) -> str:
        error = self.__cause__
        return f"tracing it again failed ({type(error).__name__}: {error})"


@dataclass(frozen=True, slots=True)
class FreshTrace:
    """A function traced afresh.

    Attributes:
        jaxpr: the new closed jaxpr.
        binds: what it bound, in order.
        seconds: how long it took.
        again: traces the function once more in the same way, for other `binds`; raises
            NotTraced where it then fails.
    """

    jaxpr: ClosedJaxpr
    binds: Binds
    seconds: float
    again: Callable[[Binds], FreshTrace] = field(repr=False)


def trace_afresh(
    call: UserCall,
    jaxpr: ClosedJaxpr,
    inputs: Sequence[str],
    name_of: Callable[[Any], str | None],
) -> FreshTrace:
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
    for may_set_attribute in (True, False):
        try:
            new = _traced(call, jaxpr, inputs, name_of, may_set_attribute, Binds())
        except _TheirError as raised:
            why = str(raised)
            continue
        if same_program(jaxpr, new.jaxpr):
            return new
        why = "traced again it is another program"
    raise NotTraced(why)


def _traced(
    call: UserCall,
    jaxpr: ClosedJaxpr,
    inputs: Sequence[str],
    name_of: Callable[[Any], str | None],
    may_set_attribute: bool,
    binds: Binds,
) -> FreshTrace:
    dynamic, rebuild = _flat(call)
    avals = list(jaxpr.in_avals)
    if len(dynamic) != len(avals) or len(inputs) != len(avals):
        raise NotTraced("its arguments are not those of the trace")
    arguments = _Arguments(inputs, avals, name_of)
    scopes = _scopes(arguments.of, arguments.named, may_set_attribute)

    def program(*leaves: Any) -> Any:
        arguments.traced(leaves)
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

    began = time.perf_counter()
    with our_own_work(), fresh_traces(), ExitStack() as open_scopes:
        for scope in scopes:
            open_scopes.enter_context(scope.installed())
        open_scopes.enter_context(binds.watching(program.__code__))
        new = jax.make_jaxpr(program)(*map(_abstract, avals))

    def again(binds: Binds) -> FreshTrace:
        try:
            return _traced(call, jaxpr, inputs, name_of, may_set_attribute, binds)
        except _TheirError as raised:
            raise NotTraced(str(raised)) from raised.__cause__

    return FreshTrace(new, binds, time.perf_counter() - began, again)


class _Arguments:
    """The flat arguments of the call, by name and, while it is traced, by tracer."""

    def __init__(
        self,
        inputs: Sequence[str],
        avals: Sequence[Any],
        name_of: Callable[[Any], str | None],
    ):
        pairs = zip(inputs, avals, strict=True)
        self._all = [Argument(name, tuple(aval.shape)) for name, aval in pairs]
        self._named = {argument.name: argument for argument in self._all}
        self._tracers: dict[int, tuple[Any, Argument]] = {}
        self._name_of = name_of

    def traced(self, tracers: Sequence[Any]) -> None:
        """Notes the tracers that stand for the arguments."""
        pairs = zip(tracers, self._all, strict=True)
        self._tracers |= {id(t): (t, argument) for t, argument in pairs}

    def named(self, name: str) -> Argument | None:
        """The argument of this name."""
        return self._named.get(name)

    def of(self, value: Any) -> Argument | None:
        """The argument that a value is, or an array that the user has a name for."""
        value = _primal(value)
        tracer, argument = self._tracers.get(id(value), (None, None))
        if argument is not None and tracer is value:
            return argument
        name = None if isinstance(value, jax.core.Tracer) else self._name_of(value)
        return Argument(name, tuple(value.shape)) if name else None


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
    sharding = getattr(aval, "sharding", None)
    on_a_mesh = sharding is not None and not sharding.mesh.empty
    return new(
        aval.shape,
        aval.dtype,
        weak_type=aval.weak_type,
        sharding=sharding if on_a_mesh else None,
    )


def _primal(value: Any) -> Any:
    """The value that a differentiated one was made of."""
    while hasattr(value, "primal"):
        value = value.primal
    return value


def _scopes(
    argument_of: Callable[[Any], Argument | None],
    argument_named: Callable[[str], Argument | None],
    may_set_attribute: bool,
) -> list[Scopes]:
    """Of each library of models that is loaded, what names its modules."""
    found = (f.scopes(argument_of, argument_named, may_set_attribute) for f in loaded())
    return [scopes for scopes in found if scopes is not None]
