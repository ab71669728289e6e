"""Which elements of the operands of an equation make which elements of its result.

A whole array is too coarse: beside a NaN that was born there may be an Inf that was
placed, in the same array. So for each primitive a link says, from operand to result
and back, which elements belong together. What only moves elements (reshape, gather,
slice) is asked where it moves them, by moving their numbers instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxdbg.jax_internals.arrays import can_be_non_finite
from jaxdbg.jax_internals.jaxprs.evaluate import bind_equation
from jaxdbg.jax_internals.jaxprs.forms import shape_of
from jaxdbg.jax_internals.primitives import (
    ABSORBS,
    KEEPS,
    ON_A_MESH,
    REARRANGES,
    ROUNDS,
    SELECTS,
)
from jaxdbg.jax_internals.without_mesh import without_mesh
from jaxdbg.origins.bad_elements import INF, NAN, NEG_INF, Mask

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

Step = Callable[[Mask], Any]

_NEVER: frozenset[int] = frozenset()
_ALWAYS = frozenset({NAN, INF, NEG_INF})
_OF_A_CHOICE = frozenset({NAN})  # the largest of some values is one of them


@dataclass(frozen=True, slots=True)
class Link:
    """How the elements of one operand make those of one result.

    Attributes:
        forward: from elements of the operand to those of the result they have part in.
        backward: from elements of the result to those of the operand they come from.
        mixes: the codes that spread by this, because an element comes from many.
        exact: whether the elements are known, not just the arrays.
    """

    forward: Step
    backward: Step
    mixes: frozenset[int] = _NEVER
    exact: bool = True


@dataclass(frozen=True, slots=True)
class _Equation:
    eqn: JaxprEqn
    operands: Sequence[Any]
    output: int
    is_of_all: bool = False  # whether integers have links, too

    @property
    def ins(self) -> list[tuple[int, ...]]:
        return [shape_of(v) for v in self.eqn.invars]

    @property
    def out(self) -> tuple[int, ...]:
        return shape_of(self.eqn.outvars[self.output])

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.eqn.params)

    def is_linked(self, i: int) -> bool:
        if self.is_of_all:
            return i not in _indices(self.eqn)
        return can_be_non_finite(self.eqn.invars[i].aval)


Links = list[Link | None]


def links(eqn: JaxprEqn, operands: Sequence[Any], output: int) -> Links:
    """For each operand of an equation its link to one output, None for no link.

    Arguments:
        eqn: the equation.
        operands: its operands; those that are not of integers may be None.
        output: index of the output.
    """
    equation = _Equation(eqn, operands, output)
    family = _FAMILIES.get(eqn.primitive.name, _opaque)
    return [
        link if equation.is_linked(i) else None
        for i, link in enumerate(family(equation))
    ]


def links_of_a_test(eqn: JaxprEqn, output: int) -> list[Link]:
    """The links from all operands, of integers, too, to a result that is of integers.

    Coarser than `links`, because the values of the operands are not at hand.
    """
    e = _Equation(eqn, (), output)
    if eqn.primitive.name in _TESTS:
        return [_stretched(s, e.out) for s in e.ins]
    return [_whole(s, e.out, _ALWAYS, exact=True) for s in e.ins]


def link_of_choice(eqn: JaxprEqn) -> Link:
    """The link from the predicate of a select to its result."""
    e = _Equation(eqn, (), 0)
    return _stretched(e.ins[0], e.out)


Marked = Sequence[Mask | None]
"""For each operand of an equation its marked elements; None for none."""


def has_part(
    eqn: JaxprEqn, operands: Sequence[Any], marked: Marked, output: int
) -> Mask:
    """The elements of a result that marked elements of the operands may have part in.

    In difference to `links` in any way: as an index, a predicate, a key to sort by.
    """
    e = _Equation(eqn, operands, output, is_of_all=True)
    name, found = str(eqn.primitive.name), np.zeros(e.out, bool)
    held = {i: m for i, m in enumerate(marked) if m is not None and m.any()}
    if name not in _COMPLETE or any(i in _indices(eqn) for i in held):
        return np.broadcast_to(np.asarray(bool(held)), e.out)
    if name == "select_n" and 0 in held:
        found = found | link_of_choice(eqn).forward(held.pop(0))
    if not held:
        return found
    if name == "sort":
        axes = (eqn.params["dimension"],)
        of_each: Links = [_along(s, e.out, axes) for s in e.ins]
    else:
        of_each = _FAMILIES[name](e)
    for i, mask in held.items():
        link = of_each[i]
        found = found | (False if link is None else link.forward(mask))
    return found


def absorbs(
    eqn: JaxprEqn, operands: Sequence[Any], nans: Marked, unknown: Marked, output: int
) -> Mask | None:
    """The elements of a result that are NaN for certain, whatever is not known.

    Arguments:
        eqn: the equation.
        operands: its operands.
        nans: their elements that are NaN.
        unknown: their elements that are not known, but for these.
        output: index of the output.
    """
    name = str(eqn.primitive.name)
    if name not in ABSORBS or any(unknown[i] is not None for i in _indices(eqn)):
        return None
    if name == "integer_pow" and eqn.params["y"] == 0:
        return None
    found = np.zeros(shape_of(eqn.outvars[output]), bool)
    for link, mask in zip(links(eqn, operands, output), nans, strict=True):
        if link is not None and mask is not None and link.exact:
            found = found | link.forward(mask)
    if name == "select_n" and (choice := unknown[0]) is not None:
        found = found & ~link_of_choice(eqn).forward(choice)
    return found


_INDICES_FROM = {"dynamic_slice": 1, "dynamic_update_slice": 2, "gather": 1}


def _indices(eqn: JaxprEqn) -> range:
    """The operands that say where other operands are read or written."""
    name = str(eqn.primitive.name)
    if name.startswith("scatter"):
        return range(1, 2)
    return range(_INDICES_FROM.get(name, len(eqn.invars)), len(eqn.invars))


# -- links ----------------------------------------------------------------------------


def _same(mask: Mask) -> Mask:
    return mask


def _whole(
    source: tuple[int, ...], result: tuple[int, ...], mixes: frozenset[int], exact: bool
) -> Link:
    return Link(
        lambda m: np.broadcast_to(m.any(), result),
        lambda m: np.broadcast_to(m.any(), source),
        mixes,
        exact,
    )


def _where(chosen: Mask) -> Link:
    return Link(lambda m: m & chosen, lambda m: m & chosen)


def _stretched(source: tuple[int, ...], result: tuple[int, ...]) -> Link:
    """Element by element, where a scalar or an axis of size 1 stands for many."""
    if source == result:
        return Link(_same, _same)
    if len(source) != len(result):
        return _whole(source, result, _NEVER, exact=source == ())
    axes = tuple(i for i, n in enumerate(source) if n != result[i])
    return Link(
        lambda m: np.broadcast_to(m, result), lambda m: m.any(axis=axes, keepdims=True)
    )


def _numbered(numbers: Any, first: int, shape: tuple[int, ...]) -> Link:
    """From a result that holds, in place of values, the numbers of elements."""
    size = math.prod(shape)
    mine = (numbers >= first) & (numbers < first + size)
    at = np.where(mine, numbers - first, 0)

    def forward(mask: Mask) -> Mask:
        return np.asarray(mine & mask.reshape(-1)[at]) if size else mine

    def backward(mask: Mask) -> Mask:
        found = np.zeros(size, bool)
        found[at[mine & mask]] = True
        return found.reshape(shape)

    return Link(forward, backward)


def _over(
    source: tuple[int, ...],
    axes: Sequence[int],
    mixes: frozenset[int],
    exact: bool = True,
) -> Link:
    """All elements along some axes make one, without these axes."""
    axes = tuple(axes)
    return Link(
        lambda m: m.any(axis=axes),
        lambda m: np.broadcast_to(np.expand_dims(m, axes), source),
        mixes,
        exact,
    )


def _along(
    source: tuple[int, ...],
    result: tuple[int, ...],
    axes: Sequence[int],
    mixes: frozenset[int] = _NEVER,
) -> Link:
    """All elements along some axes may be in each along the same axes."""
    axes = tuple(axes)
    return Link(
        lambda m: np.broadcast_to(m.any(axis=axes, keepdims=True), result),
        lambda m: np.broadcast_to(m.any(axis=axes, keepdims=True), source),
        mixes,
    )


def _by_gradient(
    function: Callable[[Any], Any], shape: tuple[int, ...], mixes: frozenset[int]
) -> Link:
    """Of a linear function without negative coefficients: its gradient leads back."""

    def forward(mask: Mask) -> Mask:
        return np.asarray(function(mask.astype(np.float32))) > 0

    def backward(mask: Mask) -> Mask:
        _, pull = jax.vjp(function, np.zeros(shape, np.float32))
        return np.asarray(pull(mask.astype(np.float32))[0]) > 0

    return Link(forward, backward, mixes)


# -- families of primitives -----------------------------------------------------------


def _elementwise(e: _Equation) -> Links:
    return [_stretched(s, e.out) for s in e.ins]


def _each_its_own(e: _Equation) -> Links:
    return [Link(_same, _same) if i == e.output else None for i in range(len(e.ins))]


def _select(e: _Equation) -> Links:
    which = np.broadcast_to(np.asarray(e.operands[0]).astype(int), e.out)
    cases = range(len(e.ins) - 1)
    return [None, *(_where(which == case) for case in cases)]


def _moved(e: _Equation) -> Links:
    first, starts, numbers = 0, [], list(e.operands)
    for i, shape in enumerate(e.ins):
        starts.append(first)
        if e.is_linked(i):
            size = math.prod(shape)
            numbers[i] = np.arange(first, first + size, dtype=np.int32).reshape(shape)
            first += size
    if first >= 2**31:
        return _opaque(e)
    if e.eqn.primitive.name == "scatter":
        moved = _scattered(e, *numbers)
    else:
        filled = _filled_with(e.eqn, -1)
        with without_mesh():  # numbers are on none
            moved = bind_equation(filled, numbers, in_context=False)[e.output]
    host = np.asarray(moved)
    return [_numbered(host, f, s) for f, s in zip(starts, e.ins, strict=True)]


def _filled_with(eqn: JaxprEqn, value: int) -> Any:
    if "fill_value" not in eqn.params:
        return eqn
    return eqn.replace(params={**eqn.params, "fill_value": value})


def _scattered(e: _Equation, operand: Any, indices: Any, updates: Any) -> Any:
    return jax.lax.scatter(
        jax.numpy.asarray(operand),
        indices,
        updates,
        e.params["dimension_numbers"],
        mode=e.params["mode"],
    )


def _scatter_add(e: _Equation) -> Links:
    zeros, indices = np.zeros(e.out, np.float32), e.operands[1]

    def add(updates: Any) -> Any:
        return jax.lax.scatter_add(
            zeros,
            indices,
            updates,
            e.params["dimension_numbers"],
            mode=e.params["mode"],
        )

    choice = e.eqn.primitive.name in ("scatter-min", "scatter-max")
    # An Inf that is added to an element alone is a mask: `logits.at[banned].add(-inf)`.
    alone = choice or bool((np.asarray(add(np.ones(e.ins[2], np.float32))) <= 1).all())
    mixes = _OF_A_CHOICE if alone else _ALWAYS
    return [Link(_same, _same), None, _by_gradient(add, e.ins[2], mixes)]


def _reduced(e: _Equation) -> Links:
    axes: Sequence[int] = e.params.get("axes") or e.params.get("dimensions", ())
    choice = e.eqn.primitive.name in ("reduce_max", "reduce_min")
    mixes = _OF_A_CHOICE if choice else _ALWAYS
    # lax.reduce has, after what it reduces, as many start values.
    return [
        _over(s, axes, mixes)
        if len(s) == len(e.out) + len(axes)
        else _whole(s, e.out, _ALWAYS, True)
        for s in e.ins
    ]


def _psum(e: _Equation) -> Links:
    """Under vmap a sum over devices is one over axes."""
    axes = e.params["axes"]
    if not all(isinstance(axis, int) for axis in axes):
        return _opaque(e)
    own = _over(e.ins[e.output], axes, _ALWAYS)
    return [own if i == e.output else None for i in range(len(e.ins))]


def _cumulative(e: _Equation) -> Links:
    axis, reverse = e.params["axis"], e.params["reverse"]
    name = e.eqn.primitive.name
    choice = name in ("cummax", "cummin")
    # The logarithm of a running sum is -Inf where all before it are: none is mixed in.
    mixes = _ALWAYS - {NEG_INF} if name == "cumlogsumexp" else _ALWAYS

    def up(mask: Mask) -> Mask:
        return np.asarray(np.logical_or.accumulate(mask, axis=axis))

    def down(mask: Mask) -> Mask:
        return np.flip(up(np.flip(mask, axis)), axis)

    steps = (down, up) if reverse else (up, down)
    return [Link(*steps, _OF_A_CHOICE if choice else mixes)]


def _dot(e: _Equation) -> Links:
    (left, right), (left_batch, right_batch) = e.params["dimension_numbers"]
    n_batch = len(left_batch)
    n_left = len(e.ins[0]) - n_batch - len(left)
    n_free = len(e.out) - n_batch
    of_left = tuple(range(n_batch, n_batch + n_left))
    of_right = tuple(range(n_batch + n_left, n_batch + n_free))
    return [
        _factor(e.ins[0], left_batch, left, of_left, of_right, e.out),
        _factor(e.ins[1], right_batch, right, of_right, of_left, e.out),
    ]


def _factor(
    source: tuple[int, ...],
    batch: Sequence[int],
    summed: Sequence[int],
    mine: tuple[int, ...],
    others: tuple[int, ...],
    result: tuple[int, ...],
) -> Link:
    """One factor of a product: its rows are the result's, its columns are summed."""
    free = [i for i in range(len(source)) if i not in (*batch, *summed)]
    order = (*batch, *free, *summed)
    last = tuple(range(len(source) - len(summed), len(source)))
    back = np.argsort(order)

    def forward(mask: Mask) -> Mask:
        rows = mask.transpose(order).any(axis=last)
        return np.broadcast_to(np.expand_dims(rows, others), result)

    def backward(mask: Mask) -> Mask:
        rows = np.expand_dims(mask.any(axis=others), last)
        return np.broadcast_to(rows, [source[i] for i in order]).transpose(back)

    return Link(forward, backward, _ALWAYS)


