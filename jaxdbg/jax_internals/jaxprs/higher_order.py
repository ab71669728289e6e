"""The structure of higher-order primitives: their bodies, and what goes in and out.

Nothing else in the package knows what `scan`, `while`, `cond` and the calls name their
parameters, or knows the order of their operands. A primitive that is not here is
opaque: it is evaluated as one operation (`pallas_call` is one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import jax

from jaxdbg.jax_internals.primitives import CALLS

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import AnyJaxpr, JaxprEqn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Body:
    """A jaxpr that an equation evaluates.

    Attributes:
        jaxpr: closed, or open without constants.
        operands: for each of its inputs the index of the equation's operand that it is;
            of a loop in the first iteration, and of what a scan iterates over a row.
    """

    jaxpr: AnyJaxpr
    operands: Sequence[int]


@dataclass(frozen=True, slots=True)
class Call:
    """One body, whose outputs are the results: jit, remat, custom_jvp, custom_vjp.

    Attributes:
        body: takes all operands.
        is_plain: whether the call means no more than its body does; one with shardings
            of its own does.
    """

    body: Body
    is_plain: bool = True

    @property
    def bodies(self) -> tuple[Body, ...]:
        """All bodies, in the order that a path counts them in."""
        return (self.body,)


@dataclass(frozen=True, slots=True)
class Solve(Call):
    """`custom_linear_solve`, evaluated by its solver; the other bodies are not seen."""


@dataclass(frozen=True, slots=True)
class Sharded(Call):
    """`shard_map`: the body is evaluated once per device of a mesh.

    Attributes:
        sizes: of the axes of the mesh, by name.
        in_axes, out_axes: for each operand and result, and each of its dimensions, the
            axes of the mesh that split it; dimensions at the end may be missing.
        manual: the axes along which the body is evaluated once per device; along others
            the compiler has the choice.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    in_axes: tuple[tuple[tuple[str, ...], ...], ...] = ()
    out_axes: tuple[tuple[tuple[str, ...], ...], ...] = ()
    manual: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cond:
    """One of some branches, by the index that is operand 0."""

    bodies: tuple[Body, ...]

    @staticmethod
    def params(branches: Sequence[AnyJaxpr]) -> dict[str, Any]:
        """The parameters of the primitive, for other branches."""
        return {"branches": tuple(branches)}


class Parts(NamedTuple):
    """The operands of a loop by what they are, or values in their place."""

    test_consts: list[Any]
    consts: list[Any]
    carry: list[Any]
    xs: list[Any]


@dataclass(frozen=True, slots=True)
class Loop:
    """A body that is evaluated again and again: scan and while.

    The inputs of a step are the constants, the carry, and a row of each of the xs. Its
    outputs are the next carry, and a row of each of the ys; the results are the last
    carry and the ys.

    Attributes:
        kind: "scan" or "while".
        step: the body.
        n_consts, n_carry: of the inputs of a step.
        test: of a while, whether it continues; its inputs are constants of its own and
            the carry. Under vmap it may say so for each element of the batch.
        length: of a scan, how many iterations.
        reverse: whether the first iteration takes the last row.
        unroll: how many iterations of a scan XLA sees at a time.
    """

    kind: str
    step: Body
    n_consts: int
    n_carry: int
    test: Body | None = None
    length: int | None = None
    reverse: bool = False
    unroll: int | bool = 1

    @property
    def bodies(self) -> tuple[Body, ...]:
        """All bodies, in the order that a path counts them in."""
        return (self.step,) if self.test is None else (self.test, self.step)

    def row(self, iteration: int) -> int:
        """The row that an iteration of a scan reads and writes."""
        if self.reverse and self.length is not None:
            return self.length - 1 - iteration
        return iteration

    def operands(self, values: Sequence[Any]) -> Parts:
        """The operands of the equation, by what they are."""
        first = self.step.operands[0] if len(self.step.operands) else len(values)
        return Parts(list(values[:first]), *self.inputs(values[first:]))

    def inputs(self, values: Sequence[T]) -> tuple[list[T], list[T], list[T]]:
        """The inputs of a step: constants, carry, and what is of one row."""
        end = self.n_consts + self.n_carry
        consts, carry = values[: self.n_consts], values[self.n_consts : end]
        return list(consts), list(carry), list(values[end:])

    @staticmethod
    def while_params(
        test: AnyJaxpr, n_test: int, body: AnyJaxpr, n_body: int
    ) -> dict[str, Any]:
        """The parameters of a while: its bodies, and how many constants these take."""
        return {
            "cond_jaxpr": test,
            "cond_nconsts": n_test,
            "body_jaxpr": body,
            "body_nconsts": n_body,
        }


