"""Was a bad value born by arithmetic, or was it placed, or did it come in?

The failing call is evaluated once more, one equation at a time, with its own inputs.
Each value carries, for each kind of badness it holds (NaN, +Inf, -Inf), where that came
from. An equation whose output holds a kind that none of its inputs holds gave birth to
it, unless all it does is place values (the start of a running maximum, say). What only
moves or spreads keeps the origin it had.

Control flow is entered where its outputs are bad, and evaluated as a whole where they
are good. An equation that cannot be entered is opaque: its outputs are what it says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxdbg.hooks._compat import is_literal, jaxpr_as_fun
from jaxdbg.jaxprs import (
    BODIES,
    REF,
    bind_equation,
    can_be_bad,
    keep_running,
    replayable,
    scan_layout,
)
from jaxdbg.origins.patience import OutOfTime as OutOfTime, Patience as Patience

KINDS = ("nan", "posinf", "neginf")

PLACING = frozenset(
    {
        "argmax",
        "argmin",
        "bitcast_convert_type",
        "cummax",
        "cummin",
        "iota",
        "reduce_max",
        "reduce_min",
        "reduce_window_max",
        "reduce_window_min",
        "rng_bit_generator",
        "random_bits",
    }
)
"""Primitives that may put an Inf where there was none, without any arithmetic."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's code an equation stands.

    Attributes:
        file, line: of the user's frame nearest to the operation.
        primitive: the operation.
        loop: for each loop around it, from outside in, (iteration from 0, length or
            -1 for a while loop).
    """

    primitive: str
    file: str = ""
    line: int = 0
    loop: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a kind of badness in one value comes from.

    Attributes:
        how: "born" by arithmetic, "placed" by a literal or constant, or "came in"
            through an argument.
        kind: "nan", "posinf" or "neginf", at the place of origin.
        place: the equation that gave birth to it; None unless born.
        argument: the flat argument it came in through; -1 unless it came in.
        cause: where a NaN was born from an Inf, the origin of that Inf.
    """

    how: str
    kind: str
    place: Place | None = None
    argument: int = -1
    cause: Origin | None = None


_RANK = {"born": 2, "came in": 1, "placed": 0}

Origins = dict[str, Origin]
"""For each kind of badness that a value holds, its origin."""


@dataclass(slots=True)
class _Value:
    array: Any
    origins: Origins


class _Found(Exception):
    def __init__(self, origin: Origin):
        super().__init__()
        self.origin = origin


def trace_back(
    jaxpr: Any,
    args: Sequence[Any],
    bad_outputs: Sequence[int],
    is_user_file: Callable[[str], bool],
    patience: Patience | None = None,
) -> dict[int, Origins]:
    """The origins of the bad values in some outputs of a call.

    Outputs are taken one after the other, the one that needs the fewest equations
    first, and the search ends with the first that holds a value that was born.

    Arguments:
        jaxpr: the closed jaxpr of the call.
        args: its flat arguments, as they were before the call.
        bad_outputs: indices of outputs that hold NaN or Inf.
        is_user_file: whether a source file is the user's.
        patience: how long this may take; a minute by default.

    Returns:
        Origins by output; an output whose second evaluation is finite has none.

    Raises:
        OutOfTime: the patience is at its end.
        NotReplayable: it cannot be evaluated again without the user noticing.
    """
    jaxpr = replayable(jaxpr)
    found: dict[int, Origins] = {}
    evaluation = _Evaluation(is_user_file, patience or Patience())
    needs = [(needed_equations(jaxpr.jaxpr, [i]), i) for i in bad_outputs]
    for needed, i in sorted(needs, key=lambda n: (len(n[0]), n[1])):
        inputs = [_argument(a, n) for n, a in enumerate(args)]
        outs = evaluation.closed(jaxpr, inputs, (), frozenset(needed))
        found[i] = outs[i].origins if outs[i] is not None else {}
        if any(o.how == "born" for o in found[i].values()):
            break
    return found


def first_birth(
    jaxpr: Any,
    args: Sequence[Any],
    is_user_file: Callable[[str], bool],
    patience: Patience | None = None,
) -> Origin | None:
    """The first NaN or +Inf that any operation of a call gives birth to, or None.

    Unlike `trace_back` this also finds what never reaches an output. Arguments and
    errors are those of `trace_back`.
    """
    jaxpr = replayable(jaxpr)
    evaluation = _Evaluation(is_user_file, patience or Patience(), any_birth=True)
    try:
        evaluation.closed(jaxpr, [_argument(a, n) for n, a in enumerate(args)], ())
    except _Found as found:
        return found.origin
    return None


