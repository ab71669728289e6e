"""Equinox: modules that are frozen pytrees, and a jit that holds all else static.

`filter_jit` passes the leaves of the arguments to JAX in two flat tuples, those of the
first argument and those of the rest, and returns a marker and what is static beside the
results.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

import jax

from jaxdbg.frameworks.framework import Argument, CallArguments, Framework
from jaxdbg.frameworks.jitted_calls import (
    CallPaths,
    RunningCall,
    keyword_names,
    part,
    positional_names,
    typed,
)
from jaxdbg.frameworks.reader_parts import (
    Children,
    Reader,
    is_a,
    items,
    own,
    package_of,
)
from jaxdbg.frameworks.scopes import ModuleScopes
from jaxdbg.jax_internals.functions import attributes_of
from jaxdbg.jax_internals.requirements import private

_PACKAGE = os.path.join("equinox", "")
_LAYERS = "equinox.nn"

_CALL = private(
    "equinox._jit._call", "libraries", variables=("jit_wrapper", "args", "kwargs")
)
_PASSING = (
    private("equinox._jit._JitWrapper.__call__", "names"),
    private("equinox._module._prebuilt.Partial.__call__", "names"),
)
_SIGNATURE = private("equinox._jit._JitWrapper._signature", "libraries")
_NAME = private("equinox._jit._JitWrapper.fn", "libraries")

_JITTED, _PMAPPED = "_JitWrapper", "_PmapWrapper"

_INNER = ("_fun", "_fun_value_and_grad", "func", "__func__")
"""By which attribute the other wrappers of Equinox hold a function."""

_ARGUMENT = re.compile(r"dynamic_(?:no)?donate\['(first|rest|fun)'\]\[(\d+)\]")


class Equinox(Framework):
    """Each module is a new object after an update; its jit returns all of it."""

    package = "equinox"
    imported_as = "eqx"
    has_unnamed_modules = True

    def is_module(self, cls: type) -> bool:
        """Whether it is a class of modules; wrappers of functions are none."""
        return is_a(cls, _equinox().Module) and not self.is_machinery_class(cls)

    def is_machinery_class(self, cls: type) -> bool:
        """Whether it is one of Equinox that is no layer: `Partial`, what jit makes."""
        return package_of(cls) == self.package and not _is_layer(cls)

    def gives_view(self, function: object) -> bool:
        """Whether it is `eqx.filter`."""
        return function is getattr(sys.modules.get("equinox"), "filter", None)

    def reader(self, cls: type) -> Reader | None:
        """Reads the fields of a module that are not static; the items of a State."""
        if is_a(cls, _equinox().nn.State):
            return _state_items
        if not is_a(cls, _equinox().Module):
            return None
        fields = dataclasses.fields(cls)
        names = [f.name for f in fields if not f.metadata.get("static", False)]

        def read(value: Any) -> Children:
            held = dict(own(value))
            return ((f".{name}", held[name]) for name in names if name in held)

        return read

    def group(self, cls: type) -> str:
        """Arrays in modules are parameters; those in a State are running statistics."""
        if is_a(cls, _equinox().nn.State):
            return "batch stats"
        return "params" if self.is_module(cls) else ""

    def wrapped(self, fun: Any) -> Any:
        """What `filter_jit`, `filter_grad`, `Partial` and the like hold."""
        if package_of(type(fun)) != self.package:
            return None
        if self._is_called(type(fun), _JITTED):
            return fun.__wrapped__  # it is held in two parts, which this joins
        attributes = attributes_of(fun)
        inner = (attributes.get(name) for name in _INNER)
        return next((f for f in inner if f is not None), None)

    def hides_traces(self, fun: Any) -> bool:
        """`filter_pmap` has JAX trace functions of its own, for each call anew."""
        return self._is_called(type(fun), _PMAPPED)

    def _is_called(self, cls: type, name: str) -> bool:
        return cls.__qualname__ == name and package_of(cls) == self.package

    def kind_of(self, fun: Any) -> str:
        """What `filter_jit` and the other transformations make of a function."""
        return "function of Equinox" if self.is_machinery_class(type(fun)) else ""

    def is_machinery(self, file: str) -> bool:
        """Whether a file is of Equinox, and not of its layers."""
        _, found, rest = file.rpartition(_PACKAGE)
        return bool(found) and not rest.startswith("nn" + os.sep)

    def call_codes(self) -> frozenset[CodeType]:
        """The code of the function that calls what `filter_jit` has jitted."""
        return _CALL.codes()

    def called(self, local: Mapping[str, Any]) -> Any:
        """What was passed to `filter_jit`; JAX has a function for each name only."""
        return self.wrapped(local.get("jit_wrapper"))

    def passing_codes(self) -> frozenset[CodeType]:
        """That code, and of methods the one that binds them."""
        return self.call_codes().union(*(one.codes() for one in _PASSING))

    def call_arguments(self, local: Mapping[str, Any]) -> CallArguments | None:
        """The arguments as passed to the function, and what their leaves are called."""
        call = self.running_call(local, None)
        if call is None:
            return None
        return CallArguments(
            local["args"],
            local["kwargs"],
            parameters=[*_SIGNATURE.of(local["jit_wrapper"]).parameters.values()],
            paths=call.paths,
            holds_static=True,
        )

    def call_signature(self, local: Mapping[str, Any]) -> inspect.Signature | None:
        """The signature that its jit has kept."""
        wrapper = local["jit_wrapper"]
        return None if _SIGNATURE.absent else _SIGNATURE.of(wrapper)

    def running_call(
        self, local: Mapping[str, Any], out_tree: Any
    ) -> RunningCall | None:
        """The call with the paths of its leaves, which JAX knows by number only."""
        try:
            return FilterJitCall(local["jit_wrapper"], local["args"], local["kwargs"])
        except Exception:
            return None  # An older or newer Equinox, whose locals are others.

    def call_paths(
        self, arguments: Sequence[str], results: Sequence[str]
    ) -> CallPaths | None:
        """Without the frames of the call, only the paths of results are known."""
        is_ours = bool(arguments) and all(map(_ARGUMENT.match, arguments))
        return FilterJitPaths({}) if is_ours else None

    def scopes(
        self,
        argument_of: Callable[[Any], Argument | None],
        argument_named: Callable[[str], Argument | None],
        may_set_attribute: bool,
    ) -> ModuleScopes:
        """Equinox puts classes of layers on the name stack, and no paths."""
        root = _equinox().Module
        return ModuleScopes(self, root, argument_of, argument_named, may_set_attribute)


class FilterJitPaths(CallPaths):
    """The paths of one call of a `filter_jit` function.

    Arguments:
        arguments: by JAX's path of an argument, without its dict, the user's.
    """

    def __init__(self, arguments: Mapping[tuple[str, int], str]):
        self._arguments = arguments

    def argument(self, path: str) -> str:
        """`model.weight` for `dynamic_nodonate['first'][0]`."""
        match = _ARGUMENT.match(path)
        if match is None:
            return super().argument(path)
        return self._arguments.get((match[1], int(match[2])), "")

    def result(self, path: str) -> str | None:
        """The steps to a result; None for the marker beside them."""
        rest = path.removeprefix("result[1]")
        return None if rest == path else typed(rest)

    def returned(self, results: Any) -> tuple[Any, int]:
        """What is beside the marker."""
        return part(results, 1)


class FilterJitCall(RunningCall):
    """A running call of a `filter_jit` function: from parameter names to arguments."""

    def __init__(self, jitted: Any, args: Any, kwargs: Any):
        signature = _SIGNATURE.of(jitted)
        bound = signature.bind(*args, **kwargs)
        super().__init__(bound.arguments)
        self.function = _NAME.of(jitted).rpartition(".")[2]
        self.paths = FilterJitPaths(_leaves(signature, bound))


def _leaves(
    signature: inspect.Signature, bound: inspect.BoundArguments
) -> dict[tuple[str, int], str]:
    """Of the first argument and of the rest, the path to each leaf."""
    positional = positional_names(signature, len(bound.args))
    keyword = keyword_names(signature, bound.kwargs)
    named = [*zip(positional, bound.args, strict=True)]
    by_keyword = [(keyword[k], bound.kwargs[k]) for k in sorted(bound.kwargs)]
    parts = {"first": named[:1], "rest": [*named[1:], *by_keyword]}
    return {
        (part, i): path
        for part, arguments in parts.items()
        for i, path in enumerate(_paths(arguments))
    }


def _paths(arguments: Sequence[tuple[str, Any]]) -> list[str]:
    return [
        typed(name + jax.tree_util.keystr(steps))
        for name, value in arguments
        for steps, _ in jax.tree_util.tree_flatten_with_path(value)[0]
    ]


def _state_items(state: Any) -> Children:
    for name, items_of in own(state):
        if type(items_of) is dict:
            yield from ((f".{name}{step}", child) for step, child in items(items_of))


def _equinox() -> Any:
    return sys.modules["equinox"]


def _is_layer(cls: type) -> bool:
    return f"{cls.__module__}.".startswith(f"{_LAYERS}.")


FRAMEWORK = Equinox()
