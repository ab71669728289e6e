"""NNX answers what is asked of a library of models; its other modules know how."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any

from jaxdbg.frameworks.framework import Argument, CallArguments, Framework
from jaxdbg.frameworks.jitted_calls import CallPaths, RunningCall
from jaxdbg.frameworks.nnx import calls, jitted, modules, signatures
from jaxdbg.frameworks.nnx.module_scopes import NnxScopes
from jaxdbg.frameworks.reader_parts import Reader, is_a
from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.functions import attributes_of

_TRANSFORMS = os.path.join("flax", "nnx", "transforms", "")


class Nnx(Framework):
    """Modules are graphs of variables; its jit takes them apart, and updates them."""

    package = "flax"
    hidden_prefixes = (modules.HIDDEN,)
    imported_as = "nnx"
    has_unnamed_modules = True

    def is_module(self, cls: type) -> bool:
        """Whether it is a class of modules, optimizers, or other graph nodes."""
        return self.is_updated_in_place(cls) and modules.reader(cls) is None

    def is_updated_in_place(self, cls: type) -> bool:
        """Whether it is a class of graph nodes, containers too."""
        return is_a(cls, modules.nnx().Pytree)

    def is_machinery_class(self, cls: type) -> bool:
        """Whether it is a class of modules that NNX keeps functions in."""
        return cls.__module__ == "flax.nnx.helpers"

    def reader(self, cls: type) -> Reader | None:
        """Variables, states and containers; modules are read as objects are."""
        return modules.reader(cls)

    def is_view(self, cls: type) -> bool:
        """Whether it is the class of a module's variables without the module."""
        return is_a(cls, modules.nnx().State)

    def gives_view(self, function: object) -> bool:
        """Whether it is `nnx.state`."""
        return function is modules.nnx().state

    def group(self, cls: type) -> str:
        """The group of a variable, by its type."""
        return modules.group(cls)

    def wrapped(self, fun: Any) -> Any:
        """What the wrappers of `nnx.jit` and `nnx.grad` hold as `f` or `fun`."""
        if isinstance(fun, FunctionType):
            return closed_over(fun).get("f") if _is_flax(fun.__module__) else None
        if not _is_flax(type(fun).__module__):
            return None
        attributes = attributes_of(fun)
        return attributes.get("f") or attributes.get("fun")

    def kind_of(self, fun: Any) -> str:
        """All that flax makes of functions is called after its jit."""
        return "nnx.jit function" if _is_flax(type(fun).__module__) else ""

    def as_pure(
        self, fun: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[[Any], Any], Any] | None:
        """A call with modules in it, taken apart and merged as `nnx.jit` does."""
        return modules.as_pure(fun, args, kwargs)

    def is_machinery(self, file: str) -> bool:
        """Whether a file is of NNX's transformations."""
        return _TRANSFORMS in file

    def call_codes(self) -> frozenset[CodeType]:
        """The code of `__call__` of what `nnx.jit` returns."""
        return jitted.call_codes()

    def call_arguments(self, local: Mapping[str, Any]) -> CallArguments | None:
        """The arguments with the attributes of their modules."""
        known = jitted.jit_class(local)
        if known is None or known.is_partial:
            return None  # of variables in a list JAX's own names say as much
        attributes = signatures.of_call(local)
        return CallArguments(local["args"], local["kwargs"], attributes)

    def call_signature(self, local: Mapping[str, Any]) -> inspect.Signature | None:
        """The signature of the function, which is an attribute.

        Of a partial one without the parameters that are filled in.
        """
        known, fun = jitted.jit_class(local), local["self"].fun
        if known is None:
            return None
        signature = inspect.signature(fun)
        filled = jitted.partial_count(fun) if known.is_partial else 0
        return signature.replace(parameters=[*signature.parameters.values()][filled:])

    def running_call(
        self, local: Mapping[str, Any], out_tree: Any
    ) -> RunningCall | None:
        """The call with its layout: which results are updates of which arguments."""
        return calls.NnxCall.of_frame(local, out_tree)

    def call_paths(
        self, arguments: Sequence[str], results: Sequence[str]
    ) -> CallPaths | None:
        """The layout that the paths themselves show."""
        return calls.recognised(arguments, results)

    def scopes(
        self,
        argument_of: Callable[[Any], Argument | None],
        argument_named: Callable[[str], Argument | None],
        may_set_attribute: bool,
    ) -> NnxScopes:
        """NNX puts nothing on the name stack."""
        root = modules.nnx().Module
        return NnxScopes(self, root, argument_of, argument_named, may_set_attribute)


def _is_flax(module: object) -> bool:
    return isinstance(module, str) and module.startswith("flax.")


FRAMEWORK = Nnx()
