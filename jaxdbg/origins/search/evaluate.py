"""The second evaluation of a call, and what of it is kept to look back.

One equation after the other is evaluated. Of what was good nothing is kept. Of a bad
value its codes are kept, and where a kind of badness is new its operands, too: enough
to follow the badness back, for about a byte per bad element.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxdbg.jax_internals.jaxprs import (
    BODIES,
    REF,
    bind_equation,
    can_be_bad,
    keep_running,
    scan_layout,
    without_callbacks,
)
from jaxdbg.jax_internals.names import is_literal, is_write
from jaxdbg.origins.bad_elements import Codes, Mask, codes_of, distinct
from jaxdbg.origins.found import Site
from jaxdbg.origins.search.numpy_rules import Host
from jaxdbg.origins.search.shard_map import unsharded
from jaxdbg.origins.search.time_limit import Patience

Order = tuple[int, ...]
"""When something was evaluated: for each body, from outside in, the index of the
equation and the iteration; then the index of the equation itself."""

STEPPED = 20_000
"""A loop of fewer equations in all is evaluated step by step at once; a longer one
first as a whole, and step by step only where that gave something bad."""


@dataclass(slots=True)
class Kept:
    """What went into an equation, and what came out.

    Of operands only those of integers are there, unless `whole`.
    """

    operands: list[Any]
    codes: list[Codes | None]
    outs: list[Any]
    whole: bool


@dataclass(slots=True)
class Run:
    """One evaluation of one body.

    Attributes:
        jaxpr: the body, closed or without constants.
        order: when.
        outer, path, loop, branches: as in `Site`, of the equations in it.
        bad: the codes of its variables that are bad.
        kept: by the index of an equation that gave something bad.
        inner: by the index of an equation, the runs of its body.
    """

    jaxpr: Any
    order: Order = ()
    outer: tuple[Any, ...] = ()
    path: tuple[tuple[int, int], ...] = ()
    loop: tuple[tuple[str, int, int | None], ...] = ()
    branches: tuple[tuple[int, int], ...] = ()
    bad: dict[Any, Codes] = field(default_factory=dict)
    kept: dict[int, Kept] = field(default_factory=dict)
    inner: dict[int, Inner] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        """The open jaxpr."""
        return getattr(self.jaxpr, "jaxpr", self.jaxpr)

    def site(self, n: int) -> Site:
        """Where the equation of this index stands."""
        path = (*self.path, (n, 0))
        return Site(self.body.eqns[n], self.outer, path, self.loop, self.branches)

    def codes(self, atom: Any) -> Codes | None:
        """The codes of an operand or result."""
        return codes_of(atom.val) if is_literal(atom) else self.bad.get(atom)

    def entered(
        self,
        n: int,
        jaxpr: Any,
        which: int = 0,
        iteration: int = 0,
        loop: tuple[tuple[str, int, int | None], ...] = (),
        branches: tuple[tuple[int, int], ...] = (),
    ) -> Run:
        """A run of a body of the equation of this index."""
        return Run(
            jaxpr,
            (*self.order, n, iteration),
            (*self.outer, self.body.eqns[n]),
            (*self.path, (n, which)),
            (*self.loop, *loop),
            (*self.branches, *branches),
        )


@dataclass(slots=True)
class Inner:
    """The runs of the body of one equation, in the order they ran.

    Attributes:
        kind: "call", "solve", "cond", "scan" or "while".
        running: for each run of a while loop, which elements of the batch still ran.
    """

    kind: str
    runs: list[Run] = field(default_factory=list)
    running: list[Mask] = field(default_factory=list)


@dataclass(slots=True)
class _Values:
    """Values, and beside each its codes."""

    arrays: list[Any]
    codes: list[Codes | None]

    def __getitem__(self, which: slice) -> _Values:
        return _Values(self.arrays[which], self.codes[which])

    def __add__(self, other: _Values) -> _Values:
        return _Values(self.arrays + other.arrays, self.codes + other.codes)


class Recorder:
    """Evaluates jaxprs, and keeps what was bad.

    Arguments:
        patience: how long this may take.
        keep: orders of equations whose operands are to be kept in any case.
        told: called with each equation that gave something bad.
        step_all: go into loops even where all they give is good.
        host: evaluates what it can instead of XLA.
    """

    def __init__(
        self,
        patience: Patience,
        keep: Collection[Order] = (),
        told: Callable[[Run, int], None] | None = None,
        step_all: bool = False,
        host: Host | None = None,
    ):
        self._patience = patience
        self._keep = keep
        self._told = told
        self._step_all = step_all
        self._host = host

    def record(self, run: Run, args: Sequence[Any], outputs: Collection[int]) -> None:
        """Fills in the run of a call, as far as some outputs depend on it."""
        values = _Values(list(args), [codes_of(a) for a in args])
        wanted = [i in outputs for i in range(len(run.body.outvars))]
        self._run(run, values, wanted)

    def _run(self, run: Run, inputs: _Values, wanted: Sequence[bool]) -> _Values:
        body = run.body
        env: dict[Any, Any] = {}

        def write(variables: Any, values: _Values) -> None:
            env.update(zip(variables, values.arrays, strict=True))
            for var, codes in zip(variables, values.codes, strict=True):
                if codes is not None:
                    run.bad[var] = codes

        def read(atoms: Any) -> _Values:
            arrays = [a.val if is_literal(a) else env.get(a) for a in atoms]
            return _Values(arrays, [run.codes(a) for a in atoms])

        consts = list(getattr(run.jaxpr, "consts", ()))
        write(body.constvars, _Values(consts, [codes_of(c) for c in consts]))
        write(body.invars, inputs)
        needed, last = plan(body, tuple(wanted), self._step_all)
        for n, eqn in enumerate(body.eqns):
            if n in needed:
                outs = [v in needed[n] for v in eqn.outvars]
                write(eqn.outvars, self._equation(run, n, read(eqn.invars), outs))
            for var in last.get(n, ()):
                env.pop(var, None)
        return read(body.outvars)

    def _equation(
        self, run: Run, n: int, ins: _Values, wanted: Sequence[bool]
    ) -> _Values:
        self._patience.tick()
        eqn = run.body.eqns[n]
        name = eqn.primitive.name
        if name in BODIES:
            inner = run.entered(n, eqn.params[BODIES[name]])
            run.inner[n] = Inner("call", [inner])
            return self._run(inner, ins, wanted)
        if name == "cond":
            return self._cond(run, n, ins, wanted)
        if name == "custom_linear_solve":
            return self._solve(run, n, ins, wanted)
        if name == "shard_map":
            return self._shards(run, n, ins, wanted)
        if name in ("scan", "while"):
            return self._loop(run, n, ins)
        return self._bound(run, n, ins)

    def _bound(self, run: Run, n: int, ins: _Values) -> _Values:
        eqn = run.body.eqns[n]
        outs = self._host.evaluate(eqn, ins.arrays) if self._host else None
        if outs is None:
            outs = bind_equation(without_callbacks(eqn), ins.arrays)
        values = _Values(outs, [codes_of(o) for o in outs])
        for var, array in zip(eqn.invars, ins.arrays, strict=True):
            if isinstance(array, REF):  # it may have been written to
                self._look_at(run, var, array)
        if any(c is not None for c in values.codes):
            whole = _is_new(ins.codes, values.codes) or (*run.order, n) in self._keep
            arrays = [a if whole or not can_be_bad(a) else None for a in ins.arrays]
            kept = Kept(arrays, ins.codes, outs if whole else [], whole)
            run.kept[n] = kept
            if self._told is not None:
                run.bad.update(
                    (v, c)
                    for v, c in zip(eqn.outvars, values.codes, strict=True)
                    if c is not None
                )
                run.kept[n] = Kept(ins.arrays, ins.codes, outs, True)
                self._told(run, n)
                run.kept[n] = kept
        return values

    def _look_at(self, run: Run, ref: Any, array: Any) -> None:
        codes = codes_of(array)
        if codes is not None:
            run.bad[ref] = codes

    def _cond(self, run: Run, n: int, ins: _Values, wanted: Sequence[bool]) -> _Values:
        branches = run.body.eqns[n].params["branches"]
        taken = int(np.asarray(ins.arrays[0]))
        inner = run.entered(
            n, branches[taken], taken, branches=((taken, len(branches)),)
        )
        run.inner[n] = Inner("cond", [inner])
        return self._run(inner, ins[1:], wanted)

    def _solve(self, run: Run, n: int, ins: _Values, wanted: Sequence[bool]) -> _Values:
        params = run.body.eqns[n].params
        inner = run.entered(n, params["jaxprs"].solve)
        run.inner[n] = Inner("solve", [inner])
        start, end, rest = solve_layout(params)
        return self._run(inner, ins[start:end] + ins[rest:], wanted)

    def _shards(
        self, run: Run, n: int, ins: _Values, wanted: Sequence[bool]
    ) -> _Values:
        try:
            jaxpr = unsharded(run.body.eqns[n])
        except NotImplementedError:  # vmap has no rule for it: the whole is opaque
            return self._bound(run, n, ins)
        inner = run.entered(n, jaxpr)
        run.inner[n] = Inner("call", [inner])
        values = _Values([np.asarray(a) for a in ins.arrays], ins.codes)
        return self._run(inner, values, wanted)

    def _loop(self, run: Run, n: int, ins: _Values) -> _Values:
        eqn = run.body.eqns[n]
        step = self._scan if eqn.primitive.name == "scan" else self._while
        if eqn.params.get("length") == 0:
            return self._bound(run, n, ins)
        writes = any(map(is_write, eqn.effects))  # must not be done twice
        if not self._step_all and not writes and _size(eqn) > STEPPED:
            outs = bind_equation(without_callbacks(eqn), ins.arrays)
            values = _Values(outs, [codes_of(o) for o in outs])
            if all(c is None for c in values.codes):
                return values
        return step(run, n, ins)

    def _scan(self, run: Run, n: int, ins: _Values) -> _Values:
        params = run.body.eqns[n].params
        n_consts, n_carry = scan_layout(params)
        length = params["length"]
        consts, carry = ins[:n_consts], ins[n_consts : n_consts + n_carry]
        xs = [_rows(x) for x in ins.arrays[n_consts + n_carry :]]
        inner = run.inner[n] = Inner("scan")
        rows: list[_Values] = []
        wanted = [True] * len(run.body.eqns[n].outvars)
        for i in range(length):
            at = length - 1 - i if params["reverse"] else i
            each = run.entered(n, params["jaxpr"], 0, i, loop=(("scan", i, length),))
            inner.runs.append(each)
            row = [x[at] for x in xs]
            sliced = _Values(row, [codes_of(x) for x in row])
            outs = self._run(each, consts + carry + sliced, wanted)
            carry = outs[:n_carry]
            rows.append(outs[n_carry:])
        if params["reverse"]:
            rows.reverse()
        stacked = [_stack(ys) for ys in zip(*(r.arrays for r in rows), strict=True)]
        return carry + _Values(stacked, [codes_of(y) for y in stacked])

    def _while(self, run: Run, n: int, ins: _Values) -> _Values:
        params = run.body.eqns[n].params
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        for_cond, for_body = ins[:n_cond], ins[n_cond : n_cond + n_body]
        carry = ins[n_cond + n_body :]
        inner = run.inner[n] = Inner("while")
        wanted = [True] * len(carry.arrays)
        for i in itertools.count():
            loop = (("while", i, None),)
            asked = run.entered(n, params["cond_jaxpr"], 0, i, loop)
            running = self._run(asked, for_cond + carry, [True]).arrays[0]
            still = np.asarray(running)
            if not still.any():
                return carry
            each = run.entered(n, params["body_jaxpr"], 1, i, loop)
            inner.runs.append(each)
            inner.running.append(still)
            new = self._run(each, for_body + carry, wanted)
            carry = _kept_running(still, new, carry)
        raise AssertionError("unreachable")


def solve_layout(params: dict[str, Any]) -> tuple[int, int, int]:
    """Where in a linear solve its solver's constants begin and end, and the rest."""
    lengths = params["const_lengths"]
    start = lengths.matvec + lengths.vecmat
    return start, start + lengths.solve, sum(lengths)


