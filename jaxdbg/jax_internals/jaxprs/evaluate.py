"""One evaluation of a jaxpr, equation by equation, in and out of bodies.

`Visitor` evaluates; what it does on the way is for its subclasses to say, as with
`ast.NodeVisitor`. This one collects what each `checkpoint_name` in a call names, with
the steps of the loops around it:

    class Named(Visitor[Any]):
        def __init__(self):
            self.values = {}

        def bind(self, frame, n, ins):
            (value, *_) = outs = super().bind(frame, n, ins)
            eqn = frame.eqns[n]
            if eqn.primitive.name == "name":
                at = tuple(step for _, step, _ in frame.loop)
                self.values[eqn.params["name"], at] = value
            return outs

    evaluate(jaxpr, args, named)
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.jaxprs import forms
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Call,
    Cond,
    HigherOrder,
    Loop,
    Sharded,
    Solve,
    structure,
)
from jaxdbg.jax_internals.jaxprs.liveness import live
from jaxdbg.jax_internals.names import is_literal

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, Jaxpr, JaxprEqn

V = TypeVar("V")

Order = tuple[int, ...]
"""When something is evaluated: for each body, from outside in, the index of the
equation and the iteration; then the index of the equation itself."""

Wanted = Sequence[bool] | None
"""Which outputs of a body are needed; None for all, with what has effects alone."""


@dataclass(slots=True)
class Frame:
    """One evaluation of one body.

    Attributes:
        jaxpr: the body, closed or without constants.
        order: when.
        outer: the equations it is inside of, from outside in.
        path: for each of these its index, and which of its bodies is entered.
        loop: (kind, step, length or None) of each loop around it; the step of a scan is
            the row it reads, so a scan from the end begins with the last.
        branches: (index taken, how many there are) of each cond around it.
        running: of an iteration of a while, whether it runs; under vmap for each
            element of the batch.
    """

    jaxpr: AnyJaxpr
    order: Order = ()
    outer: tuple[JaxprEqn, ...] = ()
    path: tuple[tuple[int, int], ...] = ()
    loop: tuple[tuple[str, int, int | None], ...] = ()
    branches: tuple[tuple[int, int], ...] = ()
    running: Any = None

    @property
    def body(self) -> Jaxpr:
        """The open jaxpr."""
        return forms.body(self.jaxpr)

    @property
    def eqns(self) -> Sequence[JaxprEqn]:
        """The equations of the body."""
        return self.body.eqns

    def inside(
        self, n: int, entered: HigherOrder, which: int = 0, iteration: int = 0
    ) -> Self:
        """The frame of a body of the equation of this index."""
        loop, branches = self.loop, self.branches
        if isinstance(entered, Loop):
            loop = (*loop, (entered.kind, entered.row(iteration), entered.length))
        elif isinstance(entered, Cond):
            branches = (*branches, (which, len(entered.bodies)))
        return type(self)(
            entered.bodies[which].jaxpr,
            (*self.order, n, iteration),
            (*self.outer, self.eqns[n]),
            (*self.path, (n, which)),
            loop,
            branches,
        )


def evaluate(
    jaxpr: AnyJaxpr, args: Sequence[V], visitor: Visitor[V] | None = None
) -> list[V]:
    """The outputs of a closed jaxpr, or of an open one without constants.

    Arguments:
        jaxpr: the jaxpr.
        args: its flat arguments.
        visitor: evaluates it; none that does no more by default.
    """
    return (visitor or Visitor[V]()).run(Frame(jaxpr), args)


class Visitor(Generic[V]):
    """Evaluates a jaxpr, equation by equation; loops iteration by iteration.

    `V` is the type of a value: the array itself, unless `lift` and `array` say
    otherwise. `bind` evaluates an operation; `call`, `cond` and `loop` an equation with
    bodies that `enters` agrees to; `enter` makes the frame of a body.
    """

    everything = False
    """Whether also that is evaluated which no wanted output depends on."""

    def always(self, eqn: JaxprEqn) -> bool:
        """Whether an equation is evaluated in any case, for its effect."""
        return False

    def lift(self, array: Any) -> V:
        """The value of an array: a literal, a constant, a result, a row."""
        return cast("V", array)

    def array(self, value: V) -> Any:
        """The array of a value."""
        return value

    def wrote(self, frame: Any, variables: Sequence[Any], values: Sequence[V]) -> None:
        """Called with variables of a frame, as soon as these have values."""

    def done(self, frame: Any, n: int) -> None:
        """Called after an equation, when its results are written."""

    def enters(self, frame: Any, n: int, inner: HigherOrder) -> bool:
        """Whether to go into the bodies of an equation, or to bind it as one."""
        return not isinstance(inner, Solve | Sharded)

    def enter(
        self, frame: Any, n: int, inner: HigherOrder, which: int = 0, iteration: int = 0
    ) -> Any:
        """The frame of a body of an equation, which is about to be evaluated."""
        return frame.inside(n, inner, which, iteration)

    def run(self, frame: Any, ins: Sequence[V], wanted: Wanted = None) -> list[V]:
        """The outputs of a body; None for what is not wanted and was not evaluated."""
        body: Jaxpr = frame.body
        env: dict[Any, V] = {}

        def write(variables: Sequence[Any], values: Sequence[V]) -> None:
            env.update(zip(variables, values, strict=True))
            self.wrote(frame, variables, values)

        def read(atom: Any) -> V:
            return self.lift(atom.val) if is_literal(atom) else cast("V", env.get(atom))

        write(body.constvars, [self.lift(c) for c in forms.consts(frame.jaxpr)])
        write(body.invars, ins)
        needed, last = live(body, wanted, self.everything, self.always)
        for n, eqn in enumerate(body.eqns):
            if n in needed:
                some = wanted and [v in needed[n] for v in eqn.outvars]
                outs = self.equation(frame, n, [read(v) for v in eqn.invars], some)
                write(eqn.outvars, outs)
                self.done(frame, n)
            for var in last.get(n, ()):
                env.pop(var, None)
        return [read(v) for v in body.outvars]

    def equation(self, frame: Any, n: int, ins: list[V], wanted: Wanted) -> list[V]:
        """The results of the equation of this index."""
        inner = structure(frame.eqns[n])
        if inner is None or not self.enters(frame, n, inner):
            return self.bind(frame, n, ins)
        if isinstance(inner, Loop):
            return self.loop(frame, n, inner, ins)
        if isinstance(inner, Cond):
            return self.cond(frame, n, inner, ins, wanted)
        return self.call(frame, n, inner, ins, wanted)

    def bind(self, frame: Any, n: int, ins: list[V]) -> list[V]:
        """The results of an equation that is evaluated as one operation."""
        arrays = [self.array(v) for v in ins]
        return [self.lift(out) for out in bind_equation(frame.eqns[n], arrays)]

    def call(
        self, frame: Any, n: int, inner: Call, ins: list[V], wanted: Wanted
    ) -> list[V]:
        """The results of an equation with one body."""
        operands = [ins[i] for i in inner.body.operands]
        return self.run(self.enter(frame, n, inner), operands, wanted)

    def cond(
        self, frame: Any, n: int, inner: Cond, ins: list[V], wanted: Wanted
    ) -> list[V]:
        """The results of the branch that is taken."""
        taken = int(np.asarray(self.array(ins[0])))
        operands = [ins[i] for i in inner.bodies[taken].operands]
        return self.run(self.enter(frame, n, inner, taken), operands, wanted)

    def loop(self, frame: Any, n: int, inner: Loop, ins: list[V]) -> list[V]:
        """The results of a loop, iteration by iteration."""
        if inner.length == 0:
            return self.bind(frame, n, ins)
        _, consts, carry, xs = inner.operands(ins)
        rows = list(map(self.rows, xs))
        ys: list[list[V]] = []
        for i in itertools.count() if inner.length is None else range(inner.length):
            running = self._running(frame, n, inner, i, ins, carry)
            if running is not None and not running.any():
                break
            step = self.enter(frame, n, inner, len(inner.bodies) - 1, i)
            step.running = running
            row = [x(inner.row(i)) for x in rows]
            outs = self.run(step, [*consts, *carry, *row], _all(step))
            carry = self.carried(running, outs[: inner.n_carry], carry)
            ys.append(outs[inner.n_carry :])
        if inner.reverse:
            ys.reverse()
        return [*carry, *map(self.stacked, zip(*ys, strict=True))]

    def rows(self, value: V) -> Callable[[int], V]:
        """The rows of a value, by their number."""
        rows = _rows(self.array(value))
        return lambda i: self.lift(rows[i])

    def stacked(self, rows: Sequence[V]) -> V:
        """The value that has some rows."""
        return self.lift(_stack([self.array(row) for row in rows]))

    def running(self, test: V) -> Any:
        """Whether a while continues, by the result of its test."""
        return np.asarray(self.array(test))

    def _running(
        self, frame: Any, n: int, inner: Loop, i: int, ins: list[V], carry: list[V]
    ) -> Any:
        """Whether a while continues; None for a scan."""
        if inner.test is None:
            return None
        test = self.enter(frame, n, inner, 0, i)
        (running,) = self.run(test, [*inner.operands(ins).test_consts, *carry], [True])
        return self.running(running)

    def carried(self, running: Any, new: list[V], old: list[V]) -> list[V]:
        """The carry after an iteration; of a while under vmap, where it still ran."""
        if running is None or running.ndim == 0:
            return new
        pairs = zip(map(self.array, new), map(self.array, old), strict=True)
        return [self.lift(keep_running(running, n, o)) for n, o in pairs]


def _all(frame: Any) -> Wanted:
    return [True] * len(frame.body.outvars)


def bind_equation(
    eqn: JaxprEqn, arrays: list[Any], in_context: bool = True
) -> list[Any]:
    """The outputs of an equation for these operands, in the context it was made in."""
    primitive: Any = eqn.primitive
    subfuns: Any = ()
    params = eqn.params
    if hasattr(primitive, "get_bind_params"):
        bound = primitive.get_bind_params(params)
        subfuns, params = bound if isinstance(bound, tuple) else ((), bound)
    with eqn.ctx.manager if in_context else contextlib.nullcontext():
        outs = primitive.bind(*subfuns, *arrays, **params)
    return list(outs) if primitive.multiple_results else [outs]


def keep_running(running: Any, new: Any, old: Any) -> Any:
    """The new value of a while loop's carry, the old where an element is done.

    A while loop under vmap has a predicate for each batch element, and runs until all
    are done; JAX's own lowering keeps the values of those that are.

    Arguments:
        running: bool, a scalar, or with the leading dimensions of the carry.
        new, old: the carry after and before the iteration.
    """
    if jnp.ndim(running) == 0:
        return new
    shape = jnp.shape(new)
    running = jnp.expand_dims(running, range(jnp.ndim(running), len(shape)))
    return jax.lax.select(jnp.broadcast_to(running, shape), new, old)


def _rows(array: Any) -> Any:
    """An array whose rows can be had without a dispatch each, where that can be."""
    return array if is_key(array) else np.asarray(array)


def is_key(array: Any) -> bool:
    """Whether an array holds keys of random numbers."""
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))


def _stack(rows: Sequence[Any]) -> Any:
    if is_key(rows[0]):
        return jnp.stack(rows)
    return np.stack([np.asarray(r) for r in rows])
