"""What `nnx.jit` and `nnx.jit_partial` return: one table of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType
from typing import Any, NamedTuple

from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.requirements import Private, private


class JitClass(NamedTuple):
    """A class of jitted functions.

    Attributes:
        call: its `__call__`, in whose frames the arguments of a call are.
        has_graphs: whether modules are passed to JAX as graphs, not as trees.
        is_partial: whether it holds the first arguments as one list of variables.
    """

    call: Private
    has_graphs: bool = False
    is_partial: bool = False


def _call(name: str, since: str = "") -> Private:
    return private(
        f"flax.nnx.transforms.compilation.{name}.__call__",
        "libraries",
        variables=("self", "args", "kwargs"),
        since=since,
    )


_CLASSES = {
    "JitWrapped": JitClass(_call("JitWrapped"), has_graphs=True),
    "SimpleJitWrapped": JitClass(_call("SimpleJitWrapped")),
    "SimpleJitPartialWrapped": JitClass(
        _call("SimpleJitPartialWrapped", since="0.12.8"), is_partial=True
    ),
}


def call_codes() -> frozenset[CodeType]:
    """The code of `__call__` of each class."""
    return frozenset().union(*(one.call.codes() for one in _CLASSES.values()))


def jit_class(local: Mapping[str, Any]) -> JitClass | None:
    """Of the locals of a `__call__`, the class it is one of; None for another frame."""
    if any(name not in local for name in ("self", "args", "kwargs")):
        return None
    return _CLASSES.get(type(local["self"]).__name__)


def partial_count(fun: Any) -> int:
    """How many of a function's first parameters `nnx.jit_partial` has filled in."""
    tree = closed_over(fun).get("partial_treedef")
    return len(tree.children()) if tree is not None else 0