def plan(
    body: Any, wanted: tuple[bool, ...], everything: bool = False
) -> tuple[dict[int, set[Any]], dict[int, list[Any]]]:
    """What is to be evaluated for some outputs of a body; or all that computes.

    Returns:
        By the index of each equation that is needed, which of its outputs are; and by
        the index of an equation the variables that none after it needs.
    """
    live = {
        v for v, w in zip(body.outvars, wanted, strict=True) if w and not is_literal(v)
    }
    needed: dict[int, set[Any]] = {}
    last: dict[int, list[Any]] = {}
    seen = set(live)
    for n in range(len(body.eqns) - 1, -1, -1):
        eqn = body.eqns[n]
        if not _has_a_use(eqn):
            continue
        outs = live.intersection(eqn.outvars)
        # What writes to a Ref may be read further on.
        if not (outs or everything or any(map(is_write, eqn.effects))):
            continue
        needed[n] = outs
        variables = {v for v in eqn.invars if not is_literal(v)}
        live |= variables
        last[n] = list((variables | set(eqn.outvars) - outs) - seen)
        seen |= variables
    return needed, last


def _has_a_use(eqn: Any) -> bool:
    """Whether it gives something, or does something but talk to the world."""
    return bool(eqn.outvars) or any(map(is_write, eqn.effects))


