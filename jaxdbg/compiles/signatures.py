"""What a call was: shapes, dtypes, static values, options; never the values of arrays.

A value of the user's is never asked for its `repr`, hashed or compared, which could be
slow, wrong, or raise. Objects are remembered by weak reference, since ids are reused.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdbg.frameworks.attributes import Attribute
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.protocol import CallArguments
from jaxdbg.jax_internals import array_types as leaves, libraries
from jaxdbg.jax_internals.array_types import Leaf
from jaxdbg.jax_internals.config import trace_context
from jaxdbg.jax_internals.descriptions import described
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.identities import Identity, by_identity, identity_of
from jaxdbg.jax_internals.made_by_jax import maker, operation_parameters
from jaxdbg.jax_internals.names import is_unspecified, jitted_class
from jaxdbg.jax_internals.stack import JitCall, JitInfo, JitTrace, Stack

MAX_TEXT = 100
"""How many entries of a signature go into a report."""


class Static(NamedTuple):
    """A static argument: its text, and the object if that is compared by identity."""

    text: str
    identity: Identity | None = None

    def __str__(self) -> str:
        return self.text


class Placed(NamedTuple):
    """Where an argument lies."""

    devices: str
    sharding: str
    committed: bool


class Signature:
    """What a call was.

    Attributes:
        function: whose call it is.
        made: what was given to jit: its identity, the kind of thing it is ("lambda",
            "partial"), and the code of the function inside.
        form: by name of the argument, whether it was passed by position or keyword.
        leaves: by path, the array arguments.
        nodes: by path, the containers they are in.
        statics: by path, the static arguments.
        attributes: by path, what is static in NNX modules and what they are made of.
        options: of jit.
        context: of JAX's configuration, what is part of the key of its caches.
        placed: by path, where the arguments lie; only known when a call runs.
        cell, line, outer: where it was called, inside the trace of which function.
        exact: whether all this is known, not only the leaves.
        failed: whether it ended with an error.
    """

    __slots__ = (
        "attributes",
        "cell",
        "code",
        "context",
        "exact",
        "failed",
        "form",
        "function",
        "kind",
        "leaves",
        "line",
        "made",
        "nodes",
        "options",
        "outer",
        "placed",
        "statics",
    )

    def __init__(self, function: Function) -> None:
        self.function = function
        self.made: Identity | None = None
        self.kind = ""
        self.code: CodeType | None = None
        self.form: dict[str, str] = {}
        self.leaves: dict[str, Leaf] = {}
        self.nodes: dict[str, str] = {}
        self.statics: dict[str, Static] = {}
        self.attributes: Mapping[str, Attribute] = {}
        self.options: Mapping[str, str] = {}
        self.context: Mapping[str, str] = {}
        self.placed: Mapping[str, Placed] = {}
        self.cell: int | None = None
        self.line: tuple[str, int] | None = None
        self.outer = ""
        self.exact = True
        self.failed = False

    def copy(self) -> Signature:
        """The same call, to be run in another place."""
        new = Signature(self.function)
        for name in Signature.__slots__:
            setattr(new, name, getattr(self, name))
        return new

    @property
    def weight(self) -> int:
        """How many entries it holds."""
        return sum(
            len(d)
            for d in (
                self.leaves,
                self.statics,
                self.attributes,
                self.placed,
                self.nodes,
            )
        )

    def told(self) -> dict[str, str]:
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
    new = Signature(function)
    _made(new, trace.fun)
    new.context = context()
    avals = list(trace.in_avals)
    names, python = _names(trace.debug_info, len(avals)), [""] * len(avals)
    operation = operation_parameters(trace.fun)
    if trace.info is None:
        new.exact = False
    else:
        python = _of_jit_call(new, trace, trace.info, around) or python
    if operation is not None:
        new.statics = {k: Static(described(v)) for k, v in operation.items()}
        names = [f"operand {i + 1}" for i in range(len(avals))]
    new.leaves = {
        n: leaves.of_aval(a, p) for n, a, p in zip(names, avals, python, strict=True)
    }
    return new


def _of_jit_call(
    new: Signature, trace: JitTrace, info: JitInfo, around: Stack
) -> list[str] | None:
    """Fills in what the jitted call says; gives the Python types of its leaves."""
    args, kwargs = trace.args, trace.kwargs
    new.options = {name: described(value) for name, value in info.options.items()}
    new.statics = dict(_statics(info, args, kwargs))
    values = _dynamic(info, args, kwargs)
    given = _given(around.library_call or {})
    if given is not None:
        new.attributes = given.attributes
        new.form = _form(info.parameters, given.args, given.kwargs)
    else:
        new.nodes = dict(_nodes(info, args, kwargs))
        new.form = _form(info.parameters, args, kwargs)
    fits = len(values) == len(trace.in_avals)
    return [leaves.python_type(v) for v in values] if fits else None


def _given(local: Mapping[str, Any]) -> CallArguments | None:
    """The arguments of the call of a library's jit that a frame makes, if it does."""
    found = (framework.call_arguments(local) for framework in loaded() if local)
    return next((given for given in found if given is not None), None)


