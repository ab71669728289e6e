"""Which argument to mark static, where a traced value is used as a Python value.

It is said only where it is certain: the argument is a Python number, and the expression
that needs it makes its value by Python's own operators. A function of JAX gives a
traced value also of a static argument.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
from collections.abc import Sequence
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any

import jax
import numpy as np

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.traced_as_static import (
    TracedValue,
    traced_value,
    unhashable,
)
from jaxdbg.trees.calling_lines import calling_line
from jaxdbg.trees.static_values import UNKNOWN, StaticValues

_OF_PYTHON = frozenset({"range", "int", "float", "bool", "abs", "min", "max", "round"})
"""Functions that give a Python value of Python values."""

_OPERATORS = (
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Subscript,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
)
"""What Python evaluates itself where its operands are Python values."""


def advice(error: BaseException, entries: Sequence[TracebackType]) -> str:
    """Which argument to mark static, or that none can be; empty where not certain.

    Arguments:
        error: that has left the program.
        entries: of its traceback, from outside in.
    """
    if said := unhashable(error):
        return _hashable(said, entries)
    value = traced_value(error)
    at = _entry_of(value, entries) if value is not None else None
    if value is None or at is None or _is_traced(entries[:at]):
        return ""
    if value.is_made_inside:
        return (
            f"no argument of {value.function} can be marked static here: the value is "
            f"computed inside {value.function}."
        )
    passed = _passed(entries[:at], entries[at].tb_frame.f_code)
    values = {name: passed.get(name, UNKNOWN) for name in value.arguments}
    local = variables_of(entries[at].tb_frame)
    arrays = [n for n, v in values.items() if _is_array(v, local.get(n))]
    if arrays:
        return _none(value, arrays[0], error)
    if not all(_is_number(v) for v in values.values()):
        return ""
    if not _is_plain_use(entries, at, value.arguments):
        return ""
    names = ", ".join(repr(name).replace("'", '"') for name in values)
    names = names if len(values) == 1 else f"({names})"
    are = "is a Python value" if len(values) == 1 else "are Python values"
    return (
        f"{' and '.join(f'`{n}`' for n in values)} {are} that jit traces. Mark it "
        f"static: `static_argnames={names}` in the jit of {value.function}, which is "
        "then traced for each new value."
    )


def _none(value: TracedValue, array: str, error: BaseException) -> str:
    text = (
        f"no argument of {value.function} can be marked static here: the value is "
        f"computed from `{array}`, an array, which is known only when "
        f"{value.function} runs."
    )
    if isinstance(error, jax.errors.TracerBoolConversionError):
        text += " `jnp.where` or `jax.lax.cond` choose by such a value."
    return text


def _entry_of(value: TracedValue, entries: Sequence[TracebackType]) -> int | None:
    """Where in a traceback the traced function runs."""
    for n, entry in enumerate(entries):
        code = entry.tb_frame.f_code
        written = code.co_filename, code.co_firstlineno, code.co_name
        if written == (value.file, value.line, value.function):
            return n
    return None


def _is_traced(entries: Sequence[TracebackType]) -> bool:
    """Whether some of these frames are traced, too: then no value is what is passed."""
    return any(
        isinstance(value, jax.core.Tracer)
        for entry in entries
        if is_user_file(entry.tb_frame.f_code.co_filename)
        for value in list(variables_of(entry.tb_frame).values())
    )


def _passed(entries: Sequence[TracebackType], code: CodeType) -> dict[str, Any]:
    """The arguments of a function that is called by the innermost of the user's frames.

    Those that the line passes as a variable, a path or a literal; `UNKNOWN` others.
    """
    caller = _last_of_the_users(entries)
    line = calling_line(caller) if caller is not None else None
    if caller is None or line is None:
        return {}
    values = StaticValues(caller)
    function = _unwrapped(values.of(line.call.func))
    if getattr(function, "__code__", None) is not code:
        return {}
    try:
        signature = inspect.signature(function)
        positional = [_value(node, values) for node in line.call.args]
        keyword = {
            str(k.arg): _value(k.value, values)
            for k in line.call.keywords
            if k.arg is not None
        }
        bound = signature.bind_partial(*positional, **keyword)
    except (TypeError, ValueError):
        return {}
    if any(isinstance(node, ast.Starred) for node in line.call.args):
        return {}
    if all(k.arg is not None for k in line.call.keywords):
        bound.apply_defaults()
    return dict(bound.arguments)


def _last_of_the_users(entries: Sequence[TracebackType]) -> FrameType | None:
    for entry in reversed(entries):
        frame = entry.tb_frame
        if is_user_file(frame.f_code.co_filename):
            return frame if frame.f_lasti == entry.tb_lasti else None
    return None


def _unwrapped(function: Any) -> Any:
    """The function inside a jitted one."""
    if function is UNKNOWN:
        return None
    for framework in loaded():
        if (inner := framework.wrapped(function)) is not None:
            return inner
    return inspect.unwrap(function) if callable(function) else None


def _value(node: ast.expr, values: StaticValues) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return values.of(node)


def _is_array(passed: Any, traced: Any) -> bool:
    """Whether an argument is an array; that of unknown value is one if it has axes."""
    if passed is UNKNOWN and isinstance(traced, jax.core.Tracer):
        return bool(traced.ndim)
    return isinstance(passed, jax.Array | np.ndarray)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.generic)


# -- the expression that needs the value -----------------------------------------------


def _is_plain_use(
    entries: Sequence[TracebackType], at: int, names: Sequence[str]
) -> bool:
    """Whether an expression needs arguments themselves, or what Python makes of them.

    Arguments:
        at: which of the entries is that of the traced function.
    """
    entry = entries[at]
    code = entry.tb_frame.f_code
    below = [e.tb_frame.f_code.co_filename for e in entries[at + 1 :]]
    if any(map(is_user_file, below)):
        return False
    tree = _parsed(entry.tb_frame)
    node = _running(tree, code, entry.tb_lasti) if tree is not None else None
    if tree is None or node is None or not _are_as_passed(tree, code, names):
        return False
    parts = _needed(node, is_given=_is_call(code, entry.tb_lasti))
    using = [part for part in parts if not _names_in(part).isdisjoint(names)]
    values = StaticValues(entry.tb_frame)
    return bool(using) and all(_is_of_python(part, names, values) for part in using)


def _is_call(code: CodeType, at: int) -> bool:
    """Whether an instruction calls something, and does not look at its result."""
    raw = code.co_code
    while at > 0 and dis.opname[raw[at]] == "CACHE":  # of the instruction before
        at -= 2
    return "CALL" in str(dis.opname[raw[at]])


def _needed(node: Any, *, is_given: bool) -> list[ast.expr]:
    """The parts of what runs of which a Python value is needed."""
    match node:
        case ast.Call() if is_given:  # what a library refuses it was given as it is
            return [*node.args, *(k.value for k in node.keywords)]
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            return [node.test]
        case ast.Subscript():
            return [node.slice]
        case ast.expr():
            return [node]
    return []


def _names_in(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _parsed(frame: FrameType) -> ast.Module | None:
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _running(tree: ast.Module, code: CodeType, at: int) -> ast.AST | None:
    """The expression or the statement that an instruction belongs to."""
    where = next(islice(code.co_positions(), at // 2, None), (None,) * 4)
    line, column, to = where[0], where[2], (where[1], where[3])
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt) and not isinstance(node, ast.Expr):
            end = node.end_lineno, node.end_col_offset
            if (node.lineno, node.col_offset, *end) == (line, column, *to):
                return node
    return None


def _are_as_passed(tree: ast.Module, code: CodeType, names: Sequence[str]) -> bool:
    """Whether a function gives these of its arguments no other values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                stored = {
                    n.id
                    for n in ast.walk(node)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                }
                return stored.isdisjoint(names)
    return False


def _is_of_python(
    expression: ast.AST, names: Sequence[str], values: StaticValues
) -> bool:
    """Whether Python alone makes a value of some names, and of no array beside."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            if called not in _OF_PYTHON:
                return False
        elif isinstance(node, ast.Name):
            if node.id not in names and isinstance(values.of(node), jax.Array):
                return False
        elif not isinstance(node, _OPERATORS):
            return False
    return True


# -- static arguments that cannot be hashed --------------------------------------------


def _hashable(said: str, entries: Sequence[TracebackType]) -> str:
    caller = _last_of_the_users(entries)
    line = calling_line(caller) if caller is not None else None
    if caller is None or line is None:
        return ""
    values = StaticValues(caller)
    function = _unwrapped(values.of(line.call.func))
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    passed = _passed(entries, code)
    fits = [n for n, v in passed.items() if f"{type(v)}, {v}" == said]
    if len(fits) != 1:
        return ""
    kind = type(passed[fits[0]]).__name__
    text = f"`{fits[0]}` of {code.co_name} is static, and a {kind} cannot be hashed"
    return f"{text}: pass a tuple." if kind == "list" else f"{text}."
