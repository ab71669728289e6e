"""The arguments of a jitted call, by name: static values, containers, how passed."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdbg.jax_internals.array_types import python_type
from jaxdbg.jax_internals.descriptions import described
from jaxdbg.jax_internals.identities import Identity, by_identity, identity_of
from jaxdbg.jax_internals.stack import JitInfo


class Static(NamedTuple):
    """A static argument: its text, and the object if that is compared by identity."""

    text: str
    identity: Identity | None = None

    def __str__(self) -> str:
        return self.text


def names_of(debug_info: Any, count: int) -> list[str]:
    """A name of its own for each flat argument, as JAX has it where it has one."""
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


def python_types(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any], count: int
) -> list[str]:
    """Of each flat argument the type, where it is a Python number; else empty."""
    values = _dynamic(info, args, kwargs)
    return [*map(python_type, values)] if len(values) == count else [""] * count


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


def nodes(
    info: JitInfo, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """By path, the containers in which the array arguments are."""
    static = _static_indices(info, args)
    named = {k: v for k, v in kwargs.items() if k not in info.static_argnames}
    return containers(info.parameters, args, named, static)


def containers(
    parameters: Sequence[inspect.Parameter],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    leave_out: Container[int] = (),
) -> Iterator[tuple[str, str]]:
    """By path, the containers that some arguments are made of.

    Arguments:
        leave_out: indices of positional arguments.
    """
    for i, arg in enumerate(args):
        if i not in leave_out:
            yield from _containers(_argument_name(parameters, i), arg)
    for name, arg in kwargs.items():
        yield from _containers(name, arg)


_ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex)


def _containers(path: str, value: Any, depth: int = 12) -> Iterator[tuple[str, str]]:
    """By path, the containers of a tree: their types and keys."""
    if value is None:
        yield path, "None"
    elif depth and not isinstance(value, _ARRAYS):
        text, children = _container(value)
        yield path, text
        for step, child in children:
            yield from _containers(f"{path}{step}", child, depth - 1)


def _container(value: Any) -> tuple[str, Iterable[tuple[str, Any]]]:
    """One container in words, and what is inside."""
    cls = type(value)
    if isinstance(value, dict):
        keys = _keys(value, ordered=cls is not dict)
        children = ((f"[{_key(k)}]", child) for k, child in dict.items(value))
        return f"{cls.__name__} with {keys}", children
    if cls in (list, tuple):
        children = ((f"[{i}]", child) for i, child in enumerate(value))
        return f"{cls.__name__} of {len(value)}", children
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        steps = (f".{name}" for name in value._fields)
        return cls.__name__, zip(steps, tuple.__iter__(value), strict=False)
    return _custom(value), ()


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
