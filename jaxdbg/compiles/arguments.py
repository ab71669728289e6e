"""The arguments of a jitted call, by name: static values, containers, how passed."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdbg.jax_internals.array_types import python_type
from jaxdbg.jax_internals.descriptions import described, plain
from jaxdbg.jax_internals.functions import attributes_of
from jaxdbg.jax_internals.identities import (
    Identity,
    by_identity,
    identities_of,
    is_of_functions,
)
from jaxdbg.jax_internals.stack import JitInfo


class Static(NamedTuple):
    """A static value: its text, and what it holds that is compared by identity.

    Attributes:
        text: what it is.
        identities: of what is equal only to itself.
        by_text: whether nothing but the text can be compared.
    """

    text: str
    identities: tuple[Identity, ...] = ()
    by_text: bool = False

    def __str__(self) -> str:
        return self.text


def names_of(debug_info: Any, count: int) -> list[str]:
    """A name of its own for each flat argument, as JAX has it where it has one."""
    names = [str(n) for n in debug_info.arg_names or ()]
    if len(names) != count:
        return [f"argument {i + 1}" for i in range(count)]
    if len(set(names)) != count:
        return [f"{n or 'argument'} #{i + 1}" for i, n in enumerate(names)]
    return [typed(n) for n in names]


@functools.lru_cache(maxsize=8192)
def typed(name: str) -> str:
    """`batch['x']` with the quotes that Python's formatters write."""
    return name.replace("'", '"') if '"' not in name else name


def python_types(values: Sequence[Any], count: int) -> list[str]:
    """Of each flat argument the type, where it is a Python number; else empty."""
    return [*map(python_type, values)] if len(values) == count else [""] * count


def dynamic(info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The flat arguments that are not static."""
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


def form(
    parameters: Sequence[inspect.Parameter], args: Sequence[Any], kwargs: Any
) -> dict[str, str]:
    """By name of the argument, whether it is passed by position or by keyword."""
    positions = [_argument_name(parameters, i) for i in range(len(args))]
    return dict.fromkeys(positions, "by position") | dict.fromkeys(kwargs, "by keyword")


def statics(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Static]]:
    """By path, the static arguments."""
    parameters = info.parameters
    for i in info.static_argnums:
        if -len(args) <= i < len(args):
            yield from _static(
                _argument_name(parameters, i % len(args)), args[i % len(args)]
            )
    for name in info.static_argnames:
        if name in kwargs:
            yield from _static(name, kwargs[name])


def _static(path: str, value: Any, depth: int = 3) -> Iterator[tuple[str, Static]]:
    """The value, or each field of an object, so that a change has its own name."""
    fields = _fields(value) if depth else None
    if fields is None:
        yield path, _one_static(value)
    elif not fields:
        yield path, Static(described(value), by_text=True)
    else:
        for name, inner in fields:
            yield from _static(f"{path}.{name}", inner, depth - 1)


def _fields(value: Any) -> list[tuple[str, Any]] | None:
    """What an object that is compared by what it holds is made of; else None."""
    cls = type(value)
    if plain(value) or isinstance(value, type) or by_identity(cls):
        return None
    if dataclasses.is_dataclass(cls):
        names = [f.name for f in dataclasses.fields(cls)]
        held = [(n, getattr_static(value, n)) for n in names]
        return [(n, v) for n, v in held if v is not _NOTHING]
    if isinstance(value, tuple) and hasattr(cls, "_fields"):
        if is_of_functions(value):
            return None
        return [*zip(cls._fields, tuple.__iter__(value), strict=False)]
    if cls.__module__.partition(".")[0] in _OPAQUE or isinstance(value, _BUILT_IN):
        return None
    return [*attributes_of(value).items()]


_NOTHING: Any = object()
_OPAQUE = ("builtins", "jax", "jaxlib", "numpy", "ml_dtypes")
_BUILT_IN = (tuple, list, dict, set, frozenset, str, bytes, int, float, complex)


def getattr_static(value: Any, name: str) -> Any:
    """An attribute that is stored; no property of the user's runs."""
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return _NOTHING


def _one_static(value: Any) -> Static:
    identities = identities_of(value)
    text = described(value)
    if is_of_functions(value):
        text = type(value).__name__
    return Static(text, identities)


class Node(NamedTuple):
    """A container among the arguments.

    Attributes:
        text: its type and keys.
        statics: by path, what it holds beside its leaves, which JAX compares too.
    """

    text: str
    statics: Mapping[str, Static] = MappingProxyType({})


def nodes(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Node]]:
    """By path, the containers in which the array arguments are."""
    static = _static_indices(info, args)
    named = {k: v for k, v in kwargs.items() if k not in info.static_argnames}
    return containers(info.parameters, args, named, static)


