"""The common primitives in numpy, so that a search need not compile each of them.

An operation that is new to XLA costs it some 20 ms, numpy nothing; a training step has
hundreds of different ones. What numpy gives must be bad where XLA's result is: both
follow IEEE, halves are computed in float32 and rounded as XLA does on a CPU, and
numbers too small for full precision count as zero, as they do in compiled code. What is
found is confirmed by the operation itself (see `search`), and where that disagrees all
of it is done again by XLA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxdbg.jax_internals.jaxprs.forms import shape_of
from jaxdbg.jax_internals.primitives import NO_ARITHMETIC

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

Rule = Callable[..., Any]


class NumpyEvaluator:
    """Evaluates equations in numpy, where it can.

    Arguments:
        values: what goes into the call; if there are subnormal numbers among them, the
            operands of each operation are looked at for these.
    """

    def __init__(self, values: Sequence[Any]):
        self._flush_operands = any(_has_subnormals(v) for v in values)

    def evaluate(self, eqn: JaxprEqn, operands: Sequence[Any]) -> list[Any] | None:
        """The outputs of an equation; None where numpy is not to be trusted with it."""
        rule = _RULES.get(eqn.primitive.name)
        outs: list[Any] = [v.aval for v in eqn.outvars]
        ins: list[Any] = [v.aval for v in eqn.invars]
        if rule is None or not all(map(_is_plain, (*outs, *ins))):
            return None
        name = eqn.primitive.name
        if name == "pow" and self._flush_operands:
            return None  # XLA takes a subnormal number for 0 in some of its cases
        arithmetic = name not in NO_ARITHMETIC
        arrays = [
            self._operand(x, aval.dtype, arithmetic)
            for x, aval in zip(operands, ins, strict=True)
        ]
        with np.errstate(all="ignore"):
            try:
                result = rule(eqn, *arrays)
            except (KeyError, ValueError, TypeError):  # not the parameters we know
                result = None
            if result is None:
                return None
            several = eqn.primitive.multiple_results
            results = list(result) if several else [result]
            return [
                _as(r, aval, arithmetic) for r, aval in zip(results, outs, strict=True)
            ]

    def _operand(self, x: Any, dtype: Any, arithmetic: bool) -> Any:
        array = np.asarray(x, dtype)
        if not arithmetic or not _is_real(dtype):
            return array
        if dtype.itemsize < 4:
            array = array.astype(np.float32)
        return _flushed(array.copy()) if self._flush_operands else array


def _as(result: Any, aval: Any, arithmetic: bool) -> Any:
    array = np.asarray(result)
    if arithmetic:
        array = _flushed(array)
    if array.dtype == aval.dtype:
        return array
    rounded = array.astype(aval.dtype)
    return _flushed(rounded) if arithmetic else rounded


def _flushed(array: Any) -> Any:
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        return array
    small = np.abs(array) < np.finfo(array.dtype).tiny
    if not small.any():
        return array
    if not array.flags.writeable:
        array = array.copy()
    np.multiply(array, 0, out=array, where=small)  # a zero of the same sign
    return array


def _has_subnormals(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    if dtype is None or not _is_real(dtype):
        return False
    size = np.abs(np.asarray(value))
    if dtype.itemsize < 4:
        size = size.astype(np.float32)
    return bool(((size < np.finfo(size.dtype).tiny) & (size > 0)).any())


def _is_real(dtype: Any) -> bool:
    return bool(jax.numpy.issubdtype(dtype, np.floating))


def _is_plain(aval: Any) -> bool:
    """Whether it is an array of numbers that numpy can compute with."""
    dtype = getattr(aval, "dtype", None)
    if dtype is None or not hasattr(aval, "shape") or hasattr(aval, "inner_aval"):
        return False
    known = _is_real(dtype) or (isinstance(dtype, np.dtype) and dtype.kind in "iub")
    return known and type(aval).__name__ == "ShapedArray"


# -- element by element ---------------------------------------------------------------


def _of(function: Callable[..., Any]) -> Rule:
    return lambda eqn, *x: function(*x)


def _of_floats(function: Callable[..., Any]) -> Rule:
    """An operation that is another one for integers."""
    return lambda eqn, *x: function(*x) if x[0].dtype.kind == "f" else None


def _of_scipy(name: str) -> Rule:
    def rule(eqn: JaxprEqn, x: Any) -> Any:
        from scipy import special

        return getattr(special, name)(x)

    return rule


def _integer_pow(eqn: JaxprEqn, x: Any) -> Any:
    """By squaring, as XLA does: a square may underflow where the power would not."""
    y = eqn.params["y"]
    if x.dtype.kind != "f":
        return None
    power, rest = np.ones_like(x), abs(y)
    while rest:
        if rest & 1:
            power = _flushed(np.asarray(power * x))
        rest >>= 1
        if rest:
            x = _flushed(np.asarray(x * x))
    return 1 / power if y < 0 else power


def _pow(eqn: JaxprEqn, x: Any, y: Any) -> Any:
    return np.power(x, y.astype(x.dtype)) if x.dtype.kind == "f" else None


def _round(eqn: JaxprEqn, x: Any) -> Any:
    if x.dtype.kind != "f":
        return None
    if eqn.params["rounding_method"].name == "TO_NEAREST_EVEN":
        return np.rint(x)
    return np.trunc(x + np.copysign(np.float32(0.5), x))


def _convert(eqn: JaxprEqn, x: Any) -> Any:
    new = eqn.params["new_dtype"]
    if x.dtype.kind == "f" and not _is_real(new):
        # XLA clips what is out of range, and makes 0 of NaN; numpy does not.
        return x != 0 if jax.numpy.issubdtype(new, np.bool_) else None
    return x


def _select(eqn: JaxprEqn, which: Any, *cases: Any) -> Any:
    if len(cases) != 2 or which.dtype != bool:
        return np.choose(np.broadcast_to(which, cases[0].shape).astype(int), cases)
    return np.where(which, cases[1], cases[0])


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# -- what moves -----------------------------------------------------------------------


def _shape(eqn: JaxprEqn) -> tuple[int, ...]:
    return shape_of(eqn.outvars[0])


def _broadcast(eqn: JaxprEqn, x: Any, *dynamic: Any) -> Any:
    shape = [1] * len(_shape(eqn))
    for axis, n in zip(eqn.params["broadcast_dimensions"], x.shape, strict=True):
        shape[int(axis)] = n
    return np.broadcast_to(x.reshape(shape), _shape(eqn))


def _reshape(eqn: JaxprEqn, x: Any, *dynamic: Any) -> Any:
    return x.reshape(_shape(eqn)) if eqn.params["dimensions"] is None else None


def _slice(eqn: JaxprEqn, x: Any) -> Any:
    p = eqn.params
    steps = p["strides"] or (1,) * x.ndim
    parts = zip(p["start_indices"], p["limit_indices"], steps, strict=True)
    return x[tuple(slice(*part) for part in parts)]


def _starts(x: Any, indices: Sequence[Any], shape: Sequence[int]) -> tuple[slice, ...]:
    """Of a dynamic slice: moved so that it lies inside."""
    starts = [
        min(max(int(i), 0), n - size)
        for i, n, size in zip(indices, x.shape, shape, strict=True)
    ]
    return tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))


def _dynamic_slice(eqn: JaxprEqn, x: Any, *indices: Any) -> Any:
    return x[_starts(x, indices, _shape(eqn))]


def _dynamic_update_slice(eqn: JaxprEqn, x: Any, update: Any, *indices: Any) -> Any:
    new = np.array(x)
    new[_starts(x, indices, update.shape)] = update
    return new


def _pad(eqn: JaxprEqn, x: Any, value: Any) -> Any:
    config = eqn.params["padding_config"]
    if any(low < 0 or high < 0 or inside for low, high, inside in config):
        return None
    new = np.full(_shape(eqn), value, x.dtype)
    inside = zip(config, x.shape, strict=True)
    new[tuple(slice(low, low + n) for (low, _, _), n in inside)] = x
    return new


def _iota(eqn: JaxprEqn, *dynamic: Any) -> Any:
    shape, axis = _shape(eqn), eqn.params["dimension"]
    column = [1] * len(shape)
    column[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis]).reshape(column), shape)


def _split(eqn: JaxprEqn, x: Any) -> Any:
    ends = np.cumsum(eqn.params["sizes"])[:-1]
    return np.split(x, ends, axis=eqn.params["axis"])


# -- what sums ------------------------------------------------------------------------


def _reduction(function: Callable[..., Any], of_none: bool = True) -> Rule:
    def rule(eqn: JaxprEqn, x: Any) -> Any:
        if not of_none and x.size == 0:
            return None
        return function(x, axis=tuple(eqn.params["axes"]))

    return rule


def _of_bools(function: Callable[..., Any]) -> Rule:
    plain = _reduction(function)
    return lambda eqn, x: plain(eqn, x) if x.dtype == bool else None


def _cumulative(function: Any) -> Rule:
    def rule(eqn: JaxprEqn, x: Any) -> Any:
        axis = eqn.params["axis"]
        if not eqn.params["reverse"]:
            return function.accumulate(x, axis=axis)
        return np.flip(function.accumulate(np.flip(x, axis), axis=axis), axis)

    return rule


def _dot(eqn: JaxprEqn, left: Any, right: Any) -> Any:
    if left.dtype.kind != "f" or right.dtype.kind != "f":
        return None
    (sum_left, sum_right), (batch_left, batch_right) = eqn.params["dimension_numbers"]
    a = _as_matrix(left, batch_left, sum_left, last=True)
    b = _as_matrix(right, batch_right, sum_right, last=False)
    return np.matmul(a, b).reshape(_shape(eqn))


def _as_matrix(x: Any, batch: Sequence[int], summed: Sequence[int], last: bool) -> Any:
    """Batch dimensions first, and what is summed last or last but one."""
    free = [i for i in range(x.ndim) if i not in (*batch, *summed)]
    order = (*batch, *free, *summed) if last else (*batch, *summed, *free)
    rows, columns = (free, summed) if last else (summed, free)
    shape = [
        *(x.shape[i] for i in batch),
        int(np.prod([x.shape[i] for i in rows], dtype=int)),
        int(np.prod([x.shape[i] for i in columns], dtype=int)),
    ]
    return x.transpose(order).reshape(shape)


# -- the table ------------------------------------------------------------------------

_RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda eqn, *x: np.concatenate(x, axis=eqn.params["dimension"]),
    "copy": _of(lambda x: x),
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "expand_dims": lambda eqn, x: x.reshape(_shape(eqn)),
    "iota": _iota,
    "name": _of(lambda x: x),
    "neg": _of(np.negative),
    "pad": _pad,
    "reshape": _reshape,
    "rev": lambda eqn, x: np.flip(x, eqn.params["dimensions"]),
    "select_n": _select,
    "slice": _slice,
    "split": _split,
    "squeeze": lambda eqn, x: x.reshape(_shape(eqn)),
    "stop_gradient": _of(lambda x: x),
    "transpose": lambda eqn, x: x.transpose(eqn.params["permutation"]),
    "abs": _of(np.abs),
    "add": _of(np.add),
    "add_any": _of(np.add),
    "and": _of(np.bitwise_and),
    "argmax": lambda eqn, x: np.argmax(x, axis=eqn.params["axes"][0]),
    "argmin": lambda eqn, x: np.argmin(x, axis=eqn.params["axes"][0]),
    "cbrt": _of(np.cbrt),
    "ceil": _of(np.ceil),
    "clamp": _of(lambda low, x, high: np.minimum(np.maximum(x, low), high)),
    "convert_element_type": _convert,
    "cos": _of(np.cos),
    "cosh": _of(np.cosh),
    "cummax": _cumulative(np.maximum),
    "cummin": _cumulative(np.minimum),
    "cumprod": _cumulative(np.multiply),
    "cumsum": _cumulative(np.add),
    "div": _of_floats(np.divide),
    "dot_general": _dot,
    "eq": _of(np.equal),
    "erf": _of_scipy("erf"),
    "erf_inv": _of_scipy("erfinv"),
    "erfc": _of_scipy("erfc"),
    "exp": _of(np.exp),
    "exp2": _of(np.exp2),
    "expm1": _of(np.expm1),
    "floor": _of(np.floor),
    "ge": _of(np.greater_equal),
    "gt": _of(np.greater),
    "integer_pow": _integer_pow,
    "is_finite": _of(np.isfinite),
    "le": _of(np.less_equal),
    "log": _of(np.log),
    "log1p": _of(np.log1p),
    "log2": _of(np.log2),
    "logistic": _of(_logistic),
    "lt": _of(np.less),
    "max": _of(np.maximum),
    "min": _of(np.minimum),
    "mul": _of(np.multiply),
    "ne": _of(np.not_equal),
    "not": _of(np.invert),
    "or": _of(np.bitwise_or),
    "pow": _pow,
    "reduce_and": _of_bools(np.all),
    "reduce_max": _reduction(np.max, of_none=False),
    "reduce_min": _reduction(np.min, of_none=False),
    "reduce_or": _of_bools(np.any),
    "reduce_prod": _reduction(np.prod),
    "reduce_sum": _reduction(np.sum),
    "rem": _of_floats(np.fmod),
    "round": _round,
    "rsqrt": _of(lambda x: 1 / np.sqrt(x)),
    "sign": _of_floats(np.sign),
    "sin": _of(np.sin),
    "sinh": _of(np.sinh),
    "sqrt": _of(np.sqrt),
    "square": _of(np.square),
    "sub": _of(np.subtract),
    "tan": _of(np.tan),
    "tanh": _of(np.tanh),
    "xor": _of(np.bitwise_xor),
}