HigherOrder: TypeAlias = Call | Cond | Loop


def structure(eqn: JaxprEqn) -> HigherOrder | None:
    """The structure of an equation with bodies; None for one that is an operation."""
    return structure_of(eqn.primitive.name, eqn.params, len(eqn.invars))


def structure_of(
    primitive: str, params: dict[str, Any], n_operands: int
) -> HigherOrder | None:
    """The structure of a primitive with these parameters."""
    read = _READERS.get(primitive)
    return None if read is None else read(params, range(n_operands))


def bodies(eqn: JaxprEqn) -> tuple[Body, ...]:
    """The bodies of an equation, in the order that a path counts them in."""
    known = structure(eqn)
    return () if known is None else known.bodies


def body_around(call: JaxprEqn, eqn: JaxprEqn) -> Body | None:
    """The body of a call that an equation is in; None if it is in none of them."""
    return next((b for b in bodies(call) if any(e is eqn for e in b.jaxpr.eqns)), None)


def count(jaxpr: AnyJaxpr) -> int:
    """How many equations are evaluated; a while counts as one."""
    return sum(map(_count, jaxpr.eqns))


def _count(eqn: JaxprEqn) -> int:
    match structure(eqn):
        case Solve() | Sharded() | Loop(length=None) | None:
            return 1
        case Call(body=body):
            return count(body.jaxpr)
        case Cond(bodies=branches):
            return max(count(b.jaxpr) for b in branches)
        case Loop(step=step, length=length):
            return int(length or 0) * count(step.jaxpr)


# -- the parameters of each primitive --------------------------------------------------


def _call_by(name: str) -> Callable[[dict[str, Any], range], Call]:
    def read(params: dict[str, Any], operands: range) -> Call:
        shardings = (*params.get("in_shardings", ()), *params.get("out_shardings", ()))
        plain = not any(isinstance(s, jax.sharding.Sharding) for s in shardings)
        return Call(Body(params[name], operands), plain)

    return read


def _solve(params: dict[str, Any], operands: range) -> Solve:
    lengths = params["const_lengths"]
    start = lengths.matvec + lengths.vecmat
    consts = operands[start : start + lengths.solve]
    of_solver = (*consts, *operands[sum(lengths) :])
    return Solve(Body(params["jaxprs"].solve, of_solver))


def _sharded(params: dict[str, Any], operands: range) -> Sharded:
    return Sharded(
        Body(params["jaxpr"], operands),
        sizes=dict(params["mesh"].shape),
        in_axes=tuple(map(_axes, params["in_specs"])),
        out_axes=tuple(map(_axes, params["out_specs"])),
        manual=frozenset(params[_MANUAL if _MANUAL in params else "manual_axes"]),
    )


_MANUAL = "newly_manual_axes"  # before JAX 0.10 manual_axes


def _axes(spec: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(() if a is None else a if isinstance(a, tuple) else (a,) for a in spec)


def _cond(params: dict[str, Any], operands: range) -> Cond:
    return Cond(tuple(Body(b, operands[1:]) for b in params["branches"]))


def _scan(params: dict[str, Any], operands: range) -> Loop:
    n_consts, n_carry = _scan_counts(params)
    return Loop(
        kind="scan",
        step=Body(params["jaxpr"], operands),
        n_consts=n_consts,
        n_carry=n_carry,
        length=int(params["length"]),
        reverse=params["reverse"],
        unroll=params.get("unroll", 1),
    )


def _scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()  # since JAX 0.12
    return len(consts), len(carry)


def _while(params: dict[str, Any], operands: range) -> Loop:
    n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
    carry = operands[n_test + n_body :]
    return Loop(
        kind="while",
        step=Body(params["body_jaxpr"], operands[n_test:]),
        n_consts=n_body,
        n_carry=len(carry),
        test=Body(params["cond_jaxpr"], (*operands[:n_test], *carry)),
    )


_READERS: dict[str, Callable[[dict[str, Any], range], HigherOrder]] = {
    **{primitive: _call_by(name) for primitive, name in CALLS.items()},
    "cond": _cond,
    "custom_linear_solve": _solve,
    "scan": _scan,
    "shard_map": _sharded,
    "while": _while,
}
