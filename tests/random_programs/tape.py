"""A jaxpr evaluated operation by operation: a tape of what made what.

Calls, branches and loops are entered; what is on the tape is plain operations on
arrays, in the order of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

CALLED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}
"""Primitives that evaluate one jaxpr, and the parameter it is in."""


@dataclass(eq=False, slots=True)
class Value:
    """An array: the result of an operation, an argument, or a constant."""

    array: np.ndarray[Any, Any]
    made_by: Operation | None = None
    argument: int = -1


@dataclass(eq=False, slots=True)
class Operation:
    """An operation as it ran.

    Attributes:
        number: its place in the order of the program.
        primitive: JAX's name of it.
        lines: lines of the program it is on: that of the operation, and outward those
            of the calls that it is in.
        apply: its results for other operands.
    """

    number: int
    primitive: str
    lines: tuple[int, ...]
    ins: Sequence[Value]
    apply: Callable[..., list[Any]]
    outs: list[Value] = field(default_factory=list)


class Tape:
    """The operations of a call, and its results.

    Arguments:
        closed: the closed jaxpr of the call.
        args: its flat arguments.
        file: the file of the program.
    """

    def __init__(self, closed: Any, args: Sequence[Any], file: str):
        self.operations: list[Operation] = []
        self._file = file
        arguments = [Value(np.asarray(a), argument=i) for i, a in enumerate(args)]
        self.results = self._closed(closed, arguments, ())

    def _closed(
        self, jaxpr: Any, ins: Sequence[Value], outer: tuple[int, ...]
    ) -> list[Value]:
        consts = [Value(np.asarray(c)) for c in getattr(jaxpr, "consts", ())]
        inside = getattr(jaxpr, "jaxpr", jaxpr)
        env = dict(zip(inside.constvars, consts, strict=True))
        env.update(zip(inside.invars, ins, strict=True))

        def read(atom: Any) -> Value:
            return Value(np.asarray(atom.val)) if hasattr(atom, "val") else env[atom]

        for eqn in inside.eqns:
            outs = self._eqn(eqn, [read(v) for v in eqn.invars], outer)
            env.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in inside.outvars]

    def _eqn(self, eqn: Any, ins: list[Value], outer: tuple[int, ...]) -> list[Value]:
        name, lines = eqn.primitive.name, (*self._line(eqn), *outer)
        if name in CALLED:
            return self._closed(eqn.params[CALLED[name]], ins, lines)
        if name == "cond":
            branch = eqn.params["branches"][int(ins[0].array)]
            return self._closed(branch, ins[1:], lines)
        if name == "scan":
            return self._scan(eqn, ins, lines)
        if name == "while":
            return self._while(eqn, ins, lines)
        params, bind = eqn.params, eqn.primitive.bind
        several = eqn.primitive.multiple_results

        def apply(*arrays: Any) -> list[Any]:
            outs = bind(*map(jnp.asarray, arrays), **params)
            return list(outs) if several else [outs]

        return self._ran(name, lines, ins, apply)

    def _ran(
        self,
        name: str,
        lines: tuple[int, ...],
        ins: Sequence[Value],
        apply: Callable[..., list[Any]],
    ) -> list[Value]:
        operation = Operation(len(self.operations), name, lines, ins, apply)
        results = apply(*(v.array for v in ins))
        operation.outs = [Value(np.asarray(r), operation) for r in results]
        self.operations.append(operation)
        return operation.outs

    def _line(self, eqn: Any) -> tuple[int, ...]:
        traceback = eqn.source_info.traceback
        frames = traceback.frames if traceback is not None else ()
        return tuple(f.line_num for f in frames if f.file_name == self._file)

    # -- loops -------------------------------------------------------------------------

    def _scan(self, eqn: Any, ins: list[Value], lines: tuple[int, ...]) -> list[Value]:
        params = eqn.params
        if "num_consts" in params:
            n_consts, n_carry = params["num_consts"], params["num_carry"]
        else:
            n_consts, n_carry = map(len, params["ft_in"].unpack()[:2])
        consts, carry = ins[:n_consts], ins[n_consts : n_consts + n_carry]
        xs, rows = ins[n_consts + n_carry :], range(params["length"])
        ys: list[list[Value]] = []
        for i in reversed(rows) if params["reverse"] else rows:
            row = [self._moved(lines, [x], lambda a, i=i: a[i]) for x in xs]
            outs = self._closed(params["jaxpr"], [*consts, *carry, *row], lines)
            carry = outs[:n_carry]
            ys.append(outs[n_carry:])
        if params["reverse"]:
            ys.reverse()
        stacked = [
            self._moved(lines, column, lambda *rows: jnp.stack(rows))
            for column in zip(*ys, strict=True)
        ]
        return [*carry, *stacked]

    def _while(self, eqn: Any, ins: list[Value], lines: tuple[int, ...]) -> list[Value]:
        params = eqn.params
        n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
        test, body = ins[:n_test], ins[n_test : n_test + n_body]
        carry = ins[n_test + n_body :]
        while True:
            (running,) = self._closed(params["cond_jaxpr"], [*test, *carry], lines)
            if not running.array.any():
                return carry
            new = self._closed(params["body_jaxpr"], [*body, *carry], lines)
            if running.array.ndim == 0:
                carry = new
                continue
            carry = [
                self._moved(lines, [running, n, o], _where_running)
                for n, o in zip(new, carry, strict=True)
            ]

    def _moved(
        self, lines: tuple[int, ...], ins: Sequence[Value], move: Callable[..., Any]
    ) -> Value:
        (out,) = self._ran("", lines, ins, lambda *a: [move(*map(jnp.asarray, a))])
        return out


def _where_running(running: Any, new: Any, old: Any) -> Any:
    """A while under vmap: elements that are done keep their values."""
    return jnp.where(
        running.reshape(running.shape + (1,) * (new.ndim - running.ndim)), new, old
    )