def containers(
    parameters: Sequence[inspect.Parameter],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    leave_out: Container[int] = (),
) -> Iterator[tuple[str, Node]]:
    """By path, the containers that some arguments are made of.

    Arguments:
        leave_out: indices of positional arguments.
    """
    for path, arg in _named(parameters, args, kwargs, leave_out):
        yield from _containers(path, arg)


def static_leaves(
    parameters: Sequence[inspect.Parameter],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Iterator[tuple[str, Static]]:
    """By path, the leaves that are no arrays: a library's jit holds them static."""
    for name, arg in _named(parameters, args, kwargs):
        for steps, leaf in jax.tree_util.tree_flatten_with_path(arg)[0]:
            if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
                path = typed(name + jax.tree_util.keystr(steps))
                yield from _static(path, leaf)


def _named(
    parameters: Sequence[inspect.Parameter],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    leave_out: Container[int] = (),
) -> Iterator[tuple[str, Any]]:
    for i, arg in enumerate(args):
        if i not in leave_out:
            yield _argument_name(parameters, i), arg
    yield from kwargs.items()


_ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex)


def _containers(path: str, value: Any, depth: int = 12) -> Iterator[tuple[str, Node]]:
    """By path, the containers of a tree: their types and keys."""
    if value is None:
        yield path, Node("None")
    elif depth and not isinstance(value, _ARRAYS):
        found = _container(path, value)
        if found is None:
            return
        node, children = found
        yield path, node
        for step, child in children:
            yield from _containers(f"{path}{step}", child, depth - 1)


def _container(path: str, value: Any) -> tuple[Node, Iterable[tuple[str, Any]]] | None:
    """One container in words, and what is inside; None for a leaf."""
    cls = type(value)
    if isinstance(value, dict) and cls.__module__ in ("builtins", "collections"):
        keys = _keys(value, ordered=cls is not dict)
        children = ((f"[{_key(k)}]", child) for k, child in dict.items(value))
        return Node(f"{cls.__name__} with {keys}"), children
    if cls in (list, tuple):
        children = ((f"[{i}]", child) for i, child in enumerate(value))
        return Node(f"{cls.__name__} of {len(value)}"), children
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        steps = (f".{name}" for name in value._fields)
        return Node(cls.__name__), zip(steps, tuple.__iter__(value), strict=False)
    return _custom(path, value)


def _custom(path: str, value: Any) -> tuple[Node, Iterable[tuple[str, Any]]] | None:
    """A tree node of a class: what JAX takes it apart into, once more."""
    try:
        flat, tree = jax.tree_util.tree_flatten_with_path(
            value, is_leaf=lambda inner: inner is not value
        )
        structure: Any = tree
        data = structure.node_data()
    except Exception:
        return Node(f"{type(value).__name__} object"), ()
    if data is None:
        return None
    children = [child for _, child in flat]
    steps = [typed(jax.tree_util.keystr(keys)) for keys, _ in flat]
    statics = dict(_beside(path, data[1], _held(value), children))
    return Node(type(value).__name__, statics), zip(steps, children, strict=True)


def _held(value: Any) -> list[tuple[str, Any]]:
    """The attributes of an object, slots too."""
    slots = (getattr(cls, "__slots__", ()) for cls in type(value).__mro__)
    names = [n for s in slots for n in ((s,) if isinstance(s, str) else s)]
    stored = [(n, getattr_static(value, n)) for n in names if n[:2] != "__"]
    held = [*attributes_of(value).items(), *stored]
    return [(n, v) for n, v in held if v is not _NOTHING]


def _beside(
    path: str, data: Any, held: Iterable[tuple[str, Any]], children: Sequence[Any]
) -> Iterator[tuple[str, Static]]:
    """By path, what a node holds that is no child of it: by its attributes' names."""
    pieces = [*_pieces(data)]
    named = [
        (name, value)
        for name, value in held
        if any(value is p for p in pieces) and not any(value is c for c in children)
    ]
    for name, value in named:
        yield from _static(f"{path}.{name}", value)
    known = {name for name, _ in held}
    rest = [
        _one_static(piece)
        for piece in pieces
        if not any(piece is value for _, value in named)
        and not (type(piece) is str and piece in known)
    ]
    if rest:
        identities = tuple(i for static in rest for i in static.identities)
        yield path, Static(", ".join(static.text for static in rest), identities)


def _pieces(data: Any, depth: int = 2) -> Iterator[Any]:
    """What the data of a node is made of."""
    if depth and type(data) in (tuple, list):
        for inner in data:
            yield from _pieces(inner, depth - 1)
    elif depth and type(data) is dict:
        for inner in data.values():
            yield from _pieces(inner, depth - 1)
    elif data is not None:
        yield data


def _keys(value: dict[Any, Any], ordered: bool = False) -> str:
    keys = [_key(k) for k in value]
    return ", ".join(keys if ordered else sorted(keys)) or "no keys"


def _key(key: Any) -> str:
    return f'"{key}"' if type(key) is str else described(key)
