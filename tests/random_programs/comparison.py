"""One program run plain and in a region, and what differs from the truth."""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxdbg
from jaxdbg.records import Finding, Origin, Report, Turn
from tests.random_programs.oracle import (
    Birth,
    Slice,
    births_anywhere,
    is_bad,
    slice_of,
)
from tests.random_programs.programs import HEAD, Program
from tests.random_programs.tape import Tape

MODES: dict[str, dict[str, bool]] = {
    "record": {},
    "async": {"async_": True},
    "every_op": {"every_op": True},
}

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a region said or did that the oracle does not.

    Attributes:
        kind: "bits", "missed", "false alarm", "not a birth", "later birth", "notices".
        certain: whether the region put it as certain.
    """

    kind: str
    text: str
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a program that ran plainly.

    Attributes:
        results: of the compiled program.
        sliced: the backward slice of its bad results.
        everywhere: the births of the whole program, those that are thrown away, too.
        is_reproduced: whether operation by operation the same elements are bad.
        placed: whether an argument or a constant was bad before anything ran.
    """

    results: Sequence[Any]
    sliced: Slice
    everywhere: Sequence[Birth]
    is_reproduced: bool
    placed: bool

    @property
    def must_fail(self) -> bool:
        """Whether a result is bad because of what the program did."""
        if not any(is_bad(r).any() for r in self.results):
            return False
        if not self.is_reproduced:
            return not self.placed
        return bool(self.sliced.births) or 2 in self.sliced.came.values()

    @property
    def must_pass(self) -> bool:
        """Whether nothing bad is in the results but what was so from the start."""
        if not any(is_bad(r).any() for r in self.results):
            return True
        return (
            self.is_reproduced
            and not self.everywhere
            and not any(self.sliced.came.values())
            and not self.sliced.placed
        )


def differences(program: Program, mode: str) -> list[Difference]:
    """What differs from the truth when a program runs in a region."""
    file = f"/random_programs/{next(_numbers)}.py"
    text = program.source
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    try:
        return list(_compared(program, mode, file))
    finally:
        del linecache.cache[file]


def _compared(program: Program, mode: str, file: str) -> list[Difference]:
    args = _arguments(program)
    plain, checked = (
        jax.jit(_function(program, file)),
        jax.jit(_function(program, file)),
    )
    known = truth(_function(program, file), args, plain(*args), file)
    with jaxdbg.checked(record=True, **MODES[mode]) as region:
        results = checked(*args)
    report = region.report
    found = [Difference("notices", n) for n in report.notices]
    if mode != "every_op" and _bits(results) != _bits(known.results):
        found.append(Difference("bits", _told(known.results, results)))
    judge = _of_operations if mode == "every_op" else _of_results
    return [*found, *judge(known, report)]


def truth(
    function: Callable[..., Any], args: Sequence[Any], results: Any, file: str
) -> Truth:
    """What the oracle knows of a call."""
    closed = jax.make_jaxpr(function)(*args)
    tape = Tape(closed, jax.tree.leaves(args), file)
    pairs = list(zip(results, tape.results, strict=True))
    consts = [*closed.consts, *args]
    return Truth(
        results=results,
        sliced=slice_of(tape, tape.results),
        everywhere=births_anywhere(tape),
        is_reproduced=all(_same_kinds(r, v.array) for r, v in pairs),
        placed=any(is_bad(c).any() for c in consts) or "inf" in str(closed),
    )


def _arguments(program: Program) -> list[Any]:
    m = np.array(program.m, np.float32).reshape(4, 4)
    x, y = np.array(program.x, np.float32), np.array(program.y, np.float32)
    return [x, y, m, np.array(program.n, np.int32)]


def _function(program: Program, file: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"__name__": "random_program"}
    exec(compile(program.source, file, "exec"), space)
    function: Callable[..., Any] = space["f"]
    return function


def _bits(results: Any) -> list[bytes]:
    return [np.asarray(r).tobytes() for r in results]


def _told(plain: Any, checked: Any) -> str:
    pairs = zip(plain, checked, strict=True)
    return "; ".join(f"{p} and {c}" for p, c in pairs if _bits([p]) != _bits([c]))


def _same_kinds(a: Any, b: Any) -> bool:
    bad = is_bad(a)
    return np.array_equal(bad, is_bad(b)) and np.array_equal(
        np.asarray(a)[bad], np.asarray(b)[bad], equal_nan=bad.any()
    )


# -- what is said ----------------------------------------------------------------------


def _of_results(known: Truth, report: Report) -> list[Difference]:
    findings = [f for f in report.findings if f.kind in ("nan", "inf")]
    if not findings:
        if known.must_fail and report.ok:
            return [Difference("missed", _births(known.sliced.births))]
        return []
    if known.must_pass:
        return [Difference("false alarm", findings[0].message)]
    if not known.is_reproduced:
        return []
    # A NaN may be placed where a bad value was found: jnp.median does so.
    births = known.sliced.births or known.everywhere
    return [d for f in findings for d in _of_origin(f, births)]


def _of_operations(known: Truth, report: Report) -> list[Difference]:
    births = [b for b in known.everywhere if b.kind != "-inf"]
    findings = [f for f in report.findings if f.kind in ("nan", "inf")]
    if not findings and known.is_reproduced:
        if (births or known.must_fail) and report.ok:
            return [Difference("missed", _births(births))]
        return []
    if not known.everywhere and known.must_pass:
        return [Difference("false alarm", f.message) for f in findings]
    return []


def _of_origin(finding: Finding, births: Sequence[Birth]) -> list[Difference]:
    origin = finding.origin
    if origin is None or origin.verdict != "born":
        return []
    told = f"{_named(origin)}; truth: {_births(births)}\n{finding.message}"
    certain = not (origin.notes or origin.candidate)
    fitting = [b for b in births if _is_birth(origin, b)]
    if not fitting:
        return [Difference("not a birth", told, certain)]
    if not any(b.operation.number <= _first(origin, births) for b in fitting):
        return [Difference("later birth", told, certain)]
    return []


def _first(origin: Origin, births: Sequence[Birth]) -> int:
    """When the birth ran that is to be named: the earliest, but for two rules.

    The forward pass comes before the backward pass, and a -Inf after what is worse.
    """
    backward = [o for o in origin.others if o.direction == "backward"]
    first = [b for b in births if not any(_is_birth(o, b) for o in backward)]
    worst = [b for b in first if b.kind != "-inf"]
    return min(b.operation.number for b in worst or first or births)


def _is_birth(origin: Origin | Turn, birth: Birth) -> bool:
    """Whether both are one operation; in a rule it has a line of its own."""
    places = [origin.source, getattr(origin, "forward_source", None)]
    lines = {place.line for place in places if place is not None}
    operation = birth.operation
    same = origin.primitive == operation.primitive and origin.kind == birth.kind
    rule = any(line <= HEAD.count("\n") for line in lines)
    return same and (not lines or rule or not lines.isdisjoint(operation.lines))


def _named(origin: Origin) -> str:
    line = origin.source.line if origin.source is not None else None
    return f"{origin.kind} in {origin.primitive}, line {line}"


def _births(births: Sequence[Birth]) -> str:
    return ", ".join(map(str, births)) or "none"
