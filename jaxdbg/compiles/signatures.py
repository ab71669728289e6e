"""What a call was: shapes, dtypes, static values, options; never the values of arrays.

A value of the user's is never asked for its `repr`, hashed or compared, which could be
slow, wrong, or raise. Objects are remembered by weak reference, since ids are reused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import CodeType
from typing import Any, TypedDict

import jax

from jaxdbg.compiles.arguments import (
    Node,
    Static,
    containers,
    dynamic,
    form,
    names_of,
    nodes,
    python_types,
    static_leaves,
    statics,
)
from jaxdbg.compiles.callables import captured, code_of, kind_of
from jaxdbg.compiles.control_flow import Body
from jaxdbg.compiles.placement import Placed, asked, options, placed
from jaxdbg.frameworks.attributes import Attribute
from jaxdbg.frameworks.framework import CallArguments
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.array_types import Leaf, of_aval
from jaxdbg.jax_internals.config import trace_context
from jaxdbg.jax_internals.descriptions import described, short_dtype
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.identities import Identity
from jaxdbg.jax_internals.jaxprs import bound
from jaxdbg.jax_internals.made_by_jax import operation_parameters
from jaxdbg.jax_internals.stack import JitInfo, JitTrace, Stack

MAX_TEXT = 100
"""How many entries of a signature go into a report."""


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a call was.

    Attributes:
        function: whose call it is.
        made: the identity of what was given to jit; None where it is not known.
        kind: the kind of thing that is, as "lambda" or "functools.partial".
        code: of the function inside.
        form: by name of the argument, whether it was passed by position or keyword.
        leaves: by path, the array arguments.
        nodes: by path, the containers they are in.
        beside: by path, what these hold beside arrays, which JAX compares too.
        statics: by path, the static arguments.
        attributes: by path, what modules are made of, and what is static in them.
        options: of jit.
        context: of JAX's configuration, what is part of the key of its caches.
        placed: by path, where the arguments lie; only known when a call runs.
        bodies: of control flow outside of jit, the user's functions in it.
        is_body: whether it is such a function, which JAX traces first.
        captured: the plain values that the function is made with, by name.
        clears: how often JAX's caches had been cleared of it.
        lowered: whether arguments are types only, as ahead of time.
        by_library: whether a library of somebody's calls it, not the user's line.
        cell, line, outer: where it was called, inside the trace of which function.
        exact: whether all this is known, not only the leaves.
        failed: whether it ended with an error.
    """

    function: Function
    made: Identity | None = None
    kind: str = ""
    code: CodeType | None = None
    form: Mapping[str, str] = field(default_factory=_nothing)
    leaves: Mapping[str, Leaf] = field(default_factory=_nothing)
    nodes: Mapping[str, str] = field(default_factory=_nothing)
    beside: Mapping[str, Static] = field(default_factory=_nothing)
    statics: Mapping[str, Static] = field(default_factory=_nothing)
    attributes: Mapping[str, Attribute] = field(default_factory=_nothing)
    options: Mapping[str, str] = field(default_factory=_nothing)
    context: Mapping[str, str] = field(default_factory=_nothing)
    placed: Mapping[str, Placed] = field(default_factory=_nothing)
    bodies: tuple[Body, ...] = ()
    is_body: bool = False
    captured: Mapping[str, str] = field(default_factory=_nothing)
    clears: int = 0
    lowered: bool = False
    by_library: bool = False
    cell: int | None = None
    line: tuple[str, int] | None = None
    outer: str = ""
    exact: bool = True
    failed: bool = False

    @property
    def weight(self) -> int:
        """How many entries it holds."""
        parts: tuple[Mapping[str, Any], ...] = (
            self.leaves,
            self.statics,
            self.attributes,
            self.placed,
            self.nodes,
            self.beside,
        )
        return sum(map(len, parts))

    def texts(self) -> dict[str, str]:
        """As text, the first entries."""
        arrays = self.leaves.items() if not self.attributes else ()
        entries: Iterator[tuple[str, Any]] = iter(
            [*self.statics.items(), *arrays, *self.attributes.items()]
        )
        return {name: str(value) for name, value in islice(entries, MAX_TEXT)}


