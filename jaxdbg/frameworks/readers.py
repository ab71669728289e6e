"""What containers hold, each value with the step that leads to it: `.kernel`, `[3]`.

Reading runs none of the user's code: it looks at instance dicts, slots and builtin
containers, and calls no property, `repr`, `==` or `hash` of theirs.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
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

_OPAQUE_PACKAGES = re.compile(
    "(jax|jaxlib|numpy|pandas|polars|pyarrow|matplotlib|plotly|sklearn|scipy|torch|"
    "tensorflow|tensorflow_datasets|IPython|ipykernel|ipywidgets|traitlets|tornado|zmq|"
    r"asyncio|threading|logging|concurrent|multiprocessing|_?pytest|jaxdbg)(\.|$)"
)
"""Objects of these hold no array that a user would name by the way to it."""

_PLAIN_VALUES = (str, bytes, bytearray, int, float, complex, type(None), range, slice)
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, FrameType)
_LEAVES = (*_PLAIN_VALUES, *_CODE, set, frozenset)

Children = Iterator[tuple[str, object]]
Reader = Callable[[Any], Children]


def is_flax_node(value: object) -> bool:
    """Whether a value is a module of NNX, an optimizer, or another of its graphs."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and is_a(type(value), nnx.Pytree)


def an_array(value: Any) -> Children:
    """The reader of arrays."""
    raise AssertionError("a mark for types whose values are what we look for")


def a_variable(value: Any) -> Children:
    """The reader of variables; `raw` gives what is inside."""
    raise AssertionError("a mark for types that stand for the value inside")


def reader_of(cls: type) -> Reader | None:
    """How to read the values of a type; None where there is nothing to read."""
    if is_a(cls, *_LEAVES):
        return None
    if is_a(cls, jax.Array, np.ndarray, getattr(jax, "Ref", np.ndarray)):
        return an_array
    if is_a(cls, dict, list, tuple, deque):
        return _builtin_reader(cls)
    return flax_reader(cls) or object_reader(cls)


def _builtin_reader(cls: type) -> Reader | None:
    base = next(b for b in (dict, list, tuple, deque) if is_a(cls, b))
    fields = _static(cls, "_fields")
    if base is tuple and type(fields) is tuple:
        return lambda value: _named(fields, value)
    if _static(cls, "__getitem__") is not vars(base)["__getitem__"]:
        return None  # Its `[...]` may lead anywhere.
    return _items if base is dict else lambda value: _indexed(base.__iter__(value))


def _items(value: Any) -> Children:
    for key, child in dict.items(value):
        if is_literal(key):
            yield f"[{quoted(key)}]", child


def _indexed(values: Iterator[object]) -> Children:
    return ((f"[{i}]", child) for i, child in enumerate(values))


def _named(fields: tuple[str, ...], value: Any) -> Children:
    return zip([f".{f}" for f in fields], tuple.__iter__(value), strict=False)


def flax_reader(cls: type) -> Reader | None:
    """How to read what flax holds values in; None for other types, modules too."""
    # Without flax imported, nobody holds anything of it.
    core, nnx = sys.modules.get("flax.core"), sys.modules.get("flax.nnx")
    if core is not None and is_a(cls, core.FrozenDict):
        return lambda value: _items(value._dict)
    if nnx is None:
        return None
    if is_a(cls, nnx.Variable):
        return a_variable
    if is_a(cls, nnx.State):
        methods = frozenset(dir(nnx.State))
        return lambda value: _state_items(value, methods)
    if is_a(cls, nnx.List):
        return lambda value: ((f"[{k}]", v) for k, v in own(value) if k.isdecimal())
    if cls.__module__ == "flax.nnx.extract":
        return _taken_apart
    if is_a(cls, nnx.Dict):
        return lambda value: (
            (f"[{quoted(k)}]", v) for k, v in own(value) if k[:8] != "_pytree_"
        )
    return None


def is_state(cls: type) -> bool:
    """Whether this is NNX's class of a module's variables without the module."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and is_a(cls, nnx.State)


def _taken_apart(value: Any) -> Children:
    """A module as `nnx.jit` hands it on: to the user it is the module still."""
    for child in vars(value).values():
        for part in child if type(child) is tuple else (child,):
            yield "", part


def raw(variable: Any) -> Any:
    try:
        return variable.get_raw_value()
    except Exception:
        return None  # Not yet initialised, or deleted.


def _state_items(state: Any, methods: frozenset[str], path: str = "") -> Children:
    """The leaves of a State; its inner dicts become States when one reads them."""
    mapping = state if isinstance(state, dict) else vars(state)["_mapping"]
    for key, child in mapping.items():
        attribute = is_name(key) and key not in methods
        step = f"{path}.{key}" if attribute else f"{path}[{quoted(key)}]"
        if is_a(type(child), dict, type(state)):
            yield from _state_items(child, methods, step)
        else:
            yield step, child


def object_reader(cls: type) -> Reader | None:
    """Reads attributes where they lie, so that no property or descriptor runs."""
    intercepts = next(c for c in cls.__mro__ if "__getattribute__" in vars(c))
    if _package(intercepts) not in ("builtins", "flax"):
        return None  # An attribute may lead anywhere.
    if _OPAQUE_PACKAGES.match(cls.__module__):
        return None
    slots, hidden, has_dict = _members(cls)

    def read(value: Any) -> Children:
        for name, child in own(value) if has_dict else ():
            if is_name(name) and name not in hidden and name[:8] != "_pytree_":
                yield f".{name}", child
        for name, slot in slots.items():
            try:
                yield f".{name}", slot.__get__(value)
            except AttributeError:
                continue  # Declared and not set.

    return read


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


def own(value: Any) -> Iterator[tuple[str, object]]:
    return iter(object.__getattribute__(value, "__dict__").items())


def _static(cls: type, name: str) -> Any:
    return next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)


def is_a(cls: type, *bases: type) -> bool:
    # isinstance asks an object for its `__class__`, issubclass may ask the class's
    # metaclass, and an abstract base class takes its hash.
    return any(c is base for c in cls.__mro__ for base in bases)


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def is_name(key: object) -> bool:
    return type(key) is str and key.isidentifier() and not keyword.iskeyword(key)


def is_literal(key: object) -> bool:
    if type(key) is tuple:
        return all(is_literal(k) for k in key)
    return type(key) in (str, int, bool, bytes, type(None))


def quoted(key: object) -> str:
    """A key as one types it: strings in double quotes, unless they hold some."""
    text = repr(key)
    if type(key) is str and text[0] == "'" and '"' not in key:
        return f'"{text[1:-1]}"'
    return text
