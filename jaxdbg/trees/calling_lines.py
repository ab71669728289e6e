"""The call that a frame makes, in its source: what is passed, and where it is put.

Where the source is not there, is not that of the code, or has no columns, nothing is
known.
"""

from __future__ import annotations

import ast
import dis
import functools
import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from jaxdbg.frameworks.reader_parts import quoted

MAX_LENGTH = 60
"""Longest text that is still a name."""

MAX_SOURCE = 2_000_000
"""Characters of a file that is parsed."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a line calls a value, or the parts of it.

    Attributes:
        name: as written; empty where only parts have names.
        parts: what the value is unpacked into; None for a part without a name.
        star: which of the parts is the list of the rest; None for none.
    """

    name: str = ""
    parts: tuple[Target | None, ...] = ()
    star: int | None = None


@dataclass(frozen=True, slots=True)
class Assigned:
    """A part of the result of a call, and what the line calls it.

    Attributes:
        steps: from the result to the part: `("[0]", ".loss")`.
        target: what it is called.
    """

    steps: tuple[str, ...]
    target: Target


@dataclass(frozen=True, slots=True)
class CallingLine:
    """A call in the source.

    Attributes:
        call: the expression.
        assigned: the parts of the result that the line gives names to.
        is_returned: whether the function that makes the call returns its result.
        texts: its arguments as written, those by keyword last; empty where too long.
    """

    call: ast.Call
    assigned: tuple[Assigned, ...]
    is_returned: bool
    texts: tuple[str, ...]


def calling_line(frame: FrameType) -> CallingLine | None:
    """The call that a frame makes now; None where it is not known."""
    code = frame.f_code
    lines = linecache.getlines(code.co_filename, frame.f_globals)
    source = "".join(lines)
    if not 0 < len(source) <= MAX_SOURCE:
        return None
    return _in_source(code, frame.f_lasti, source)


