"""Paths that one types, as `model.blocks[2].kernel`: parsed, read, and written to.

The paths are those of `trees.names`. What can be changed is changed in place (a
Variable, a dict, a list, an attribute), so that whoever else holds it sees the same;
what cannot (a tuple, a frozen dataclass) is made anew around the new value.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from jaxdbg.frameworks.readers import variable_reader, with_item

Step = tuple[str, Any]
"""`(".", "kernel")` or `("[]", 3)`."""


class NoSuchPlace(LookupError):
    """Nothing is where the path leads."""


class CannotWrite(Exception):
    """What is there cannot be replaced; the text says why."""


def read(namespace: Mapping[str, object], path: str) -> Any:
    """The value at a path; of a Variable the array in it.

    Raises:
        NoSuchPlace: the path leads nowhere, or is none.
    """
    root, steps = parsed(path)
    if root not in namespace:
        raise NoSuchPlace(f"there is no {root}")
    value: Any = namespace[root]
    for step in steps:
        value = _child(value, step)
    return _raw(value)


def write(namespace: Mapping[str, object], path: str, new: Any) -> None:
    """Puts a value where a path leads.

    Raises:
        NoSuchPlace: the path leads nowhere.
        CannotWrite: a local variable, or a container that refuses.
    """
    root, steps = parsed(path)
    if root not in namespace:
        raise NoSuchPlace(f"there is no {root}")
    value = namespace[root]
    put = _with(value, steps, new)
    if put is value:
        return
    if not isinstance(namespace, MutableMapping) or not _is_writable(namespace):
        raise CannotWrite(f"{root} is a local variable, which only its function sets")
    namespace[root] = put


def _is_writable(namespace: Mapping[str, object]) -> bool:
    """Whether a name can be set there: globals can, a copy of locals cannot."""
    return "__builtins__" in namespace or "__name__" in namespace


def parsed(path: str) -> tuple[str, list[Step]]:
    """The name a path begins with, and the steps from there.

    Raises:
        NoSuchPlace: the text is no such path.
    """
    try:
        node: Any = ast.parse(path, mode="eval").body
    except SyntaxError:
        raise NoSuchPlace(f"{path!r} is no path") from None
    steps: list[Step] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            steps.append((".", node.attr))
        elif isinstance(node, ast.Subscript):
            steps.append(("[]", _key(node.slice, path)))
        else:
            raise NoSuchPlace(f"{path!r} is no path")
        node = node.value
    return node.id, steps[::-1]


def element_path(path: str, index: Sequence[int]) -> str:
    """The path of one element: `loss` for `()`, `kernel[3, 7]` for `(3, 7)`."""
    return f"{path}[{', '.join(str(int(i)) for i in index)}]" if len(index) else path


def _key(node: ast.expr, path: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise NoSuchPlace(f"{path!r} is no path") from None


def _child(value: Any, step: Step) -> Any:
    kind, key = step
    value = _raw(value)
    try:
        return getattr(value, key) if kind == "." else value[key]
    except (AttributeError, LookupError, TypeError):
        missing = f".{key}" if kind == "." else f"[{key!r}]"
        raise NoSuchPlace(f"{type(value).__name__} has no {missing}") from None


def _with(value: Any, steps: Sequence[Step], new: Any) -> Any:
    """The value with `new` put where the steps lead: itself, if changed in place."""
    if not steps:
        if (variable := variable_reader(value)) is None:
            return new
        variable.put(value, new)
        return value
    child = _child(value, steps[0])
    put = _with(child, steps[1:], new)
    return value if put is child else _replaced(value, steps[0], put)


def _replaced(value: Any, step: Step, put: Any) -> Any:
    kind, key = step
    if (variable := variable_reader(value)) is not None:
        variable.put(value, _replaced(variable.raw(value), step, put))
        return value
    if isinstance(value, tuple):
        at = type(value)._fields.index(key) if kind == "." else key  # type: ignore[attr-defined]
        parts = (*value[:at], put, *value[at + 1 :])
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if kind == "." and _is_frozen(value):
        changed = copy.copy(value)
        object.__setattr__(changed, key, put)
        return changed
    if kind != "." and (copied := with_item(value, key, put)) is not None:
        return copied
    try:
        if kind == ".":
            setattr(value, key, put)
        else:
            value[key] = put
    except Exception as error:
        raise CannotWrite(f"{type(value).__name__} refuses it: {error}") from error
    return value


def _is_frozen(value: Any) -> bool:
    params = getattr(type(value), "__dataclass_params__", None)
    return bool(getattr(params, "frozen", False))


def _raw(value: Any) -> Any:
    """The value inside a variable; any other value itself."""
    variable = variable_reader(value)
    return value if variable is None else variable.raw(value)
