"""Modules, variables and states of NNX, read without running the user's code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxdbg.frameworks.reader_parts import (
    Children,
    Reader,
    VariableReader,
    is_a,
    is_name,
    own,
    quoted,
)
from jaxdbg.jax_internals.requirements import private

_MAPPING = private("flax.nnx.statelib.State._mapping", "libraries")

HIDDEN = "_pytree_"
"""How the attributes begin that NNX keeps in its modules for itself."""

_GROUPS = {
    "Param": "params",
    "BatchStat": "batch stats",
    "RngState": "rng",
    "OptState": "optimizer",
    "OptVariable": "optimizer",
    "OptArray": "optimizer",
}
"""By name of the class of a variable, the group of what is inside."""


def nnx() -> Any:
    """The library, which is loaded when one of its values is seen."""
    return sys.modules["flax.nnx"]


def reader(cls: type) -> Reader | None:
    """How to read what holds values in NNX; None for other classes, and modules."""
    if is_a(cls, nnx().Variable):
        return VariableReader(raw, put)
    if is_a(cls, nnx().State) and not _MAPPING.absent:
        methods = frozenset(dir(nnx().State))
        return lambda value: _state_items(value, methods)
    if is_a(cls, nnx().List):
        return lambda value: ((f"[{k}]", v) for k, v in own(value) if k.isdecimal())
    if cls.__module__ == "flax.nnx.extract":
        return _parts
    if is_a(cls, nnx().Dict):
        return lambda value: (
            (f"[{quoted(k)}]", v) for k, v in own(value) if not k.startswith(HIDDEN)
        )
    return None


def group(cls: type) -> str:
    """The group of what a variable or an optimizer of a class holds; empty for none."""
    if is_a(cls, nnx().Optimizer):
        return "optimizer"
    known = ((getattr(nnx(), name, None), group) for name, group in _GROUPS.items())
    return next((g for base, g in known if base and is_a(cls, base)), "")


def as_pure(
    fun: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[[Any], Any], Any] | None:
    """A call with modules as a function of a tree of arrays; None for one without."""
    given, tree = jax.tree.flatten((fun, tuple(args), dict(kwargs)), is_leaf=_is_graph)
    graphs = {i: v for i, v in enumerate(given) if _is_graph(v)}
    if not graphs:
        return None
    arrays = {i: v for i, v in enumerate(given) if isinstance(v, _ARRAYS)}
    # All at once: what two modules share stays shared.
    definition, state = nnx().split(list(graphs.values()))

    def call(leaves: Any) -> None:
        new, state = leaves
        merged = dict(zip(graphs, nnx().merge(definition, state), strict=True))
        parts = [merged.get(i, new.get(i, v)) for i, v in enumerate(given)]
        again, args, kwargs = jax.tree.unflatten(tree, parts)
        again(*args, **kwargs)

    return call, (arrays, state)


_ARRAYS = (jax.Array, np.ndarray, np.generic)


def _is_graph(value: Any) -> bool:
    return is_a(type(value), nnx().Pytree)


def raw(variable: Any) -> Any:
    """The value in a variable; None where it has none."""
    try:
        return variable.get_raw_value()
    except Exception:
        return None  # Not yet initialised, or deleted.


def put(variable: Any, value: Any) -> None:
    """Sets the value in a variable."""
    variable.set_raw_value(value)


def _parts(value: Any) -> Children:
    """A module that `nnx.jit` has taken apart: to the user it is the module still."""
    for child in vars(value).values():
        for part in child if type(child) is tuple else (child,):
            yield "", part


def _state_items(state: Any, methods: frozenset[str], path: str = "") -> Children:
    """The leaves of a State; its inner dicts become States when one reads them."""
    mapping = state if isinstance(state, dict) else _MAPPING.of(state)
    for key, child in mapping.items():
        attribute = is_name(key) and key not in methods
        step = f"{path}.{key}" if attribute else f"{path}[{quoted(key)}]"
        if is_a(type(child), dict, type(state)):
            yield from _state_items(child, methods, step)
        else:
            yield step, child