def of_trace(function: Function, trace: JitTrace, around: Stack) -> Signature:
    """The signature of a trace that begins.

    Arguments:
        function: that is traced.
        trace: what JAX is about to trace.
        around: what else is on the stack.
    """
    given = _given(around.library_call)
    if trace.info is None:
        call = _of_unknown_call(function, trace)
    elif given is None:
        call = _of_jit_call(function, trace, trace.info)
    else:
        call = _of_library_call(function, trace, trace.info, given)
        call = replace(call, captured=_captured(around) or call.captured)
    parameters = operation_parameters(trace.fun)
    return call if parameters is None else _of_operation(call, parameters)


def _captured(around: Stack) -> Mapping[str, str]:
    """The plain values of the user's function that a library's jit calls."""
    local = around.library_call or {}
    users = (framework.called(local) for framework in loaded())
    found = next((fun for fun in users if fun is not None), None)
    return {} if found is None else captured(found)


def _of_unknown_call(function: Function, trace: JitTrace) -> Signature:
    """Of a call that jit does not tell of: the types of its arguments."""
    return Signature(
        function,
        made=Identity(trace.fun),
        kind=kind_of(trace.fun),
        code=code_of(trace.fun),
        captured=captured(trace.fun),
        leaves=_leaves(_names(trace), trace.in_avals),
        context=context(),
        exact=False,
    )


def _of_jit_call(function: Function, trace: JitTrace, info: JitInfo) -> Signature:
    """Of a call of what `jax.jit` has made."""
    args, kwargs = trace.args, trace.kwargs
    values = dynamic(info, args, kwargs)
    types = python_types(values, len(trace.in_avals))
    return replace(
        _of_unknown_call(function, trace),
        form=form(info.parameters, args, kwargs),
        leaves=_leaves(_names(trace), trace.in_avals, types),
        **_of_nodes(nodes(info, args, kwargs)),
        statics=dict(statics(info, args, kwargs)),
        options={name: described(value) for name, value in info.options.items()},
        lowered=any(isinstance(v, jax.ShapeDtypeStruct) for v in values),
        exact=True,
    )


def _of_library_call(
    function: Function, trace: JitTrace, info: JitInfo, given: CallArguments
) -> Signature:
    """Of a call of a library's jit, whose arguments are not those that JAX gets."""
    call = _of_jit_call(function, trace, info)
    user = given.parameters or info.parameters, given.args, given.kwargs
    return replace(
        call,
        form=form(*user),
        leaves=_as_given(call.leaves, trace, given),
        **_of_nodes(() if given.attributes else containers(*user)),
        statics=dict(static_leaves(*user)) if given.holds_static else call.statics,
        attributes=given.attributes,
    )


class _Nodes(TypedDict):
    nodes: Mapping[str, str]
    beside: Mapping[str, Static]


def _of_nodes(found: Iterable[tuple[str, Node]]) -> _Nodes:
    known = dict(found)
    return {
        "nodes": {path: node.text for path, node in known.items()},
        "beside": {p: s for node in known.values() for p, s in node.statics.items()},
    }


def _of_operation(call: Signature, parameters: Mapping[str, Any]) -> Signature:
    """Of an eager operation: JAX makes a function that closes over its parameters."""
    operands = enumerate(call.leaves.values(), 1)
    statics = {k: Static(described(v)) for k, v in parameters.items()}
    leaves = {f"operand {i}": leaf for i, leaf in operands}
    if not leaves and "shape" in statics and "dtype" in statics:  # as jnp.arange(n)
        result = Leaf(tuple(parameters["shape"]), short_dtype(parameters["dtype"]))
        leaves = {"the result": result}
        del statics["shape"]
    return replace(call, leaves=leaves, statics=statics)


def of_control_flow(
    call: Signature, parameters: Mapping[str, Any], bodies: tuple[Body, ...]
) -> Signature:
    """Of an operation that runs functions of the user's: it is theirs."""
    first, names = bodies[0].function, tuple(b.function.name for b in bodies)
    places = bound.operands(parameters, len(call.leaves))
    statics = {k: v for k, v in call.statics.items() if k in ("reverse", "unroll")}
    return replace(
        call,
        function=Function(call.function.name, first.source, first.made_of, names),
        made=None,
        code=None,
        leaves=dict(zip(places, call.leaves.values(), strict=False)),
        statics=statics,
        bodies=bodies,
    )