def _convolution(e: _Equation) -> Links:
    eqn = e.eqn.replace(params={**e.params, "preferred_element_type": None})

    of_kernel, padded = _padded(eqn, e.ins[0])
    of_input, filled = _filled(eqn, e.ins[1])

    def of_data(x: Any) -> Any:  # and in the holes of a kernel
        return bind_equation(of_input, [x, np.ones(filled, np.float32)])[0]

    def of_weights(x: Any) -> Any:  # 0 times Inf is NaN in the padding, too
        return bind_equation(of_kernel, [np.ones(padded, np.float32), x])[0]

    steps = (of_data, of_weights)
    return [
        _by_gradient(step, shape, _ALWAYS)
        for step, shape in zip(steps, e.ins, strict=True)
    ]


def _filled(eqn: JaxprEqn, shape: tuple[int, ...]) -> tuple[JaxprEqn, tuple[int, ...]]:
    """A convolution with a kernel in which the holes are written out."""
    sizes, dilation = list(shape), eqn.params["rhs_dilation"]
    for axis, by in zip(
        eqn.params["dimension_numbers"].rhs_spec[2:], dilation, strict=True
    ):
        sizes[axis] = max(0, (sizes[axis] - 1) * by + 1)
    plain = {"rhs_dilation": (1,) * len(dilation)}
    return eqn.replace(params={**eqn.params, **plain}), tuple(sizes)


