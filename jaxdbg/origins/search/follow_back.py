"""Follows non-finite elements back through the equations that were recorded.

All elements are followed at once, each only along the elements it was made from
(`dependence`). A bad element made from no bad one was born there. The ancestors of a
NaN are the NaNs it was made from; the Infs that a NaN was born from are followed on
request (`ends_of_infs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.arrays import can_be_non_finite
from jaxdbg.jax_internals.jaxprs.effects import NotReplayable
from jaxdbg.jax_internals.jaxprs.evaluate import Order
from jaxdbg.jax_internals.jaxprs.forms import shape_of
from jaxdbg.jax_internals.jaxprs.higher_order import Loop
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.names import is_literal
from jaxdbg.jax_internals.primitives import PLACES_INF, PLACES_NAN, PRODUCTS
from jaxdbg.origins.bad_elements import (
    INF,
    KINDS,
    NAN,
    NEG_INF,
    Codes,
    Mask,
    among,
    distinct,
)
from jaxdbg.origins.found import Element
from jaxdbg.origins.search.dependence import (
    Link,
    link_of_choice,
    links,
    links_of_a_test,
)
from jaxdbg.origins.search.evaluate import Inner, Run

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Atom, JaxprEqn, Var

_MADE_FROM = {
    NAN: ((NAN,),),
    INF: ((INF,), (NEG_INF,), (NAN,)),
    NEG_INF: ((NEG_INF,), (INF,), (NAN,)),
}
"""For each code the codes it may be made from, the likeliest first."""

DIRECT, MIXED = np.uint8(1), np.uint8(2)
"""Bit flags of a followed element: reached one to one, or through an operation that
mixes elements (matmul, sum)."""

MAX_FACTORS = 4
"""How many products of the forward pass are noted: a mask multiplies near the end."""

Wanted = np.ndarray[Any, np.dtype[np.uint8]]
"""For each element of an array its flags; 0 if it is not followed."""


@dataclass(frozen=True, slots=True)
class BornElements:
    """Elements of a result that are bad and were made from no bad element."""

    run: Run
    n: int
    output: int
    code: int
    elements: Mask

    @property
    def order(self) -> Order:
        """When the equation was evaluated."""
        return (*self.run.order, self.n)

    def is_at(self, site: Site) -> bool:
        """Whether this is the equation of a site, in the same steps of its loops."""
        return (self.run.site(self.n).path, self.run.loop) == (site.path, site.loop)


@dataclass(frozen=True, slots=True)
class PlacedElements:
    """A literal or a constant that is bad, as an equation takes it.

    Attributes:
        run, n: the equation that takes it, or that puts its own value; of a result
            that is itself a literal there is none, and `n` is -1.
        code: which kind it is.
        mixed: whether it was mixed with other elements on its way.
    """

    run: Run
    n: int
    code: int
    mixed: bool

    @property
    def order(self) -> Order:
        """When the equation was evaluated."""
        return (*self.run.order, self.n)


@dataclass(slots=True)
class Ends:
    """Where the elements come from that were followed back.

    Attributes:
        births: operations that they were born in.
        came: by flat argument, the elements that they came in through.
        placed: the literals and constants that they are.
        opaque: primitives through which only whole arrays could be followed.
        product: the earliest product of the backward pass that a NaN went through.
        factors: the last products, element by element, of the forward pass.
    """

    births: list[BornElements] = field(default_factory=list)
    came: dict[int, tuple[Wanted, Codes]] = field(default_factory=dict)
    placed: list[PlacedElements] = field(default_factory=list)
    opaque: set[str] = field(default_factory=set)
    product: BornElements | None = None
    factors: list[BornElements] = field(default_factory=list)


def ends_of(root: Run, output: int, elements: Mask, tests: bool = False) -> Ends:
    """Where some bad elements of one output of a call come from.

    Arguments:
        root: the run of the call.
        output: index of the output.
        elements: of the output.
        tests: if a select chose a NaN, also follow its predicate. `jnp.median` places a
            NaN where it has found one.
    """
    return ends_of_outputs(root, {output: elements}, tests)


def ends_of_outputs(
    root: Run, elements: Mapping[int, Mask], tests: bool = False
) -> Ends:
    """Where bad elements of several outputs come from, all taken together."""
    back = _Back(tests=tests)
    wanted: list[Wanted | None] = [None] * len(root.body.outvars)
    for output, mask in elements.items():
        wanted[output] = mask.astype(np.uint8) * DIRECT
    back.arrive(root, back.through(root, wanted))
    return back.met


def ends_of_infs(root: Run, born: BornElements, element: tuple[int, ...]) -> Ends:
    """Where the Infs come from that one NaN was born from."""
    back = _Back(born.order, element, born.output)
    back.arrive(root, back.through(root, [None] * len(root.body.outvars)))
    return back.met


def ends_of_value(run: Run, n: int, var: Var, root: Run) -> Ends:
    """Where the bad elements of a value come from that was there at an equation.

    Arguments:
        run: in which the equation is.
        n: its index.
        var: the value.
        root: the run of the call.
    """
    codes = run.bad[var]
    wanted = (codes != 0).astype(np.uint8) * DIRECT
    back = _Back((*run.order, n), value=(var, wanted))
    back.arrive(root, back.through(root, [None] * len(root.body.outvars)))
    return back.met


def born_at(run: Run, n: int) -> list[BornElements]:
    """What was born at one equation."""
    eqn, back = run.eqns[n], _Back()
    wanted = [
        None if c is None else (c != 0).astype(np.uint8) * DIRECT
        for c in map(run.codes, eqn.outvars)
    ]
    back.equation(run, n, wanted)
    return back.met.births


class _Back:
    """Follows elements back through runs.

    Arguments:
        start: the order of an equation whose Infs are to be followed, too.
        element, output: of its result.
        tests: whether the predicates of selects are followed.
        value: a variable that is there at the equation, and its elements to follow.
    """

    def __init__(
        self,
        start: Order = (),
        element: Element = None,
        output: int = 0,
        tests: bool = False,
        value: tuple[Var, Wanted] | None = None,
    ):
        self.met = Ends()
        self._tests = tests
        self._start = start
        self._element = element
        self._output = output
        self._value = value

    def arrive(self, root: Run, wanted: Sequence[Wanted | None]) -> None:
        """Notes the elements of the arguments that were reached."""
        for n, (var, mask) in enumerate(zip(root.body.invars, wanted, strict=True)):
            codes = root.bad.get(var)
            if mask is not None and codes is not None:
                self.met.came[n] = mask, codes

    def through(self, run: Run, wanted: Sequence[Wanted | None]) -> list[Wanted | None]:
        """From elements of the outputs of a run to those of its inputs."""
        body = run.body
        want: dict[Var, Wanted] = {}
        for atom, mask in zip(body.outvars, wanted, strict=True):
            self._add(run, -1, want, atom, mask)
        for n in range(len(body.eqns) - 1, -1, -1):
            eqn = body.eqns[n]
            outs = [want.pop(v, None) for v in eqn.outvars]
            if all(o is None for o in outs) and not self._is_on_the_way(run, n):
                continue
            if self._value is not None and (*run.order, n) == self._start:
                self._add(run, n, want, *self._value)
                continue
            if n in run.inner:
                ins = self._inside(eqn, run.inner[n], outs)
            elif n in run.records:
                ins = self.equation(run, n, outs)
            else:
                ins = self._test(eqn, outs)
            for atom, mask in zip(eqn.invars, ins, strict=True):
                self._add(run, n, want, atom, mask)
        return [want.get(v) for v in body.invars]

    def _nothing_to_do(self, run: Run, wanted: Sequence[Wanted | None]) -> bool:
        on_the_way = bool(self._start) and self._start[: len(run.order)] == run.order
        return not on_the_way and all(w is None for w in wanted)

    def _is_on_the_way(self, run: Run, n: int) -> bool:
        here = (*run.order, n)
        return bool(self._start) and self._start[: len(here)] == here

    def _add(
        self,
        run: Run,
        n: int,
        want: dict[Var, Wanted],
        atom: Atom,
        mask: Wanted | None,
    ) -> None:
        """Follows elements of an operand of the equation `n`; -1 for a result."""
        if mask is None:
            return
        codes = run.codes(atom)
        if codes is not None:
            _refuse_refs(atom)
            mask = mask * among(codes, KINDS)
        elif not self._tests or can_be_non_finite(atom.aval):
            return
        if not mask.any():
            return
        if is_literal(atom) or atom in run.body.constvars:
            self._place(run, n, codes, mask)
        else:
            want[atom] = want[atom] | mask if atom in want else mask

    def _place(self, run: Run, n: int, codes: Codes | None, mask: Wanted) -> None:
        for code in distinct(codes):
            here = mask[codes == code]
            if here.any():
                mixed = bool((here & MIXED).any())
                self.met.placed.append(PlacedElements(run, n, code, mixed))

    def _test(
        self, eqn: JaxprEqn, outs: Sequence[Wanted | None]
    ) -> list[Wanted | None]:
        """From a result that cannot be bad (a comparison) to its operands."""
        ins: list[Wanted | None] = [None] * len(eqn.invars)
        for output, mask in enumerate(outs):
            if mask is not None:
                for i, link in enumerate(links_of_a_test(eqn, output)):
                    ins[i] = _both(ins[i], _led_back(link, NAN, mask))
        return ins

    # -- one equation ------------------------------------------------------------------

    def equation(
        self, run: Run, n: int, outs: Sequence[Wanted | None]
    ) -> list[Wanted | None]:
        """From elements of the results of an equation to those of its operands."""
        eqn = run.eqns[n]
        ins: list[Wanted | None] = [None] * len(eqn.invars)
        for output, mask in enumerate(outs):
            here = (*run.order, n) == self._start and output == self._output
            if mask is None and not here:
                continue
            step = _Step(run, n, output, ins, self.met)
            if mask is not None and eqn.outvars[output] in run.bad:
                codes = run.bad[eqn.outvars[output]]
                held = distinct(codes)
                for code in held:
                    some = mask if len(held) == 1 else mask * (codes == code)
                    if some.any():
                        step.made_from(code, some)
                if self._tests and eqn.primitive.name == "select_n" and NAN in held:
                    choice = _led_back(link_of_choice(eqn), NAN, mask * (codes == NAN))
                    ins[0] = _both(ins[0], choice)
            if here:
                alone = np.zeros(shape_of(eqn.outvars[output]), np.uint8)
                alone[self._element] = MIXED
                step.born_from_infs(alone)
        return ins

    # -- what is inside of an equation ------------------------------------------------

    def _inside(
        self, eqn: JaxprEqn, inner: Inner, outs: list[Wanted | None]
    ) -> list[Wanted | None]:
        if isinstance(inner.structure, Loop):
            body = inner.structure.step
            masks = self._loop(inner.structure, inner.runs, outs)
        else:
            (run,) = inner.runs
            _, which = run.path[-1]
            body = inner.structure.bodies[which]
            masks = self.through(run, outs)
        ins: list[Wanted | None] = [None] * len(eqn.invars)
        for i, mask in zip(body.operands, masks, strict=True):
            ins[i] = mask
        return ins

    def _loop(
        self, loop: Loop, runs: Sequence[Run], outs: list[Wanted | None]
    ) -> list[Wanted | None]:
        """From the results of a loop to the inputs of its first step, and all rows."""
        n_rows = len(loop.step.operands) - loop.n_consts - loop.n_carry
        consts: list[Wanted | None] = [None] * loop.n_consts
        carry, ys = outs[: loop.n_carry], outs[loop.n_carry :]
        xs: list[Wanted | None] = [None] * n_rows
        for i in range(len(runs) - 1, -1, -1):
            run, row = runs[i], loop.row(i)
            if self._nothing_to_do(run, [*carry, *ys]):
                continue
            through = [_masked(c, run.running) for c in carry]
            rows = [None if y is None else y[row] for y in ys]
            of_consts, new, of_rows = loop.inputs(self.through(run, [*through, *rows]))
            consts = list(map(_both, consts, of_consts))
            stayed = [_stayed(c, run.running) for c in carry]
            carry = list(map(_both, stayed, new))
            xs = [_with_row(x, m, row, loop) for x, m in zip(xs, of_rows, strict=True)]
        return [*consts, *carry, *xs]


@dataclass(slots=True)
class _Step:
    """One output of one equation, and what is followed of its operands."""

    run: Run
    n: int
    output: int
    ins: list[Wanted | None]
    met: Ends

    def made_from(self, code: int, wanted: Wanted) -> None:
        """Follows elements of one code; those that have no bad ancestor were born."""
        pending = wanted != 0
        if code == NAN and self._is_product():
            self._passed(pending)
        elif code == NAN and self._is_factor():
            here = BornElements(self.run, self.n, self.output, NAN, pending)
            self.met.factors.append(here)
        for codes in _MADE_FROM[code]:
            pending = pending & ~self._followed(code, codes, wanted, pending)
            if not pending.any():
                return
        self._born(code, pending, wanted)

    def _is_factor(self) -> bool:
        eqn = self.run.eqns[self.n]
        is_product = eqn.primitive.name == "mul" and not any(
            map(is_literal, eqn.invars)
        )
        return is_product and len(self.met.factors) < MAX_FACTORS

    def _is_product(self) -> bool:
        eqn = self.run.eqns[self.n]
        around = (eqn, *self.run.outer)
        return eqn.primitive.name in PRODUCTS and any(
            "transpose" in source_info.transforms(e) for e in around
        )

    def _passed(self, elements: Mask) -> None:
        """Notes the equation, where it comes before those that are noted."""
        here = BornElements(self.run, self.n, self.output, NAN, elements)
        known = self.met.product
        if known is None or here.order < known.order:
            self.met.product = here

    def born_from_infs(self, wanted: Wanted) -> None:
        """Follows all Infs that one element was made from."""
        self._followed(NAN, (INF, NEG_INF), wanted, wanted != 0)

    def _followed(
        self, code: int, codes: tuple[int, ...], wanted: Wanted, pending: Mask
    ) -> Mask:
        record = self.run.records[self.n]
        eqn = self.run.eqns[self.n]
        hits = np.zeros(pending.shape, bool)
        held = [not distinct(c).isdisjoint(codes) for c in record.codes]
        if not any(held):
            return hits
        all_links = links(eqn, record.operands, self.output)
        for i, (link, has) in enumerate(zip(all_links, record.codes, strict=True)):
            if link is None or has is None or not held[i]:
                continue
            source = among(has, codes)
            hit = link.forward(source) & pending
            if not hit.any():
                continue
            hits = hits | hit
            found = _led_back(link, code, wanted * hit)
            self.ins[i] = _both(self.ins[i], found * source)
            if not link.exact:
                self.met.opaque.add(eqn.primitive.name)
        return hits

    def _born(self, code: int, elements: Mask, wanted: Wanted) -> None:
        if _is_placed(self.run.eqns[self.n], code):
            mixed = bool((wanted[elements] & MIXED).any())
            self.met.placed.append(PlacedElements(self.run, self.n, code, mixed))
        else:
            _refuse_refs(*self.run.eqns[self.n].invars)
            born = BornElements(self.run, self.n, self.output, code, elements)
            self.met.births.append(born)


def _refuse_refs(*atoms: Atom) -> None:
    """The value of a Ref was written by an equation that its readers do not name."""
    if any(hasattr(a.aval, "inner_aval") for a in atoms):
        raise NotReplayable("it went through a Ref, which is not followed")


def _is_placed(eqn: JaxprEqn, code: int) -> bool:
    return eqn.primitive.name in (PLACES_NAN if code == NAN else PLACES_INF)


def _led_back(link: Link, code: int, wanted: Wanted) -> Wanted:
    """Over one link, from elements of a result to those of an operand."""
    found: Any = np.uint8(0)
    for bit in (DIRECT, MIXED):
        if (wanted & bit).any():
            after = MIXED if code in link.mixes else bit
            found = found | link.backward((wanted & bit) != 0) * after
    return np.asarray(found)


def _both(a: Wanted | None, b: Wanted | None) -> Wanted | None:
    if a is None or b is None:
        return b if a is None else a
    return a | b


def _masked(wanted: Wanted | None, running: Mask | None) -> Wanted | None:
    """What an iteration has made; of a while under vmap, where it still ran."""
    if wanted is None or running is None:
        return wanted
    shape = running.shape + (1,) * (wanted.ndim - running.ndim)
    made: Wanted = wanted * running.reshape(shape)
    return made if made.any() else None


def _stayed(wanted: Wanted | None, running: Mask | None) -> Wanted | None:
    """What an iteration has left as it was."""
    return None if running is None else _masked(wanted, ~running)


def _with_row(
    xs: Wanted | None, mask: Wanted | None, row: int, loop: Loop
) -> Wanted | None:
    if mask is None:
        return xs
    if xs is None:
        xs = np.zeros((loop.length or 0, *mask.shape), np.uint8)
    xs[row] = mask
    return xs
