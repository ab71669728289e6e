"""The functions that an operation is part of, or of whose derivative it is part."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.origins.location import source_lines, wording

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Div: "div",
    ast.Mult: "mul",
    ast.Pow: "pow",
}


def functions(eqns: Iterable[Any]) -> tuple[str, ...]:
    """Names of functions of libraries, from inside out, up to the user's line.

    The last is what the user's expression calls: `arccos` for `jnp.arccos(x)`, `div`
    for `x / y`. Of what a derivative rule of JAX does, only the function counts that
    the rule is of: the square roots in the derivative of `arccos` are not the user's.

    Arguments:
        eqns: the equation, and those it is inside of, from inside out.
    """
    names: list[str] = []
    for eqn in eqns:
        own: list[str] = []
        in_rule = False
        for frame in source_info.frames(eqn):
            if is_user_file(frame.file):
                called = called_in(source_lines.source_frame(frame))
                return (*names, *own, *filter(None, [called]))
            if source_info.applies_a_rule(frame):
                if in_rule:  # so are its own names, and those inside of it
                    names.clear()
                own.clear()
                in_rule = False
            elif source_info.is_of_functions(frame.file):
                own.append(frame.function.rpartition(".")[2])
                in_rule = in_rule or source_info.is_of_a_rule(frame)
        names += own
    return tuple(names)


def called_in(source: Any) -> str:
    """The name of the function, or the operator, that an expression calls."""
    match wording.parsed(source_lines.expression_text(source)):
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            return _OPERATORS.get(type(op), "")
    return ""
