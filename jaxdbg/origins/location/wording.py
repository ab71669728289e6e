"""An operation in the words of the user: `x / y`, `jnp.log`, not `div` and `log`."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import TYPE_CHECKING

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.primitives import OPERATORS

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

MAX_OPERAND = 24
"""A longer operand is written as `…`."""

_OPERATORS: dict[type[ast.AST], tuple[str, frozenset[str]]] = {
    ast.Div: ("/", frozenset({"div", "integer_pow", "mul", "neg"})),
    ast.FloorDiv: ("//", frozenset({"div", "floor", "rem", "sub"})),
    ast.Mod: ("%", frozenset({"rem"})),
    ast.Mult: ("*", frozenset({"mul"})),
    ast.Add: ("+", frozenset({"add", "add_any"})),
    ast.Sub: ("-", frozenset({"sub"})),
    ast.Pow: ("**", frozenset({"pow", "integer_pow", "square", "mul", "log", "exp"})),
    ast.MatMult: ("@", frozenset({"dot_general"})),
    ast.USub: ("-", frozenset({"neg"})),
}

_LIBRARIES = frozenset(
    {
        "jax",
        "jnp",
        "lax",
        "np",
        "numpy",
        "jsp",
        "scipy",
        "optax",
        "nn",
        "jrandom",
    }
)
"""Names under which libraries of functions are imported; see `_is_library`."""

_WORDS = {
    **{name: f"x {sign} y" for name, sign in OPERATORS.items()},
    "conv_general_dilated": "conv",
    "gather": "x[index]",
    "integer_pow": "x ** n",
    "logistic": "sigmoid",
    "neg": "-x",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_sum": "sum",
    "rsqrt": "1 / sqrt(x)",
    "scatter": "x.at[index].set",
    "scatter-add": "x.at[index].add",
    "scatter_add": "x.at[index].add",
    "square": "x ** 2",
}

_ALSO = {
    "cholesky": {"cholesky", "cho_factor"},
    "convert_element_type": {"astype", "asarray", "array", "float16", "bfloat16"},
    "dot_general": {"dot", "matmul", "einsum", "tensordot", "vdot"},
    "gather": {"take", "take_along_axis", "get"},
    "div": {"divide", "true_divide", "reciprocal"},
    "logistic": {"sigmoid", "logistic"},
    "reduce_sum": {"sum", "mean"},
    "rsqrt": {"rsqrt"},
    "sub": {"subtract"},
}
"""What functions that do little but one primitive are called, where not as it is."""


def of_primitive(eqn: JaxprEqn) -> str:
    """An operation without a look at the source: `x / y`, `astype(float16)`."""
    name = str(eqn.primitive.name)
    if name == "convert_element_type":
        return f"astype({eqn.params['new_dtype']})"
    return _WORDS.get(name, name)


def in_source(
    primitive: str, text: str, called: Collection[str] = ()
) -> tuple[str, bool]:
    """The operation as an expression says it, and whether it says just that.

    Arguments:
        primitive: JAX's name of the operation.
        text: of the expression in which it was made.
        called: the functions of libraries that were running when it was made.

    Returns:
        `("x / y", True)`; `("jax.nn.softmax", False)` or `("z.std(0)", False)` where
        the primitive is only a part of it; `("", False)` where the expression only
        calls something else.
    """
    node = parsed(text)
    match node:
        case (
            ast.AugAssign(target=left, op=op, value=right)
            | ast.BinOp(left=left, op=op, right=right)
        ):
            sign, primitives = _OPERATORS.get(type(op), ("", frozenset()))
            words = f"{_operand(left)} {sign} {_operand(right)}" if sign else ""
            return words, primitive in primitives
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_operand(operand)}", primitive == "neg"
        case ast.Subscript(value=value, slice=index):
            return f"{_operand(value)}[{_operand(index)}]", primitive == "gather"
        case ast.Call(func=func):
            words, direct = _callee(primitive, func)
            return words or _call(node, called), direct
    return "", False


def call_in_words(text: str) -> str:
    """A call without its arguments, `optax.kl_divergence(...)`."""
    match parsed(text):
        case ast.Call(func=func) if len(ast.unparse(func)) <= 2 * MAX_OPERAND:
            return f"{ast.unparse(func)}(...)"
    return "a call of a library"


def _call(node: ast.Call, called: Collection[str]) -> str:
    """The call of a library's function, or of a method of an array or its like."""
    match node.func:
        case ast.Name(id=name) if name in called:
            return name
        case ast.Attribute(attr=name) if name in called:
            text = ast.unparse(node)
            short = f"{_operand(node.func.value)}.{name}(…)"
            return text if len(text) <= MAX_OPERAND else short
    return ""


def _callee(primitive: str, func: ast.expr) -> tuple[str, bool]:
    name = func.attr if isinstance(func, ast.Attribute) else ast.unparse(func)
    root = func
    while isinstance(root, ast.Attribute):
        root = root.value
    dotted = isinstance(root, ast.Name) and len(ast.unparse(func)) <= 2 * MAX_OPERAND
    words = ast.unparse(func) if dotted else name
    direct = name == primitive or name in _ALSO.get(primitive, ())
    library = isinstance(root, ast.Name) and _is_library(root.id)
    return (words, direct) if direct or library else ("", False)


def _operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    if len(text) > MAX_OPERAND:
        return "…"
    return f"({text})" if isinstance(node, ast.BinOp) else text


def parsed(text: str) -> ast.AST | None:
    """An expression or a statement, which may go over several lines."""
    try:
        return ast.parse(f"(\n{text}\n)", mode="eval").body
    except (SyntaxError, ValueError):
        pass
    try:
        return ast.parse(text.strip()).body[0]
    except (SyntaxError, ValueError, IndexError):
        return None


def _is_library(name: str) -> bool:
    """Whether a name is that of a library of functions, as programs import it."""
    return name in _LIBRARIES or any(name == f.imported_as for f in loaded())
