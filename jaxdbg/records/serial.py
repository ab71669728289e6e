"""Records as JSON and back: dataclasses, tuples and read-only mappings, nested.

A float that is not finite is written as the text of it, since JSON has no such number
and a browser would refuse it.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from jaxdbg.records.read_only import ReadOnly


def plain(value: Any) -> Any:
    """A record as what `json.dumps` takes."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def record(kind: Any, value: Any) -> Any:
    """What `plain` made of a value of this type, back as it was.

    Arguments:
        kind: a dataclass, or a type its fields are annotated with.
        value: what JSON holds; fields that are not there keep their defaults, and those
            that the type does not have, which a newer jaxdbg wrote, are ignored.

    Raises:
        KeyError, TypeError, ValueError: the value does not fit the type.
    """
    if is_dataclass(kind):
        return _dataclass(kind, value)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        return None if value is None else record(inner[0], value)
    if origin is tuple:
        each = args[:1] * len(value) if args[1:] == (...,) else args
        return tuple(record(a, v) for a, v in zip(each, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return ReadOnly({k: record(args[1], v) for k, v in value.items()})
    return float(value) if kind is float else value


def _dataclass(kind: Any, value: Mapping[str, Any]) -> Any:
    wanted = _types(kind)
    return kind(**{k: record(wanted[k], v) for k, v in value.items() if k in wanted})


@lru_cache(maxsize=64)
def _types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}
