"""Names NNX modules on the name stack of a fresh trace, inside what `nnx.jit` wraps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxdbg.frameworks.nnx.modules import nnx
from jaxdbg.frameworks.scopes import ModuleScopes

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def _inside_of_jit(function: Callable[..., Any], wrap: Wrap) -> Callable[..., Any]:
    """The function, with the user's function inside of NNX's wrapper wrapped."""
    if type(function).__module__ != "flax.nnx.transforms.compilation":
        return wrap(function)
    wrapper: Any = function
    inner: Callable[..., Any] = replace(wrapper, f=_inside_of_jit(wrapper.f, wrap))
    tag = getattr(wrapper, "ctxtag", None)
    return inner if tag is None else _in_context(inner, tag)


def _in_context(function: Callable[..., Any], tag: str) -> Callable[..., Any]:
    # A context of its own, or the one of the running call would change.
    context = nnx().update_context(tag)

    def run(*args: Any, **kwargs: Any) -> Any:
        with context:
            return function(*args, **kwargs)

    return run


class NnxScopes(ModuleScopes):
    """NNX puts no paths of modules on the name stack."""

    def naming(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the modules among the user's arguments named."""
        return _inside_of_jit(function, super().naming)
