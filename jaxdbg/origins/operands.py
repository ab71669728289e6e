"""What went into an operation: its name, its role, and what is in it.

Names come from the user's expression where it is the operation itself (`x / var` has
the denominator `var`), else from the argument an operand is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdbg.jax_internals.arrays import Host
from jaxdbg.origins import numbers, producers
from jaxdbg.origins.bad_elements import Mask
from jaxdbg.origins.found import Birth, Element
from jaxdbg.origins.producers import Variable
from jaxdbg.records import Operand

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

_ROLES = {
    "div": ("numerator", "denominator"),
    "rem": ("numerator", "denominator"),
    "pow": ("base", "exponent"),
    "sub": ("left side", "right side"),
    "add": ("left side", "right side"),
    "add_any": ("left side", "right side"),
    "mul": ("left factor", "right factor"),
    "dot_general": ("left side", "right side"),
    "gather": ("operand", "index"),
    "cholesky": ("matrix",),
    "convert_element_type": ("value",),
    "reduce_sum": ("summands",),
    "cumsum": ("summands",),
}

_TRIGONOMETRY = (
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atanh",
    "cos",
    "cosh",
    "sin",
    "sinh",
)
_UNARY = frozenset(
    (
        *_TRIGONOMETRY,
        *("cbrt", "digamma", "erf_inv", "exp", "exp2", "expm1", "integer_pow"),
        *("lgamma", "log", "log1p", "logistic", "rsqrt", "sqrt", "square", "tan"),
    )
)

_OPERATORS: dict[type[ast.operator], frozenset[str]] = {
    ast.Div: frozenset({"div"}),
    ast.Mult: frozenset({"mul"}),
    ast.Add: frozenset({"add", "add_any"}),
    ast.Sub: frozenset({"sub"}),
    ast.Pow: frozenset({"pow", "integer_pow", "square", "sqrt"}),
    ast.Mod: frozenset({"rem"}),
    ast.MatMult: frozenset({"dot_general"}),
}

_CALLS = {
    "div": ("divide", "true_divide", "div"),
    "rem": ("mod", "remainder", "rem", "fmod"),
    "pow": ("power", "pow", "float_power"),
    "sub": ("subtract", "sub"),
    "add": ("add",),
    "mul": ("multiply", "mul"),
    "dot_general": ("dot", "matmul", "dot_general"),
    "reduce_sum": ("sum",),
    "cumsum": ("cumsum",),
    "acos": ("acos", "arccos"),
    "asin": ("asin", "arcsin"),
    "acosh": ("acosh", "arccosh"),
    "atanh": ("atanh", "arctanh"),
    "cholesky": ("cholesky", "cho_factor"),
    "convert_element_type": ("astype", "asarray"),
    "integer_pow": ("square", "power"),
}


def describe(
    birth: Birth,
    variables: Sequence[Variable],
    expression: str = "",
    argument: Callable[[Variable], str] | None = None,
) -> tuple[Operand, ...]:
    """The operands of the operation at a birth; what holds no numbers is left out.

    Arguments:
        birth: of the bad value, with what went into it.
        variables: the operands in the jaxpr, as `producers.operands` has them.
        expression: the user's source of the operation; empty where there is none.
        argument: the name of an operand that is an argument of the call, or empty.
    """
    eqn = birth.site.eqn
    name = str(eqn.primitive.name)
    typed = _typed_names(name, expression, len(birth.operands))
    roles = _roles(name, len(birth.operands))
    found = []
    for i, value in enumerate(birth.operands):
        variable = variables[i] if i < len(variables) else None
        array = numbers.host(value)
        if array is None or (name == "gather" and i > 1):
            continue
        element = birth.operand_elements[i] if i < len(birth.operand_elements) else None
        if name == "gather" and i == 1:
            element, roles[i] = _out_of_range(eqn, array, birth.operands[0])
        unknown = birth.unknown[i] if i < len(birth.unknown) else None
        if unknown is not None:
            unknown, _ = _before_broadcast(unknown, element, variable)
        array, element = _before_broadcast(array, element, variable)
        known = typed[i] or (argument(variable) if argument and variable else "")
        dtype = str(getattr(value, "dtype", array.dtype))
        found.append(stats(array, element, known, roles[i], dtype, unknown))
    return tuple(found)


def stats(
    array: Host,
    element: Element,
    name: str = "",
    role: str = "",
    dtype: str = "",
    unknown: Mask | None = None,
) -> Operand:
    """What is in an array.

    Arguments:
        array: as `numbers.host` gives it.
        element: the bad one, or None.
        name, role, dtype: what is known of it; `dtype` as it was before `host`.
        unknown: elements of other processes, which are not counted.
    """
    value, shape = numbers.at(array, element), array.shape
    array = array if unknown is None else array[~unknown]
    parts = array.real if array.dtype.kind == "c" else array
    counts = {}
    if parts.dtype.kind == "f":
        counts = {
            "nan": int(np.isnan(array).sum()),
            "posinf": int(np.isposinf(parts).sum()),
            "neginf": int(np.isneginf(parts).sum()),
            "subnormals": int(_subnormal(parts, dtype).sum()),
        }
        parts = parts[np.isfinite(parts)]
    numeric = parts.dtype.kind in "iuf" and parts.size > 0
    return Operand(
        name=name,
        role=role,
        shape=shape,
        dtype=dtype or str(array.dtype),
        low=float(parts.min()) if numeric else None,
        high=float(parts.max()) if numeric else None,
        size=array.size,
        zeros=int((array == 0).sum()),
        negatives=int((parts < 0).sum()) if parts.dtype.kind in "if" else 0,
        element=tuple(map(int, element)) if value is not None and element else element,
        value="" if value is None else numbers.said(value),
        **counts,
    )


_TINY = {"bfloat16": 2.0**-126, "float16": 2.0**-14}


def _subnormal(array: Host, dtype: str) -> Any:
    tiny = _TINY.get(dtype)
    if tiny is None:
        if array.dtype.itemsize == 4 and dtype not in ("", "float32"):
            return np.zeros(0, bool)  # a type of 8 bits: nobody counts these
        tiny = float(np.finfo(array.dtype).tiny)
    magnitude = np.abs(array)
    return (magnitude > 0) & (magnitude < tiny)


def _out_of_range(eqn: JaxprEqn, index: Host, of: Any) -> tuple[Element, str]:
    """The first index of a gather that is out of range, and what it is an index of."""
    numbering, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    axes = numbering.start_index_map
    limits = np.array([of.shape[d] - sizes[d] for d in axes])
    bad = np.argwhere((index < 0) | (index > limits))
    if not bad.size:
        return None, "index"
    element = tuple(map(int, bad[0]))
    return element, f"index into an axis of {of.shape[axes[element[-1]]]}"


def _before_broadcast(
    array: Host, element: Element, variable: Variable | None
) -> tuple[Host, Element]:
    """An operand as the user had it, where it was broadcast for the operation.

    Counts are then of the user's array: 3 zeros in 512, not 192 in 32,768.
    """
    step = producers.step_before(variable) if variable is not None else None
    if step is None or step.name != "broadcast_in_dim":
        return array, element
    before = getattr(step.operands[0].atom, "aval", None)
    dimensions = step.eqn.params["broadcast_dimensions"]
    shape = getattr(before, "shape", None)
    if shape is None or len(shape) != len(dimensions) or array.ndim == 0:
        return array, element
    if any(n == 0 for n in array.shape):
        return array, element
    source = dict(zip(dimensions, shape, strict=True))
    cut = tuple(
        slice(None) if source.get(d) == n else slice(0, 1) if d in source else 0
        for d, n in enumerate(array.shape)
    )
    if element is not None and len(element) == array.ndim:
        element = tuple(
            0 if source[d] == 1 else i for d, i in enumerate(element) if d in source
        )
    return array[cut], element


def _roles(primitive: str, count: int) -> list[str]:
    if primitive in _UNARY:
        return [f"argument of {_plain(primitive)}", *[""] * (count - 1)]
    roles = _ROLES.get(primitive, ())
    return [roles[i] if i < len(roles) else "" for i in range(count)]


def _plain(primitive: str) -> str:
    return {"integer_pow": "the power", "logistic": "sigmoid"}.get(primitive, primitive)


def _typed_names(primitive: str, expression: str, count: int) -> list[str]:
    """The source of each operand, where the expression is the operation itself."""
    none = [""] * count
    try:
        text = expression.strip()
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return none
    match node:
        case ast.BinOp(left, op, right) if primitive in _OPERATORS.get(type(op), ()):
            typed = [left, right]
        case ast.UnaryOp(operand=operand) if primitive == "neg":
            typed = [operand]
        case ast.Call(func=func, args=args) if _is_call_of(primitive, func):
            typed = [*_owner(primitive, func, len(args)), *args]
        case _:
            return none
    names = [
        "" if isinstance(n, ast.Constant | ast.Starred) else _as_typed(text, n)
        for n in typed[:count]
    ]
    return [*names, *[""] * (count - len(names))]


def _as_typed(text: str, node: ast.expr) -> str:
    segment = ast.get_source_segment(text, node) or ""
    return segment if segment and "\n" not in segment else ast.unparse(node)


def _is_call_of(primitive: str, func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name == primitive or name in _CALLS.get(primitive, ())


_METHODS = frozenset({"reduce_sum", "cumsum", "convert_element_type", "cholesky"})


def _owner(primitive: str, func: ast.expr, n_args: int) -> list[ast.expr]:
    """The `x` of `x.sum()`, which `jnp.sum(x)` has not."""
    if not isinstance(func, ast.Attribute):
        return []
    if primitive == "convert_element_type":
        return [func.value] if func.attr == "astype" else []
    alone = primitive in _METHODS or primitive in _UNARY or primitive not in _ROLES
    return [func.value] if n_args < (1 if alone else 2) else []