def _is_new(before: Sequence[Codes | None], after: Sequence[Codes | None]) -> bool:
    """Whether there is a code in the results that is not in the operands."""
    held = frozenset().union(*map(distinct, before))
    return any(not distinct(codes) <= held for codes in after)


def _size(eqn: Any) -> float:
    """How many equations a loop evaluates in all; infinite where that is not known."""
    if eqn.primitive.name == "while":
        return math.inf
    return float(eqn.params["length"] * count(eqn.params["jaxpr"]))


def count(jaxpr: Any) -> int:
    """How many equations there are in a jaxpr, those inside of others, too."""
    body = getattr(jaxpr, "jaxpr", jaxpr)
    total = 0
    for eqn in body.eqns:
        name = eqn.primitive.name
        if name in BODIES:
            total += count(eqn.params[BODIES[name]])
        elif name == "cond":
            total += max(map(count, eqn.params["branches"]))
        elif name == "scan":
            total += int(eqn.params["length"]) * count(eqn.params["jaxpr"])
        else:
            total += 1
    return total


def _rows(array: Any) -> Any:
    """An array whose rows can be had without a dispatch each, where that can be."""
    if _is_key(array):
        return array
    return np.asarray(array)


def _is_key(array: Any) -> bool:
    return bool(jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key))


def _stack(rows: Sequence[Any]) -> Any:
    if _is_key(rows[0]):
        return jax.numpy.stack(rows)
    return np.stack([np.asarray(r) for r in rows])


def _kept_running(still: Mask, new: _Values, old: _Values) -> _Values:
    if still.ndim == 0:
        return new
    pairs = zip(new.arrays, old.arrays, strict=True)
    arrays = [keep_running(still, n, o) for n, o in pairs]
    return _Values(arrays, [codes_of(a) for a in arrays])