def of_jaxpr(function: Function, jaxpr: Any, fun: Any) -> Signature:
    """What can be known of a call of which only the jaxpr is at hand."""
    new = of_name(function)
    if fun is not None:
        _made(new, fun)
    avals = jaxpr.in_avals
    names = _names(jaxpr.debug_info, len(avals))
    new.leaves = dict(zip(names, map(leaves.of_aval, avals), strict=True))
    return new


def of_name(function: Function) -> Signature:
    """A call of which nothing is known but the function."""
    new = Signature(function)
    new.exact = False
    return new


def of_lowered(function: Function, info: Any) -> Signature:
    """The same for a compilation of what was lowered ahead of time."""
    new = of_name(function)
    names = _names(info.debug_info, len(info.in_avals))
    new.leaves = {
        n: leaves.of_aval(a) for n, a in zip(names, info.in_avals, strict=True)
    }
    new.context = context()
    return new


def lowered(known: Signature, around: Stack) -> Signature:
    """The signature of a lowering or compilation: the call's, and where it runs."""
    new = known.copy()
    new.context = context()
    lowering, executing = around.lowering, around.executing
    where = lowering or executing
    if where is not None:
        new.options = _lowering_options(where)
    names = list(new.leaves)
    if executing is not None and executing.args is not None:
        args = executing.args
        args = args[len(args) - len(names) :]  # constants come first
        new.placed = {n: _placed(a) for n, a in zip(names, args, strict=False)}
    elif lowering is not None and lowering.in_shardings is not None:
        shardings = lowering.in_shardings[-len(names) :] if names else ()
        new.placed = {n: _asked(s) for n, s in zip(names, shardings, strict=False)}
    return new


def context() -> Mapping[str, str]:
    """The configuration that is part of the key of JAX's caches, by name."""
    names, values = trace_context()
    told = zip(names, values, strict=False)
    return {n: "" if "mesh" in n and v is None else described(v) for n, v in told}


# --- what was given to jit ----------------------------------------------------------


def unwrapped(fun: Any) -> Any:
    """The function inside wrappers: partial, bound method, grad, what nnx.jit makes."""
    for _ in range(20):  # a chain of wrappers may be circular
        inner = _inside(fun)
        if inner is None:
            return fun
        fun = inner
    return fun


def _inside(fun: Any) -> Any:
    if type(fun) is functools.partial:
        return fun.func
    if type(fun) is MethodType:
        return fun.__func__
    if type(fun) is FunctionType:
        return fun.__dict__.get("__wrapped__")
    if isinstance(fun, jitted_class()):
        return getattr(fun, "__wrapped__", None)
    return libraries.wrapped(fun)


def _made(new: Signature, fun: Any) -> None:
    new.made = Identity(fun)
    inner = unwrapped(fun)
    new.code = getattr(inner, "__code__", None)
    new.kind = _kind_of(fun)


def _kind_of(fun: Any) -> str:
    if type(fun) is functools.partial:
        return "functools.partial"
    if type(fun) is MethodType:
        return "bound method"
    for framework in loaded():
        if kind := framework.kind_of(fun):
            return kind
    if type(fun) is FunctionType:
        made_by = maker(fun)
        if made_by:
            return f"jax.{made_by} function"
        return "lambda" if fun.__name__ == "<lambda>" else "function"
    if isinstance(fun, jitted_class()):
        return "jitted function"
    return f"{type(fun).__name__} object"


# --- the arguments ------------------------------------------------------------------


def _names(debug_info: Any, count: int) -> list[str]:
    names = [str(n) for n in debug_info.arg_names or ()]
    if len(names) != count:
        return [f"argument {i + 1}" for i in range(count)]
    if len(set(names)) != count:
        return [f"{n or 'argument'} #{i + 1}" for i, n in enumerate(names)]
    return [_typed(n) for n in names]


@functools.lru_cache(maxsize=8192)
def _typed(name: str) -> str:
    """`batch['x']` with the quotes that Python's formatters write."""
    return name.replace("'", '"') if '"' not in name else name