def _padded(eqn: JaxprEqn, shape: tuple[int, ...]) -> tuple[JaxprEqn, tuple[int, ...]]:
    """A convolution of data in which the padding and the holes are written out."""
    spec = eqn.params["dimension_numbers"].lhs_spec
    sizes, padding = list(shape), eqn.params["padding"]
    dilation = eqn.params["lhs_dilation"]
    for axis, (low, high), by in zip(spec[2:], padding, dilation, strict=True):
        sizes[axis] = max(0, (sizes[axis] - 1) * by + 1) + low + high
    plain = {"padding": ((0, 0),) * len(padding), "lhs_dilation": (1,) * len(padding)}
    return eqn.replace(params={**eqn.params, **plain}), tuple(sizes)


_WINDOW = (
    "window_dimensions",
    "window_strides",
    "padding",
    "base_dilation",
    "window_dilation",
)


def _window(e: _Equation) -> Links:
    name = e.eqn.primitive.name
    choice = name in ("reduce_window_max", "reduce_window_min")
    window = [e.params[p] for p in _WINDOW]

    def total(x: Any) -> Any:
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, *window)

    mixes = _OF_A_CHOICE if choice else _ALWAYS
    return [_by_gradient(total, e.ins[0], mixes)]


def _sort(e: _Equation) -> Links:
    axes = (e.params["dimension"],)
    own = _along(e.ins[e.output], e.out, axes)
    return [own if i == e.output else None for i in range(len(e.ins))]


