"""What is different about a test in one mode, set beside the plain run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.peers.compilations import OURS
from tests.peers.results import Result


@dataclass(frozen=True)
class Difference:
    """One way in which a test differs from its plain run.

    Attributes:
        kind: "outcome", "values", "runs", "phases", "announced" (traces in which no
            Python ran), "left", "finding" or "notice".
    """

    test: str
    mode: str
    kind: str
    text: str


def differences(
    plain: Mapping[str, Result], other: Mapping[str, Result], mode: str
) -> list[Difference]:
    """All differences between two runs of a module, in the order of its tests."""
    ours: set[str] = set()
    found = []
    for test in {**plain, **other}:
        a, b = plain.get(test, Result(test)), other.get(test, Result(test))
        pairs = _of_test(a, b, ours)
        found += [Difference(test, mode, kind, text) for kind, text in pairs]
        ours |= {p.removeprefix(OURS) for p in b.phases if p.startswith(OURS)}
    return found


def _of_test(a: Result, b: Result, ours: set[str]) -> Iterator[tuple[str, str]]:
    yield from (("finding", f"not true: {name}") for name in b.false_findings)
    yield from (("notice", text) for text in b.notices)
    if left := [name for name in b.left if name not in a.left]:
        yield "left", ", ".join(left)
    if stopped(b) and a.outcome == "passed":
        return  # the test ends early, and rightly so
    if (a.outcome, a.error) != (b.outcome, b.error):
        yield "outcome", f"{a.outcome} {a.error!r} → {b.outcome} {b.error!r}"
        return  # what follows from that is no news
    if a.asserted != b.asserted:
        yield "values", _first_other(a.asserted, b.asserted)
    if a.ran != b.ran:
        yield "runs", _counts(a.ran, b.ran)
    theirs = _of_the_user(a.phases, b.phases, ours)
    if changed := _counts(a.phases, theirs):
        yield "announced" if _announced_only(a.phases, theirs) else "phases", changed


def stopped(result: Result) -> bool:
    """Whether the test ended with a failure that jaxdbg has found, and that is true."""
    return result.raised and bool(result.findings) and not result.false_findings


def _first_other(a: Sequence[str], b: Sequence[str]) -> str:
    for number, (one, other) in enumerate(zip(a, b, strict=False), 1):
        if one != other:
            return f"assertion {number}: {one} → {other}"
    return f"{len(a)} assertions → {len(b)}"


def _of_the_user(
    a: Mapping[str, int], b: Mapping[str, int], ours: set[str]
) -> dict[str, int]:
    """The phases that the user's program asked for.

    What our own programs have traced or compiled before, JAX does not do again: it
    counts as the plain run has it.
    """
    ours = ours | {p.removeprefix(OURS) for p in b if p.startswith(OURS)}
    mine = {p: n for p, n in b.items() if not p.startswith(OURS)}
    saved = {p: n for p, n in a.items() if p in ours and mine.get(p, 0) < n}
    return {**mine, **saved}


def _announced_only(a: Mapping[str, int], b: Mapping[str, int]) -> bool:
    """Whether all that is new are announcements of traces in which no Python ran."""
    more = all(b.get(p, 0) >= n for p, n in a.items())
    new = {p for p, n in b.items() if n > a.get(p, 0)}
    return more and all(p.startswith("trace of ") for p in new)


def _counts(a: Mapping[str, int], b: Mapping[str, int]) -> str:
    pairs = {n: (a.get(n, 0), b.get(n, 0)) for n in {**a, **b}}
    return ", ".join(
        f"{'more' if y > x else 'fewer'} {name}: {x} → {y}"
        for name, (x, y) in pairs.items()
        if x != y
    )
