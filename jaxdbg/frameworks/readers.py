"""How the values of any class are read: builtin containers, objects, modules.

Reading runs none of the user's code: it looks at instance dicts, slots and builtin
containers, and calls no property, `repr`, `==` or `hash` of theirs. What the libraries
of models hold, they say themselves: see `jaxdbg.frameworks.framework`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from types import (
    BuiltinFunctionType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import jax
import numpy as np

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.reader_parts import (
    Children,
    Reader,
    VariableReader,
    an_array,
    is_a,
    is_name,
    items,
    own,
    package_of,
)

_OPAQUE_PACKAGES = re.compile(
    "(jax|jaxlib|numpy|pandas|polars|pyarrow|matplotlib|plotly|sklearn|scipy|torch|"
    "tensorflow|tensorflow_datasets|IPython|ipykernel|ipywidgets|traitlets|tornado|zmq|"
    r"asyncio|threading|logging|concurrent|multiprocessing|_?pytest|jaxdbg)(\.|$)"
)
"""Objects of these packages hold no array that a user would name by its path."""

_PLAIN_VALUES = (str, bytes, bytearray, int, float, complex, type(None), range, slice)
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, FrameType)
_LEAVES = (*_PLAIN_VALUES, *_CODE, set, frozenset)


def reader_of(cls: type) -> Reader | None:
    """How to read the values of a class; None where there is nothing to read."""
    if is_a(cls, *_LEAVES):
        return None
    if is_a(cls, jax.Array, np.ndarray, getattr(jax, "Ref", np.ndarray)):
        return an_array
    if is_a(cls, dict, list, tuple, deque):
        return _builtin_reader(cls)
    return library_reader(cls) or object_reader(cls)


def library_reader(cls: type) -> Reader | None:
    """How a library of models says its own classes are read; None for other classes."""
    readers = (framework.reader(cls) for framework in loaded())
    return next((reader for reader in readers if reader is not None), None)


def is_module(value: object) -> bool:
    """Whether a value is a module or an optimizer of a library."""
    return any(framework.is_module(type(value)) for framework in loaded())


def group(cls: type) -> str:
    """What the class of a value says of the leaves inside; empty for nothing."""
    groups = (framework.group(cls) for framework in loaded())
    return next(filter(None, groups), "")


def is_updated_in_place(value: object) -> bool:
    """Whether a value is a module that holds other arrays after a training step."""
    return any(framework.is_updated_in_place(type(value)) for framework in loaded())


def is_view(cls: type) -> bool:
    """Whether what a value holds is held by a module too, which has the better name."""
    return any(framework.is_view(cls) for framework in loaded())


def variable_reader(value: object) -> VariableReader | None:
    """How to read and set a value if it is a variable; else None."""
    reader = library_reader(type(value))
    return reader if isinstance(reader, VariableReader) else None


def packages_of_unnamed_modules() -> tuple[str, ...]:
    """The folders of loaded libraries whose modules are not on JAX's name stack."""
    return tuple(f"{f.package}/" for f in loaded() if f.has_unnamed_modules)


def with_item(container: object, key: object, value: object) -> Any:
    """A copy of a library's immutable container with one item replaced; else None."""
    copies = (framework.with_item(container, key, value) for framework in loaded())
    return next((copy for copy in copies if copy is not None), None)


def _builtin_reader(cls: type) -> Reader | None:
    base = next(b for b in (dict, list, tuple, deque) if is_a(cls, b))
    fields = _static(cls, "_fields")
    if base is tuple and type(fields) is tuple:
        return lambda value: _named(fields, value)
    if _static(cls, "__getitem__") is not vars(base)["__getitem__"]:
        return None  # Its `[...]` may lead anywhere.
    return items if base is dict else lambda value: _indexed(base.__iter__(value))


def _indexed(values: Iterator[object]) -> Children:
    return ((f"[{i}]", child) for i, child in enumerate(values))


def _named(fields: tuple[str, ...], value: Any) -> Children:
    return zip([f".{f}" for f in fields], tuple.__iter__(value), strict=False)


def object_reader(cls: type) -> Reader | None:
    """Reads attributes in the instance dict and slots: no property, no descriptor."""
    intercepts = next(c for c in cls.__mro__ if "__getattribute__" in vars(c))
    if intercepts is not object and not _is_of_library(intercepts):
        return None  # An attribute may lead anywhere.
    if _OPAQUE_PACKAGES.match(cls.__module__):
        return None
    hidden_prefixes = tuple(p for f in loaded() for p in f.hidden_prefixes)
    slots, hidden, has_dict = _members(cls)

    def read(value: Any) -> Children:
        for name, child in own(value) if has_dict else ():
            if is_name(name) and not (
                name in hidden or name.startswith(hidden_prefixes)
            ):
                yield f".{name}", child
        for name, slot in slots.items():
            try:
                yield f".{name}", slot.__get__(value)
            except AttributeError:
                continue  # Declared and not set.

    return read


def _is_of_library(cls: type) -> bool:
    package = package_of(cls)
    return package == "builtins" or any(f.package == package for f in loaded())


def _members(
    cls: type,
) -> tuple[dict[str, MemberDescriptorType], frozenset[str], bool]:
    """Slots, names a data descriptor answers for, and whether there is a plain dict."""
    slots: dict[str, MemberDescriptorType] = {}
    hidden: set[str] = set()
    has_dict = False
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if name == "__dict__":
                has_dict = type(member) is GetSetDescriptorType
            elif type(member) is MemberDescriptorType and base is not object:
                slots[name] = member
            elif _static(type(member), "__set__") is not None:
                hidden.add(name)
    return slots, frozenset(hidden), has_dict


def _static(cls: type, name: str) -> Any:
    return next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)