def _top_k(e: _Equation) -> Links:
    axis = e.params.get("axis", len(e.out) - 1)
    return [_along(e.ins[0], e.out, (axis,))]


def _fft(e: _Equation) -> Links:
    n = len(e.params["fft_lengths"])
    axes = range(len(e.out) - n, len(e.out))
    return [_along(e.ins[0], e.out, axes, _ALWAYS)]


def _matrices(e: _Equation) -> Links:
    """Linear algebra: each matrix of a batch for itself."""
    batch = e.ins[0][:-2]
    if e.out[: len(batch)] != batch or any(s[: len(batch)] != batch for s in e.ins):
        return _opaque(e)
    return [_batched(len(batch), s, e.out) for s in e.ins]


def _batched(n: int, source: tuple[int, ...], result: tuple[int, ...]) -> Link:
    def between(start: tuple[int, ...], end: tuple[int, ...]) -> Step:
        rest = tuple(range(n, len(start)))
        new = tuple(range(n, len(end)))
        return lambda m: np.broadcast_to(np.expand_dims(m.any(axis=rest), new), end)

    return Link(between(source, result), between(result, source), _ALWAYS)


def _opaque(e: _Equation) -> Links:
    return [_whole(s, e.out, _ALWAYS, exact=False) for s in e.ins]