def of_body(body: Body, trace: JitTrace) -> Signature:
    """Of a function that is traced for control flow."""
    return replace(
        _of_unknown_call(body.function, trace),
        kind=body.kind,
        code=body.code,
        captured=body.captured,
        is_body=True,
    )


def of_jaxpr(function: Function, jaxpr: Any, fun: Any) -> Signature:
    """What can be known of a call of which only the jaxpr is at hand."""
    names = names_of(jaxpr.debug_info, len(jaxpr.in_avals))
    leaves = _leaves(names, jaxpr.in_avals)
    known = Signature(function, leaves=leaves, exact=False)
    if fun is None:
        return known
    return replace(known, made=Identity(fun), kind=kind_of(fun), code=code_of(fun))


def of_name(function: Function) -> Signature:
    """A call of which nothing is known but the function."""
    return Signature(function, exact=False)


def of_lowered(function: Function, info: Any) -> Signature:
    """The same for a compilation of what was lowered ahead of time."""
    names = names_of(info.debug_info, len(info.in_avals))
    leaves = _leaves(names, info.in_avals)
    return Signature(function, leaves=leaves, context=context(), exact=False)


def lowered(known: Signature, around: Stack) -> Signature:
    """The signature of a lowering or compilation: the call's, and where it runs."""
    where = around.lowering or around.executing
    return replace(
        known,
        context=context(),
        options=known.options if where is None else options(where),
        placed=_placed(list(known.leaves), around) or known.placed,
    )


def placed_at(known: Signature, around: Stack, outer: str) -> Signature:
    """The signature of a call with the place it is called at, inside which trace."""
    source = around.source
    line = known.line if source is None else (source.file, source.line)
    library = around.by_library
    place = around.cell, line, outer, library
    if (known.cell, known.line, known.outer, known.by_library) == place:
        return known
    return replace(known, cell=around.cell, line=line, outer=outer, by_library=library)


def _placed(names: Sequence[str], around: Stack) -> dict[str, Placed]:
    """Where the arguments lie, or are to lie; empty where that is not known."""
    lowering, executing = around.lowering, around.executing
    if executing is not None and executing.args is not None:
        args = executing.args[len(executing.args) - len(names) :]  # constants first
        return dict(zip(names, map(placed, args), strict=False))
    if lowering is not None and lowering.in_shardings is not None and names:
        shardings = lowering.in_shardings[-len(names) :]
        return dict(zip(names, map(asked, shardings), strict=False))
    return {}


def context() -> Mapping[str, str]:
    """The configuration that is part of the key of JAX's caches, by name."""
    entries = zip(*trace_context(), strict=False)
    return {n: "" if "mesh" in n and v is None else described(v) for n, v in entries}


def _given(local: Mapping[str, Any] | None) -> CallArguments | None:
    """The arguments of the call of a library's jit that a frame makes, if it does."""
    if not local:
        return None
    found = (framework.call_arguments(local) for framework in loaded())
    return next((given for given in found if given is not None), None)


def _names(trace: JitTrace) -> list[str]:
    return names_of(trace.debug_info, len(trace.in_avals))


def _leaves(
    names: Sequence[str], avals: Sequence[Any], types: Iterable[str] = ()
) -> dict[str, Leaf]:
    types = list(types) or [""] * len(avals)
    found = zip(names, avals, types, strict=True)
    return {name: of_aval(aval, python) for name, aval, python in found}


def _as_given(
    leaves: Mapping[str, Leaf], trace: JitTrace, given: CallArguments
) -> dict[str, Leaf]:
    """The leaves by the paths of what the user passed, as far as these are known."""
    names = list(leaves)
    if given.paths is not None:
        paths = map(str, trace.debug_info.arg_names or ())
        users = [given.paths.argument(path) for path in paths]
        known = all(users) and len(set(users)) == len(names) == len(users)
        names = users if known else names
    return dict(zip(names, leaves.values(), strict=True))
