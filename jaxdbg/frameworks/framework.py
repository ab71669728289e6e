"""What is asked of a library of models: one class of questions, each with a default.

A library answers what it knows better than the default, in a module of its own that
`jaxdbg.frameworks.loaded` lists. A class or a call that is not of the library is
answered as the default does, so that the next library is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from inspect import Parameter
from types import CodeType, MappingProxyType
from typing import Any, NamedTuple, Protocol

from jaxdbg.frameworks.attributes import Attribute
from jaxdbg.frameworks.jitted_calls import CallPaths, RunningCall
from jaxdbg.frameworks.reader_parts import Reader

MODULE = "jaxdbg:module:"
"""How the scope of a module begins; its path follows, or its class in `<...>`."""


class Argument(NamedTuple):
    """A flat argument of a call: its name and its shape."""

    name: str
    shape: tuple[int, ...]


class CallArguments(NamedTuple):
    """What the user gave to a jitted function of a library.

    Attributes:
        args, kwargs: as the user passed them.
        attributes: by path, all that they are made of; empty where JAX knows it.
        parameters: of the user's function; empty where jit knows them.
        paths: what the paths mean that JAX has of its arguments; None for nothing.
        holds_static: whether its jit holds static what is no array.
    """

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    attributes: Mapping[str, Attribute] = MappingProxyType({})
    parameters: Sequence[Parameter] = ()
    paths: CallPaths | None = None
    holds_static: bool = False


class Scopes(Protocol):
    """Names the modules that run while a function is traced, on JAX's name stack."""

    def installed(self) -> AbstractContextManager[None]:
        """While open, the methods of modules run in named scopes."""

    def naming(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the modules among its arguments named by their paths."""


class Framework:
    """A library of models.

    Attributes:
        package: the package its classes are written in.
        hidden_prefixes: of attributes that are the library's own.
        imported_as: the name by which programs import it.
        has_unnamed_modules: whether the library leaves JAX's name stack alone, so that
            it says nothing of the module an operation is in; see `scopes`.
    """

    package = ""
    hidden_prefixes: tuple[str, ...] = ()
    imported_as = ""
    has_unnamed_modules = False

    # Its values.

    def is_module(self, cls: type) -> bool:
        """Whether objects of a class are modules or optimizers; containers are not."""
        return False

    def is_updated_in_place(self, cls: type) -> bool:
        """Whether such an object holds other arrays after a training step."""
        return False

    def is_machinery_class(self, cls: type) -> bool:
        """Whether a class of modules is none that the user would call a module."""
        return False

    def reader(self, cls: type) -> Reader | None:
        """How to read the children of its objects; a `VariableReader` for variables."""
        return None

    def is_view(self, cls: type) -> bool:
        """Whether what such an object holds is held by a module too."""
        return False

    def gives_view(self, function: object) -> bool:
        """Whether a function gives a part of its argument, under the same paths."""
        return False

    def group(self, cls: type) -> str:
        """The group of the leaves in such an object, as in `records.LeafStats`."""
        return ""

    def with_item(self, container: object, key: object, value: object) -> Any:
        """A copy of its immutable container with one item replaced; else None."""
        return None

    def running_path(self, module: object) -> str:
        """The path of a module that runs, where it knows it itself; else empty."""
        return ""

    # What its jit makes of a function.

    def wrapped(self, fun: Any) -> Any:
        """The function inside a callable of the library; None for other callables."""
        return None

    def kind_of(self, fun: Any) -> str:
        """What a callable of the library is, as "nnx.jit function"; else empty."""
        return ""

    def hides_traces(self, fun: Any) -> bool:
        """Whether nothing says which traces are those of its jitted callable."""
        return False

    def is_machinery(self, file: str) -> bool:
        """Whether code of a file only passes on a call, from the user's code to JAX."""
        return False

    def as_pure(
        self, fun: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[[Any], Any], Any] | None:
        """A call as a function of a tree of arrays, and this tree.

        None where a call of the library needs no more than that its arguments are taken
        apart as pytrees.
        """
        return None

    # A call of its jit.

    def call_codes(self) -> frozenset[CodeType]:
        """The code whose frames may hold the arguments of such a call."""
        return frozenset()

    def called(self, local: Mapping[str, Any]) -> Any:
        """The user's callable that such a frame calls; None where JAX knows it."""
        return None

    def passing_codes(self) -> frozenset[CodeType]:
        """The code that returns what its jit returns, as it is."""
        return self.call_codes()

    def call_arguments(self, local: Mapping[str, Any]) -> CallArguments | None:
        """The arguments in the locals of such a frame; None where it is none."""
        return None

    def call_signature(self, local: Mapping[str, Any]) -> inspect.Signature | None:
        """Of the function that such a frame calls, with `args` and `kwargs` in it."""
        return None

    def running_call(
        self, local: Mapping[str, Any], out_tree: Any
    ) -> RunningCall | None:
        """The same as a namespace, with what JAX calls them; None where it is none.

        Arguments:
            local: locals of the frame.
            out_tree: of the call of `jax.jit` inside; None where there is none yet.
        """
        return None

    def call_paths(
        self, arguments: Sequence[str], results: Sequence[str]
    ) -> CallPaths | None:
        """What JAX's paths mean, if they are those of a call of the library's jit.

        It is asked when the frames of the call are gone.
        """
        return None

    # Its modules while a function is traced.

    def scopes(
        self,
        argument_of: Callable[[Any], Argument | None],
        argument_named: Callable[[str], Argument | None],
        may_set_attribute: bool,
    ) -> Scopes | None:
        """Puts the paths of its modules on the name stack; None where JAX has them.

        Arguments:
            argument_of: the argument of the call that a value in a module is, or None.
            argument_named: the argument of the call with a name, or None.
            may_set_attribute: whether objects made by the trace may get an attribute.
        """
        return None