def _names(text: str) -> list[str]:
    return text.split()


_ARITHMETIC = _names("""
    abs acos acosh add add_any asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt
    ceil clamp complex conj cos cosh digamma div erf erf_inv erfc exp exp2 expm1 floor
    igamma igamma_grad_a igammac integer_pow lgamma log log1p log2 logistic max min mul
    nextafter one_minus_square polygamma pow random_gamma_grad
    regularized_incomplete_beta rem round rsqrt sign sin sinh sqrt square sub tan tanh
    zeta
""")

_EACH_ITS_OWN = frozenset({"optimization_barrier", "device_put"})
"""Primitives of many operands, each of which is one of their results."""

_RENAMED = _names("from_edtype name to_edtype")

_ELEMENTWISE = {*_ARITHMETIC, *_RENAMED, *ROUNDS, *KEEPS - _EACH_ITS_OWN, *ON_A_MESH}

_MOVED = {
    *REARRANGES,
    *SELECTS - {"select_n"},
    *_names("broadcast_to gather pad scatter stack tile unstack"),
}

_TESTS = frozenset(
    _names("and convert_element_type eq ge gt is_finite le lt ne not or")
)

_MATRICES = _names("""
    cholesky cholesky_update eig eigh geqrf geqp3 hessenberg householder_product lu
    lu_pivots_to_permutation ormqr qr schur svd symmetric_product triangular_solve
    tridiagonal tridiagonal_solve
""")

_FAMILIES: dict[str, Callable[[_Equation], Links]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_EACH_ITS_OWN, _each_its_own),
    "select_n": _select,
    **dict.fromkeys(_MOVED, _moved),
    **dict.fromkeys(
        ("scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max"),
        _scatter_add,
    ),
    **dict.fromkeys(
        ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce"), _reduced
    ),
    **dict.fromkeys(("psum", "pmax", "pmin"), _psum),
    **dict.fromkeys(
        ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulative
    ),
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    **dict.fromkeys(
        ("reduce_window_sum", "reduce_window_max", "reduce_window_min"), _window
    ),
    "sort": _sort,
    "top_k": _top_k,
    "fft": _fft,
    **dict.fromkeys(_MATRICES, _matrices),
    **dict.fromkeys(_TESTS - ROUNDS, _elementwise),
}


_COMPLETE = frozenset(_FAMILIES)
"""Primitives whose links are known, and with indices and predicates are all."""
