"""Which arguments of a call are batches, by what becomes of their axes.

Two axes are one where an operation lines them up: element by element, or by contracting
one with the other. Rows of a batch are lined up with rows only. The first axis of a
weight is lined up with a later axis of something else: of the batch that it multiplies,
or of a wider weight that it is added to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Body,
    Call,
    Cond,
    Loop,
    Sharded,
    Solve,
    structure,
)
from jaxdbg.jax_internals.names import is_literal

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, ClosedJaxpr, JaxprEqn

Axes = list[int]
"""For each dimension of an array the number of its axis."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What the axes of the arguments say; both are of flat arguments.

    Attributes:
        weights: whose first axis is lined up with a later axis, or looked up in.
        batches: not weights, and an axis of a weight is lined up with a later axis of
            them, or of something that has the same rows.
    """

    weights: frozenset[int] = frozenset()
    batches: frozenset[int] = frozenset()


NO_ROLES = Roles()


def roles(jaxpr: ClosedJaxpr) -> Roles:
    """Which arguments of a call are weights, and which are batches."""
    walk = _Walk()
    args = [walk.new(shape_of(v)) for v in body(jaxpr).invars]
    walk.through(jaxpr, args)
    firsts = {i: walk.one(axes[0]) for i, axes in enumerate(args) if axes}
    later = {walk.one(axis) for axes in args for axis in axes[1:]}
    tables = set(map(walk.one, walk.tables))
    weights = {i for i, first in firsts.items() if first in later | tables}
    of_weights = {walk.one(axis) for i in weights for axis in args[i]}
    multiplied = {
        firsts[i]
        for i, axes in enumerate(args)
        if axes and i not in weights and of_weights & set(map(walk.one, axes[1:]))
    }
    batches = {i for i, first in firsts.items() if first in multiplied}
    return Roles(frozenset(weights), frozenset(batches))


def shape_of(atom: Any) -> tuple[int, ...]:
    """The shape of an operand or a result; that of a token is empty."""
    return tuple(getattr(atom.aval, "shape", ()))


class _Walk:
    """Numbers the axes of all arrays in a jaxpr, and lines them up.

    Attributes:
        tables: axes in which something is looked up, or along which a window moves.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self.tables: list[int] = []

    def new(self, shape: Sequence[int]) -> Axes:
        """New axes, of an array of this shape."""
        first = len(self._parents)
        self._parents += range(first, first + len(shape))
        return list(range(first, first + len(shape)))

    def one(self, axis: int) -> int:
        """The number that is common to all axes that are lined up with this one."""
        while self._parents[axis] != axis:
            self._parents[axis] = axis = self._parents[self._parents[axis]]
        return axis

    def line_up(self, pairs: Iterator[tuple[int, int]]) -> None:
        """Makes the axes of each pair one."""
        for a, b in pairs:
            self._parents[self.one(a)] = self.one(b)

    def through(self, jaxpr: AnyJaxpr, args: Sequence[Axes]) -> list[Axes]:
        """Lines up all within a body; returns the axes of its results."""
        inside = body(jaxpr)
        known: dict[Any, Axes] = dict(zip(inside.invars, args, strict=True))

        def read(atom: Any) -> Axes:
            if is_literal(atom) or atom not in known:
                return self.new(shape_of(atom))
            return known[atom]

        for eqn in inside.eqns:
            outs = self._equation(eqn, list(map(read, eqn.invars)))
            known.update(zip(eqn.outvars, outs, strict=True))
        return list(map(read, inside.outvars))

    def _equation(self, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
        outs = [self.new(shape_of(v)) for v in eqn.outvars]
        match structure(eqn):
            case Solve() | Sharded():
                pass
            case Call(body=inner) | Cond(bodies=(inner, *_)) if _fits(inner, ins):
                self._returns(self._enter(inner, ins), outs)
            case Loop() as loop:
                self._loop(loop, ins, outs)
            case None:
                self._operation(_Operation(eqn, ins, outs))
        return outs

    def _enter(self, inner: Body, ins: list[Axes]) -> list[Axes]:
        return self.through(inner.jaxpr, [ins[i] for i in inner.operands])

    def _returns(self, results: Sequence[Axes], outs: Sequence[Axes]) -> None:
        for result, out in zip(results, outs, strict=True):
            self.line_up(zip(result, out, strict=True))

    def _loop(self, loop: Loop, ins: list[Axes], outs: list[Axes]) -> None:
        consts, carry, xs = loop.inputs([ins[i] for i in loop.step.operands])
        rows = [x[1:] for x in xs]
        results = self.through(loop.step.jaxpr, [*consts, *carry, *rows])
        self._returns(results[: loop.n_carry], carry)
        ys = [out[1:] for out in outs[loop.n_carry :]]
        self._returns(results, [*outs[: loop.n_carry], *ys])
        steps = [a[0] for a in (*xs, *outs[loop.n_carry :])]
        self.line_up(itertools.pairwise(steps))

    def _operation(self, of: _Operation) -> None:
        rule = _RULES.get(of.eqn.primitive.name, _alike)
        self.line_up(rule(of))
        self.tables += _tables(of)


def _fits(inner: Body, ins: Sequence[Axes]) -> bool:
    return len(inner.operands) == len(body(inner.jaxpr).invars) <= len(ins)


@dataclass(frozen=True, slots=True)
class _Operation:
    """An equation without bodies, and the axes of its operands and results."""

    eqn: JaxprEqn
    ins: list[Axes]
    outs: list[Axes]

    @property
    def params(self) -> Any:
        return self.eqn.params

    def shape(self, operand: int) -> tuple[int, ...]:
        return shape_of(self.eqn.invars[operand])

    @property
    def out_shape(self) -> tuple[int, ...]:
        return shape_of(self.eqn.outvars[0])


Pairs = Iterator[tuple[int, int]]


def _alike(of: _Operation) -> Pairs:
    """Element by element; an axis of size 1 stands for many."""
    for result, out in zip(of.eqn.outvars, of.outs, strict=True):
        for operand, axes in zip(of.eqn.invars, of.ins, strict=True):
            if len(axes) != len(out):
                continue
            sizes = list(zip(shape_of(operand), shape_of(result), strict=True))
            if all(a in (1, b) for a, b in sizes):
                pairs = zip(axes, out, sizes, strict=True)
                yield from ((a, to) for a, to, (n, m) in pairs if n == m)


def _of_one_size(of: _Operation) -> Pairs:
    """What is cut or grown along some axes stays as it was along the others."""
    for i, axes in enumerate(of.ins):
        for out, result in zip(of.outs, of.eqn.outvars, strict=True):
            if len(axes) == len(out):
                sizes = zip(of.shape(i), shape_of(result), strict=True)
                same = [a == b and a > 1 for a, b in sizes]
                pairs = zip(axes, out, same, strict=True)
                yield from ((a, b) for a, b, fits in pairs if fits)


def _reduced(of: _Operation) -> Pairs:
    gone = of.params.get("axes", of.params.get("dimensions", ()))
    for axes in of.ins:
        for out in of.outs:
            left = [a for i, a in enumerate(axes) if i not in gone]
            if len(left) == len(out):
                yield from zip(left, out, strict=True)


def _broadcast(of: _Operation) -> Pairs:
    (out,) = of.outs
    dims = of.params["broadcast_dimensions"]
    for axis, size, to in zip(of.ins[0], of.shape(0), dims, strict=True):
        if size > 1 and size == of.out_shape[to]:
            yield axis, out[to]


def _reshaped(of: _Operation) -> Pairs:
    """Axes that stay as they are before and after those that are cut or joined."""
    (out,), axes = of.outs, of.ins[0]
    before = list(zip(axes, of.shape(0), strict=True))
    after = list(zip(out, of.out_shape, strict=True))
    for a, b in ((before, after), (before[::-1], after[::-1])):
        for (axis, size), (to, becomes) in zip(a, b, strict=False):
            if size != becomes:
                break
            yield axis, to


def _transposed(of: _Operation) -> Pairs:
    order = of.params["permutation"]
    yield from ((of.ins[0][i], to) for i, to in zip(order, of.outs[0], strict=True))


def _product(of: _Operation) -> Pairs:
    (left, right), (out,) = of.ins[:2], of.outs
    (left_sum, right_sum), (left_each, right_each) = of.params["dimension_numbers"]
    used = ({*left_sum, *left_each}, {*right_sum, *right_each})
    free = [
        [a for i, a in enumerate(axes) if i not in gone]
        for axes, gone in zip((left, right), used, strict=True)
    ]
    for of_left, of_right in ((left_sum, right_sum), (left_each, right_each)):
        pairs = zip(of_left, of_right, strict=True)
        yield from ((left[i], right[j]) for i, j in pairs)
    each = [left[i] for i in left_each]
    yield from zip([*each, *free[0], *free[1]], out, strict=True)


def _convolution(of: _Operation) -> Pairs:
    (x, kernel), (out,) = of.ins[:2], of.outs
    numbers = of.params["dimension_numbers"]
    of_x, of_kernel, of_out = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    yield x[of_x[0]], out[of_out[0]]
    yield x[of_x[1]], kernel[of_kernel[1]]
    yield kernel[of_kernel[0]], out[of_out[1]]


def _looked_up(of: _Operation) -> Pairs:
    """Whole axes of the table, and the axes of the indices."""
    (table, indices), (out,) = of.ins[:2], of.outs
    numbers, sizes = of.params["dimension_numbers"], of.params["slice_sizes"]
    batching = tuple(getattr(numbers, "operand_batching_dims", ()))
    gone = {*numbers.collapsed_slice_dims, *batching}
    left = [i for i in range(len(table)) if i not in gone]
    for i, to in zip(left, numbers.offset_dims, strict=True):
        if sizes[i] == of.shape(0)[i]:
            yield table[i], out[to]
    to_indices = [a for i, a in enumerate(out) if i not in numbers.offset_dims]
    yield from zip(indices[:-1], to_indices, strict=False)
    at = getattr(numbers, "start_indices_batching_dims", ())
    yield from ((table[i], indices[j]) for i, j in zip(batching, at, strict=True))


def _tables(of: _Operation) -> Axes:
    """Axes of operands that are no rows: of a table, and of a moving kernel."""
    match of.eqn.primitive.name:
        case "gather":
            sizes, cut = of.shape(0), of.params["slice_sizes"]
            at = of.params["dimension_numbers"].start_index_map
            many = any(n > 1 for n in of.shape(1)[:-1])
            return [of.ins[0][i] for i in at if many and cut[i] < sizes[i]]
        case "conv_general_dilated":
            spatial = of.params["dimension_numbers"].rhs_spec[2:]
            return [of.ins[1][i] for i in spatial]
    return []


_RULES: dict[str, Callable[[_Operation], Pairs]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _of_one_size,
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "dynamic_slice": _of_one_size,
    "gather": _looked_up,
    "pad": _of_one_size,
    "reshape": _reshaped,
    "slice": _of_one_size,
    "split": _of_one_size,
    "squeeze": _reduced,
    "transpose": _transposed,
    **dict.fromkeys(
        (
            "argmax",
            "argmin",
            "reduce_and",
            "reduce_max",
            "reduce_min",
            "reduce_or",
            "reduce_prod",
            "reduce_sum",
        ),
        _reduced,
    ),
}
"""How each primitive lines up axes; another one where the shapes are the same."""
