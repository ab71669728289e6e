"""What an `nnx.jit` function was called with, by the paths that the user would type.

flax passes a graph definition and a flat state to JAX. The user's own modules are in a
frame of flax, and are walked here: types, static attributes, shapes of variables.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxdbg.frameworks.attributes import Attribute
from jaxdbg.frameworks.jitted_calls import positional_names
from jaxdbg.frameworks.nnx import modules
from jaxdbg.frameworks.reader_parts import own, quoted
from jaxdbg.jax_internals import array_types
from jaxdbg.jax_internals.array_types import Leaf
from jaxdbg.jax_internals.descriptions import described, plain
from jaxdbg.jax_internals.identities import identities_of, is_of_functions

MAX_ATTRIBUTES = 50_000
"""How many values a walk looks at."""


def of_call(local: Mapping[str, Any]) -> dict[str, Attribute]:
    """By path, all that the arguments of a call are made of."""
    names = _argument_names(local["self"].fun, local["args"], local["kwargs"])
    return dict(_Walk().run(names))


def _argument_names(fun: Any, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
    try:
        names = positional_names(inspect.signature(fun), len(args))
    except (TypeError, ValueError):
        names = [f"argument {i + 1}" for i in range(len(args))]
    return [*zip(names, args, strict=False), *kwargs.items()]


class _Walk:
    """Breadth first; what it meets twice is shared, as for flax."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, str]] = {}
        self._variable = modules.nnx().Variable

    def run(self, roots: list[tuple[str, Any]]) -> Iterator[tuple[str, Attribute]]:
        queue = deque((path, value, False) for path, value in roots)
        for _ in range(MAX_ATTRIBUTES):
            if not queue:
                return
            path, value, inside = queue.popleft()
            if not inside and (python := array_types.python_type(value)):
                yield path, Attribute("array", "", Leaf((), "", python=python))
                continue
            attribute, children = self._look(path, value)
            yield path, attribute
            inside = inside or _is_module(type(value))
            queue.extend((*child, inside) for child in children)

    def _look(self, path: str, value: Any) -> tuple[Attribute, list[tuple[str, Any]]]:
        if plain(value):
            return Attribute("static", described(value)), []
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return Attribute("array", "", array_types.of_array(value)), []
        kind = type(value)
        if kind is dict:
            return _node("dict"), [(f"{path}[{_key(k)}]", v) for k, v in value.items()]
        if is_of_functions(value):
            return _static(type(value).__name__, value), []
        if isinstance(value, list | tuple):
            return _sequence(path, value)
        if known := self._seen.get(id(value)):
            return Attribute("shared", f"the same as {known[1]}"), []
        if isinstance(value, self._variable):
            self._seen[id(value)] = value, path
            return self._look_at_variable(value), []
        if _is_module(kind):
            self._seen[id(value)] = value, path
            children = [
                (_step(path, name), v)
                for name, v in own(value)
                if not name.startswith(modules.HIDDEN)
            ]
            return _node(kind.__name__), children
        return _static(described(value), value), []

    def _look_at_variable(self, value: Any) -> Attribute:
        kind, more = type(value).__name__, _metadata(value)
        raw = modules.raw(value)
        if raw is None:
            return Attribute("array", f"{kind} without a value")
        if hasattr(raw, "shape") and hasattr(raw, "dtype"):
            return Attribute("array", more, array_types.of_array(raw, kind))
        return Attribute("array", f"{kind} {described(raw)}")


def _metadata(variable: Any) -> str:
    try:
        metadata = variable.get_metadata()
    except Exception:
        return ""
    # Hooks and the like are functions; what one sets by hand is plain.
    texts = [f"{k}={described(v)}" for k, v in metadata.items() if plain(v) and v]
    return ", ".join(sorted(texts))


def _static(text: str, value: Any) -> Attribute:
    return Attribute("static", text, identities=identities_of(value))


def _node(text: str) -> Attribute:
    return Attribute("node", text)


def _sequence(path: str, value: Any) -> tuple[Attribute, list[tuple[str, Any]]]:
    fields = getattr(type(value), "_fields", None)
    if isinstance(fields, tuple):
        steps = [f"{path}.{f}" for f in fields]
    else:
        steps = [f"{path}[{i}]" for i in range(len(value))]
    return _node(type(value).__name__), list(zip(steps, value, strict=False))


def _step(path: str, name: str) -> str:
    if name.isdecimal():
        return f"{path}[{name}]"
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{_key(name)}]"


def _key(key: Any) -> str:
    return quoted(key) if type(key) is str else described(key)


def _is_module(kind: type) -> bool:
    return any(
        c.__module__.startswith("flax.nnx")
        and c.__name__ in ("Pytree", "Object", "Module")
        for c in kind.__mro__
    )
