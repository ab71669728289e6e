"""Paths of modules on the name stack, while a function is traced for a diagnosis.

Some libraries put no paths of modules on the name stack. Here each method of a module
runs in a named scope with the path of the module, as the user would type it. A module
that is called is found by identity in the attributes of the one that calls it. A module
that was taken apart and put together again (jit, grad, scan and remat do that) is a new
object, which is known by an attribute that survives this; and where it has none, by its
arrays, which are arguments of the call. Only objects made by the trace get that
attribute.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import jax

from jaxdbg.frameworks.framework import MODULE, Argument, Framework
from jaxdbg.frameworks.reader_parts import VariableReader, an_array, is_a
from jaxdbg.frameworks.readers import reader_of
from jaxdbg.jax_internals.shared_changes import SharedChange

_PATH = "_jaxdbg_path"
"""The attribute with the path of a module."""

MAX_LOOKED_AT = 10_000
"""How many values inside one module are looked at."""


class ModuleScopes:
    """The modules of a library that run while a function is traced.

    Arguments:
        framework: says which classes are modules.
        root: the class that all modules derive from.
        argument_of: the argument of the call that a value in a variable is, or None.
        argument_named: the argument of the call with a name, or None.
        may_set_attribute: whether objects made by the trace may get an attribute; the
            library's transformations may then see a change that the user did not make.
    """

    def __init__(
        self,
        framework: Framework,
        root: type,
        argument_of: Callable[[Any], Argument | None],
        argument_named: Callable[[str], Argument | None],
        may_set_attribute: bool,
    ):
        self._framework = framework
        self._root = root
        self._argument_of = argument_of
        self._argument_named = argument_named
        self._may_set_attribute = may_set_attribute
        self._running: list[tuple[Any, str, str]] = []
        self._named: list[Any] = []

    def naming(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the modules among its arguments named by their paths."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self._name_all((args, kwargs))
            try:
                return function(*args, **kwargs)
            finally:
                self._unname_all()

        return run

    def _name_all(self, values: Any) -> None:
        for _, value in inside(values):
            if self._is_module(value) and _PATH not in vars(value):
                path = self._by_variables(value)
                if path is not None:
                    self._mark(value, path)

    def _unname_all(self) -> None:
        for module in self._named:
            vars(module).pop(_PATH, None)
        self._named.clear()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """While open, methods of modules run in scopes, in this thread."""
        here = _open.by_root
        before, here[self._root] = here.get(self._root), self
        try:
            with _replaced(self._root, self._framework).made():
                yield
        finally:
            here[self._root] = before

    @contextlib.contextmanager
    def running_in(self, module: Any) -> Iterator[None]:
        """While open, what is traced is in the scope of a module."""
        if self._running and self._running[-1][0] is module:
            yield
            return
        path, shown = self._path_of(module)
        self._running.append((module, path, shown))
        try:
            with jax.named_scope(MODULE + shown):
                yield
        finally:
            self._running.pop()

    def _path_of(self, module: Any) -> tuple[str, str]:
        """The path of a module, and the path with loops: `model.blocks[*12]`."""
        outer, outer_path, outer_shown = (
            self._running[-1] if self._running else (None, "", "")
        )
        path = vars(module).get(_PATH)
        if path is None and outer is not None and outer_path:
            step = next((s for s, v in inside(outer) if v is module), None)
            path = outer_path + step if step is not None else None
        if path is None:
            path = self._by_variables(module)
            if path is not None and self._is_of_trace(module):
                self._mark(module, path)
        if path is None:
            return "", f"<{type(module).__name__}>"
        sizes = self._mapped(module, path)
        if outer_path and path.startswith(outer_path):
            return path, self._below(outer_path, outer_shown, path, sizes)
        return path, path + _stars(sizes)

    def _below(
        self, outer_path: str, outer_shown: str, path: str, sizes: tuple[int, ...]
    ) -> str:
        known = outer_shown.count("[*")
        return outer_shown + path[len(outer_path) :] + _stars(sizes[known:])

    def _mapped(self, module: Any, path: str) -> tuple[int, ...]:
        """Sizes of the axes that the module's arrays have outside, and not here."""
        for step, value in inside(module):
            shape = getattr(value, "shape", None)
            known = self._argument_named(path + step) if shape is not None else None
            if known is not None:
                return known.shape[: len(known.shape) - len(shape or ())]
        return ()

    def _by_variables(self, module: Any) -> str | None:
        for step, value in inside(module):
            known = self._argument_of(value) if hasattr(value, "shape") else None
            if known is not None and step and known.name.endswith(step):
                return known.name[: -len(step)]
        return None

    def _is_of_trace(self, module: Any) -> bool:
        return any(isinstance(v, jax.core.Tracer) for _, v in inside(module))

    def _mark(self, module: Any, path: str) -> None:
        if not self._may_set_attribute:
            return
        for step, value in [("", module), *inside(module)]:
            if self._is_module(value) and _PATH not in vars(value):
                object.__setattr__(value, _PATH, path + step)
                self._named.append(value)

    def _is_module(self, value: Any) -> bool:
        return is_a(type(value), self._root)


class _Open(threading.local):
    """Of each root the scopes that are installed in this thread."""

    def __init__(self) -> None:
        self.by_root: dict[type, ModuleScopes | None] = {}


_open = _Open()


@functools.cache
def _replaced(root: type, framework: Framework) -> SharedChange:
    """The methods of a library's modules replaced by those that run in scopes."""

    def make() -> Callable[[], None]:
        undo = contextlib.ExitStack()
        for cls in _module_classes(root, framework):
            for name, function in list(vars(cls).items()):
                if type(function) is FunctionType and _is_wanted(name):
                    undo.callback(setattr, cls, name, function)
                    setattr(cls, name, _scoped(root, function))
        return undo.close

    return SharedChange(make)


def _scoped(root: type, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def in_scope(*args: Any, **kwargs: Any) -> Any:
        scopes = _open.by_root.get(root)
        if scopes is None or not args:
            return function(*args, **kwargs)
        with scopes.running_in(args[0]):
            return function(*args, **kwargs)

    return in_scope


def _module_classes(root: type, framework: Framework) -> Iterator[Any]:
    """The classes of modules, all but those that the library is made of."""
    queue: deque[Any] = deque(root.__subclasses__())
    seen: set[Any] = set()
    while queue:
        cls = queue.popleft()
        if cls not in seen:
            seen.add(cls)
            queue.extend(cls.__subclasses__())
            if not framework.is_machinery_class(cls):
                yield cls


def _stars(sizes: tuple[int, ...]) -> str:
    return "".join(f"[*{n}]" for n in sizes)


def _is_wanted(name: str) -> bool:
    return name == "__call__" or not name.startswith("__")


def inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What is inside a value, with the way to it: modules, containers, arrays.

    The nearest first. A variable is replaced by the array that it holds.
    """
    queue: deque[tuple[str, Any]] = deque([("", value)])
    seen = {id(value)}
    for _ in range(MAX_LOOKED_AT):
        if not queue:
            return
        path, value = queue.popleft()
        reader = reader_of(type(value))
        if reader is None or reader is an_array:
            continue
        for step, child in reader(value):
            inner = reader_of(type(child))
            if isinstance(inner, VariableReader):
                yield path + step, inner.raw(child)
            elif id(child) not in seen:
                seen.add(id(child))
                yield path + step, child
                queue.append((path + step, child))