def needed_equations(jaxpr: Any, outputs: Sequence[int]) -> list[int]:
    """Indices of the equations that some outputs of a jaxpr depend on."""
    wanted = {id(jaxpr.outvars[i]) for i in outputs}
    needed = []
    for n, eqn in reversed(list(enumerate(jaxpr.eqns))):
        # What has an effect may write to a Ref that is read further on.
        if eqn.effects or any(id(v) in wanted for v in eqn.outvars):
            needed.append(n)
            wanted |= {id(v) for v in eqn.invars if not is_literal(v)}
    return needed


def kinds_in(array: Any) -> tuple[str, ...]:
    """Which of `KINDS` an array holds; none for integers, keys and the like."""
    if isinstance(array, float | complex):  # jit passes Python scalars as they are
        array = np.asarray(array)
    if not can_be_bad(array):
        return ()
    if isinstance(array, REF):
        array = array[...]
    host = np.asarray(array)
    if np.isfinite(host).all():
        return ()
    parts = (host.real, host.imag) if np.iscomplexobj(host) else (host,)
    tests: tuple[Any, ...] = (np.isnan, np.isposinf, np.isneginf)
    if host.dtype.kind == "V":  # ml_dtypes know isnan and isinf only
        parts = (host.astype(np.float32),)
    return tuple(
        kind
        for kind, test in zip(KINDS, tests, strict=True)
        if any(test(p).any() for p in parts)
    )


def _argument(array: Any, n: int) -> _Value:
    origins = {k: Origin("came in", k, argument=n) for k in kinds_in(array)}
    return _Value(array, origins)


def _placed(array: Any) -> _Value:
    return _Value(array, {k: Origin("placed", k) for k in kinds_in(array)})


class _Evaluation:
    """Evaluates jaxprs with values that know where their badness comes from."""

    def __init__(
        self,
        is_user_file: Callable[[str], bool],
        patience: Patience,
        any_birth: bool = False,
    ):
        self._is_user_file = is_user_file
        self._patience = patience
        self._any_birth = any_birth

    def closed(
        self,
        jaxpr: Any,
        inputs: Sequence[_Value],
        loop: tuple[tuple[int, int], ...],
        only: frozenset[int] | None = None,
        outer: Place | None = None,
    ) -> list[Any]:
        """The outputs of a closed jaxpr; of those that `only` leaves out, None."""
        body = getattr(jaxpr, "jaxpr", jaxpr)
        consts = [_placed(c) for c in getattr(jaxpr, "consts", ())]
        env: dict[Any, _Value] = {}
        env.update(zip(body.constvars, consts, strict=True))
        env.update(zip(body.invars, inputs, strict=True))
        last = _last_uses(body)
        for n, eqn in enumerate(body.eqns):
            if only is None or n in only:
                ins = [_read(env, v) for v in eqn.invars]
                outs = self._equation(eqn, ins, loop, outer)
                env.update(zip(eqn.outvars, outs, strict=True))
            for var in last.get(n, ()):  # or all activations would be held at once
                env.pop(var, None)
        return [_read(env, v) if is_literal(v) else env.get(v) for v in body.outvars]

    def _equation(
        self,
        eqn: Any,
        ins: list[_Value],
        loop: tuple[tuple[int, int], ...],
        outer: Place | None,
    ) -> list[_Value]:
        self._patience.tick()
        place = self._place(eqn, loop, outer)
        name = eqn.primitive.name
        if name in BODIES:
            return self.closed(eqn.params[BODIES[name]], ins, loop, outer=place)
        if name == "cond":
            branches = eqn.params["branches"]
            taken = branches[int(np.asarray(ins[0].array))]
            return self.closed(taken, ins[1:], loop, outer=place)
        outs = bind_equation(eqn, [v.array for v in ins])
        _written(ins)
        kinds = [kinds_in(o) for o in outs]
        if name in ("scan", "while") and self._worth_entering(eqn, kinds):
            enter = self._scan if name == "scan" else self._while
            return enter(eqn.params, ins, loop, place)
        values = [
            _Value(o, {k: _origin(k, ins, place) for k in ks})
            for o, ks in zip(outs, kinds, strict=True)
        ]
        if self._any_birth:
            _stop_at_birth(values)
        return values

    def _worth_entering(self, eqn: Any, kinds: list[tuple[str, ...]]) -> bool:
        return eqn.params.get("length") != 0 and (any(kinds) or self._any_birth)

    def _scan(
        self,
        params: dict[str, Any],
        ins: list[_Value],
        loop: tuple[tuple[int, int], ...],
        place: Place,
    ) -> list[_Value]:
        n_consts, n_carry = scan_layout(params)
        length = params["length"]
        consts, carry = ins[:n_consts], ins[n_consts : n_consts + n_carry]
        xs = ins[n_consts + n_carry :]
        rows: list[list[_Value]] = []
        steps = range(length - 1, -1, -1) if params["reverse"] else range(length)
        for i in steps:
            sliced = [_slice(x, i) for x in xs]
            outs = self.closed(
                params["jaxpr"],
                [*consts, *carry, *sliced],
                (*loop, (i, length)),
                outer=place,
            )
            carry, ys = outs[:n_carry], outs[n_carry:]
            rows.append(ys)
        if params["reverse"]:
            rows.reverse()
        return [*carry, *map(_stack, zip(*rows, strict=True))]

    def _while(
        self,
        params: dict[str, Any],
        ins: list[_Value],
        loop: tuple[tuple[int, int], ...],
        place: Place,
    ) -> list[_Value]:
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        for_cond, for_body = ins[:n_cond], ins[n_cond : n_cond + n_body]
        carry = ins[n_cond + n_body :]
        cond = jaxpr_as_fun(params["cond_jaxpr"])
        for i in _count():
            arrays = [v.array for v in (*for_cond, *carry)]
            running = np.asarray(cond(*arrays)[0])
            if not running.any():
                return carry
            new = self.closed(
                params["body_jaxpr"],
                [*for_body, *carry],
                (*loop, (i, -1)),
                outer=place,
            )
            # With a predicate for each batch element, those that are done stay.
            carry = [_where(running, n, o) for n, o in zip(new, carry, strict=True)]
        raise AssertionError("unreachable")

    def _place(
        self, eqn: Any, loop: tuple[tuple[int, int], ...], outer: Place | None
    ) -> Place:
        here = Place(eqn.primitive.name, loop=loop)
        frame = user_frame(eqn.source_info.traceback, self._is_user_file)
        if frame is not None:
            return replace(here, file=frame[0], line=frame[1])
        # Inside a jitted helper of a library, frames end at its boundary: the line
        # that counts is the one that called the helper.
        if outer is not None:
            return replace(here, file=outer.file, line=outer.line)
        return here