@functools.lru_cache(maxsize=128)
def _in_source(code: CodeType, at: int, source: str) -> CallingLine | None:
    where = next(islice(code.co_positions(), at // 2, None), (None,) * 4)
    end = (where[1], where[3])
    try:
        module = _parsed(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    path = _path_to_call(module, end) if None not in where else []
    if not path or not _is_source_of(code, path):
        return None
    *above, call = path
    assert isinstance(call, ast.Call)
    assigned, is_returned = _use_of(call, above, source)
    passed = [*call.args, *(k.value for k in call.keywords)]
    texts = tuple(_text(node, source) for node in passed)
    return CallingLine(call, assigned, is_returned, texts)


@functools.lru_cache(maxsize=4)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _path_to_call(module: ast.Module, end: tuple[Any, Any]) -> list[ast.AST]:
    """The nodes from a module to the call that ends there; no two calls do."""
    path: list[ast.AST] = [module]
    while not _ends(path[-1], end):
        inside = ast.iter_child_nodes(path[-1])
        last = next((n for n in inside if _reaches(n, end)), None)
        if last is None:
            return []
        path.append(last)
    return path


def _ends(node: ast.AST, end: tuple[int, int]) -> bool:
    return isinstance(node, ast.Call) and _end(node) == end


def _end(node: Any) -> tuple[int, int]:
    return node.end_lineno, node.end_col_offset


def _reaches(node: Any, end: tuple[int, int]) -> bool:
    """Whether a node begins before a place and ends at or after it."""
    if not hasattr(node, "lineno"):
        return any(_reaches(child, end) for child in ast.iter_child_nodes(node))
    return (node.lineno, node.col_offset) < end <= _end(node)


# -- whether the source is that of the code -------------------------------------------


def _is_source_of(code: CodeType, path: Sequence[ast.AST]) -> bool:
    """Whether the names of a statement are where the code has them.

    A file may have been edited since it was imported.
    """
    statement = [node for node in path if isinstance(node, ast.stmt)][-1]
    names = {_place(n): n.id for n in _own_nodes(statement) if isinstance(n, ast.Name)}
    found = [
        (names[place], one.argval)
        for one in dis.get_instructions(code)
        if one.positions is not None and (place := tuple(one.positions)) in names
    ]
    known = [_names(name, value) for name, value in found if _is_text(value)]
    return bool(known) and all(known)


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements inside it."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt):
            yield from ast.walk(child)


def _place(node: ast.expr) -> tuple[int | None, ...]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _is_text(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    )


def _names(name: str, value: str | tuple[str, ...]) -> bool:
    return name == value or (isinstance(value, tuple) and name in value)


# -- what is done with the result ------------------------------------------------------


def _use_of(
    call: ast.Call, above: Sequence[ast.AST], source: str
) -> tuple[tuple[Assigned, ...], bool]:
    """What the result is called, and whether it is returned."""
    steps: list[str] = []
    displayed: list[int] = []
    found: list[Assigned] = []
    node: ast.AST = call
    for parent in reversed(above):
        match parent:
            case ast.NamedExpr(target=target) if not displayed:
                found += _assigned(steps, [target], [], source)
            case ast.Assign(targets=targets):
                found += _assigned(steps, targets, displayed, source)
                break
            case ast.AnnAssign(target=target):
                found += _assigned(steps, [target], displayed, source)
                break
            case ast.IfExp(test=test) if node is not test:
                pass
            case ast.Attribute(attr=name) if not displayed:
                steps.append(f".{name}")
            case ast.Subscript(value=value, slice=ast.Constant(value=key)) if (
                node is value and not displayed and type(key) in (int, str)
            ):
                steps.append(f"[{quoted(key)}]")
            case ast.Tuple(elts=parts) | ast.List(elts=parts) if (
                at := _index(parts, node)
            ) is not None:
                displayed.append(at)
            case ast.Return() | ast.Lambda():
                is_value = getattr(parent, "value", None) is node
                is_body = getattr(parent, "body", None) is node
                is_whole = not (steps or displayed or _replaces_returned(above))
                return tuple(found), is_whole and (is_value or is_body)
            case _:
                break
        node = parent
    return tuple(found), False


def _replaces_returned(above: Sequence[ast.AST]) -> bool:
    """Whether a `finally` around a statement may return something else."""
    around = (n for n in above if isinstance(n, ast.Try | ast.TryStar))
    last = (s for one in around for s in one.finalbody)
    return any(isinstance(n, ast.Return) for s in last for n in ast.walk(s))


def _index(parts: Sequence[ast.expr], node: ast.AST) -> int | None:
    """Which element of a tuple a node is; None after a star."""
    for i, one in enumerate(parts):
        if isinstance(one, ast.Starred):
            return None
        if one is node:
            return i
    return None


def _assigned(
    steps: Sequence[str],
    targets: Sequence[ast.expr],
    displayed: Sequence[int],
    source: str,
) -> Iterator[Assigned]:
    """What targets call the result, which is in a tuple where `displayed` says so."""
    for one in targets:
        target = _target(one, source)
        for i in reversed(displayed):
            target = _element(target, i)
        if target is not None:
            yield Assigned(tuple(steps), target)


def _element(target: Target | None, i: int) -> Target | None:
    if target is None:
        return None
    if target.name:
        return Target(f"{target.name}[{i}]")
    before_star = target.star is None or i < target.star
    return target.parts[i] if before_star and i < len(target.parts) else None


def _target(node: ast.expr, source: str) -> Target | None:
    match node:
        case ast.Name(id=name):
            return Target(name) if name.strip("_") else None
        case ast.Subscript(slice=key) if _has_slice(key):
            return None
        case ast.Attribute() | ast.Subscript():
            text = _text(node, source)
            return Target(text) if text else None
        case ast.Starred(value=inner):
            return _target(inner, source)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            stars = [i for i, p in enumerate(parts) if isinstance(p, ast.Starred)]
            inside = tuple(_target(p, source) for p in parts)
            return Target("", inside, stars[0] if stars else None)
    return None


def _has_slice(key: ast.expr) -> bool:
    return any(isinstance(node, ast.Slice) for node in ast.walk(key))


def _text(node: ast.expr, source: str) -> str:
    text = ast.get_source_segment(source, node) or ""
    text = ast.unparse(node) if "\n" in text else text
    return text if len(text) <= MAX_LENGTH else ""