def _dynamic(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[Any]:
    args, kwargs = _without_statics(info, args, kwargs)
    return jax.tree.leaves((args, kwargs))


def _without_statics(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    static = _static_indices(info, args)
    return (
        tuple(a for i, a in enumerate(args) if i not in static),
        {k: v for k, v in kwargs.items() if k not in info.static_argnames},
    )


def _static_indices(info: JitInfo, args: Sequence[Any]) -> set[int]:
    count = len(args)
    return {i % count for i in info.static_argnums if -count <= i < count}


def _argument_name(parameters: Sequence[inspect.Parameter], i: int) -> str:
    for at, parameter in enumerate(parameters):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return f"{parameter.name}[{i - at}]"
        if at == i:
            return parameter.name
    return f"argument {i + 1}"


def _form(
    parameters: Sequence[inspect.Parameter], args: Sequence[Any], kwargs: Any
) -> dict[str, str]:
    positions = [_argument_name(parameters, i) for i in range(len(args))]
    form = dict.fromkeys(positions, "by position")
    return form | dict.fromkeys(kwargs, "by keyword")


def _statics(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Static]]:
    parameters = info.parameters
    for i in info.static_argnums:
        if -len(args) <= i < len(args):
            yield from _static(
                _argument_name(parameters, i % len(args)), args[i % len(args)]
            )
    for name in info.static_argnames:
        if name in kwargs:
            yield from _static(name, kwargs[name])


def _static(name: str, value: Any) -> Iterator[tuple[str, Static]]:
    """The value, or each field of a dataclass, so that a change has its own name."""
    if dataclasses.is_dataclass(type(value)) and not by_identity(type(value)):
        for field in dataclasses.fields(value):
            inner = object.__getattribute__(value, field.name)
            yield f"{name}.{field.name}", _one_static(inner)
        return
    yield name, _one_static(value)


def _one_static(value: Any) -> Static:
    return Static(described(value), identity_of(value))


def _nodes(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    parameters = info.parameters
    static = _static_indices(info, args)
    for i, arg in enumerate(args):
        if i not in static:
            yield from _containers(_argument_name(parameters, i), arg)
    for name, arg in kwargs.items():
        if name not in info.static_argnames:
            yield from _containers(name, arg)


_ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex)


def _containers(path: str, value: Any, depth: int = 12) -> Iterator[tuple[str, str]]:
    """By path, the containers of a tree: their types and keys."""
    if isinstance(value, _ARRAYS) or not (depth or value is None):
        return
    text, children = _container(value)
    yield path, text
    for step, child in children:
        yield from _containers(f"{path}{step}", child, depth - 1)


def _container(value: Any) -> tuple[str, list[tuple[str, Any]]]:
    """The type and the keys of a container, and its children by their steps."""
    kind = type(value).__name__
    if value is None:
        return "None", []
    if type(value) is dict:
        return f"dict with {_keys(value)}", [(f"[{_key(k)}]", value[k]) for k in value]
    if type(value) in (list, tuple):
        return f"{kind} of {len(value)}", [(f"[{i}]", x) for i, x in enumerate(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(value._fields, tuple.__iter__(value), strict=False)
        return kind, [(f".{name}", child) for name, child in fields]
    if isinstance(value, dict):
        children = [(f"[{_key(key)}]", child) for key, child in dict.items(value)]
        return f"{kind} with {_keys(value, ordered=True)}", children
    return _custom(value), []


def _custom(value: Any) -> str:
    """A tree node of the user's: what JAX knows beside its children."""
    try:
        tree: Any = jax.tree.structure(value)
        data = tree.node_data()
    except Exception:
        return f"{type(value).__name__} object"
    if data is None:
        return type(value).__name__
    return f"{type(value).__name__}({described(data[1])})"


def _keys(value: dict[Any, Any], ordered: bool = False) -> str:
    keys = [_key(k) for k in value]
    return ", ".join(keys if ordered else sorted(keys)) or "no keys"


def _key(key: Any) -> str:
    return f'"{key}"' if type(key) is str else described(key)


# --- where a call runs --------------------------------------------------------------


def _placed(value: Any) -> Placed:
    try:
        sharding = value.sharding
        committed = bool(value.committed)
    except Exception:  # a NumPy array, a Python scalar, an array that was deleted
        return Placed("", "", False)
    return Placed(*_sharding(sharding), committed)


def _asked(sharding: Any) -> Placed:
    if sharding is None or is_unspecified(sharding):
        return Placed("", "", False)
    return Placed(*_sharding(sharding), True)


@functools.lru_cache(maxsize=1024)
def _sharding(sharding: Any) -> tuple[str, str]:
    devices = sorted(sharding.device_set, key=lambda d: d.id)
    named = ", ".join(f"{d.platform}:{d.id}" for d in devices[:4])
    more = f" and {len(devices) - 4} more" if len(devices) > 4 else ""
    spec = getattr(sharding, "spec", None)
    if spec is None:
        kind = "" if len(devices) == 1 else type(sharding).__name__
    else:
        sizes = ", ".join(f"{k}={v}" for k, v in sharding.mesh.shape.items())
        kind = f"{str(spec).replace('PartitionSpec', 'P')} over {sizes}"
    memory = getattr(sharding, "memory_kind", None)
    kind += f" in {memory}" if memory not in (None, "device", "unpinned_host") else ""
    return named + more, kind


def _lowering_options(where: JitCall) -> dict[str, str]:
    donated = [i for i, d in enumerate(where.donated_invars) if d]
    return {
        "donated": f"arguments {donated}" if donated else "nothing",
        "keep_unused": described(where.keep_unused),
        "compiler_options": described(where.compiler_options_kvs),
        "out_shardings": _all_asked(where.out_shardings),
        "in_layouts": described(where.in_layouts),
        "out_layouts": described(where.out_layouts),
    }


def _all_asked(shardings: Sequence[Any]) -> str:
    asked = list(dict.fromkeys(_asked(s) for s in shardings))
    texts = [f"{p.sharding or p.devices}" if p.committed else "any" for p in asked]
    return ", ".join(texts[:4]) or "any"