def user_frame(
    traceback: Any, is_user_file: Callable[[str], bool]
) -> tuple[str, int] | None:
    """File and line of the innermost frame in the user's code, or None."""
    for frame in traceback.frames if traceback is not None else ():
        if is_user_file(frame.file_name):
            return os.fspath(frame.file_name), int(frame.line_num)
    return None


def _count() -> Iterator[int]:
    i = 0
    while True:
        yield i
        i += 1


def _last_uses(body: Any) -> dict[int, list[Any]]:
    """For each equation, the variables that no later one needs."""
    uses = {
        v: n for n, e in enumerate(body.eqns) for v in e.invars if not is_literal(v)
    }
    kept = {v for v in body.outvars if not is_literal(v)}
    last: dict[int, list[Any]] = {}
    for var, n in uses.items():
        if var not in kept:
            last.setdefault(n, []).append(var)
    return last


def _read(env: dict[Any, _Value], atom: Any) -> _Value:
    return _placed(atom.val) if is_literal(atom) else env[atom]


def _written(ins: Sequence[_Value]) -> None:
    """What was written to a Ref may be read from it by a later equation."""
    for ref in (v for v in ins if isinstance(v.array, REF)):
        for other in ins:
            ref.origins = other.origins | ref.origins


def _origin(kind: str, ins: Sequence[_Value], place: Place) -> Origin:
    same = [v.origins[kind] for v in ins if kind in v.origins]
    if same:
        return max(same, key=lambda o: _RANK[o.how])
    other = [o for v in ins for o in v.origins.values()]
    cause = max(other, key=lambda o: _RANK[o.how], default=None)
    if kind == "nan":
        return Origin("born", kind, place, cause=cause)
    if cause is not None:  # an Inf that changed its sign, or that a NaN turned into
        return cause
    if place.primitive in PLACING:
        return Origin("placed", kind)
    return Origin("born", kind, place)


def _stop_at_birth(values: Sequence[_Value]) -> None:
    for origin in (o for v in values for o in v.origins.values()):
        if origin.how == "born" and origin.kind != "neginf":
            raise _Found(origin)


def _slice(value: _Value, i: int) -> _Value:
    row = value.array[i]
    return _Value(row, {k: value.origins[k] for k in kinds_in(row)})


def _stack(rows: Sequence[_Value]) -> _Value:
    origins: Origins = {}
    for row in rows:
        for kind, origin in row.origins.items():
            origins.setdefault(kind, origin)
    return _Value(jax.numpy.stack([r.array for r in rows]), origins)


def _where(running: Any, new: _Value, old: _Value) -> _Value:
    array = keep_running(running, new.array, old.array)
    both = old.origins | new.origins
    return _Value(array, {k: both[k] for k in kinds_in(array) if k in both})
