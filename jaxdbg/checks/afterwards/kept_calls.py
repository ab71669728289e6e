"""What is kept of a failing call when its region has ended: for `repro` and `rewind`.

Of the region that failed last the arguments of its failing calls are kept:

- the first failing call of a function of the user's, whatever its size: one set of
  inputs. Where the region raised, these are the arrays that the user's model holds
  anyway. Where it ran on (`--record`, `--async`) they are one more copy;
- further failing calls, `MANY` at most, as long as all that is kept of them takes
  `MORE` bytes at most.

Their bad results are kept too, since nothing else holds them: `OUTPUTS` bytes in all,
call by call, the worst leaf first; what does not fit is left out. Where the region ran
on, these are copies, for the program may donate its own.

It is dropped when a later region calls a function of the user's, when another region
fails, by `forget` (`%rewind --forget`), and when the extension is unloaded. What the
user gives to a donating call in the meantime is gone from here, too. Nothing is kept of
a region that found nothing.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import jax

from jaxdbg.checks.calls.call import Call, Run
from jaxdbg.checks.calls.earlier_calls import EarlierCalls
from jaxdbg.records import Finding
from jaxdbg.trees.call_names import input_names, output_names, updates
from jaxdbg.trees.call_site import CallSite
from jaxdbg.trees.copies import copied, copied_at, is_gone
from jaxdbg.trees.names import Names

MORE = 1 << 26
"""Bytes that are kept of failing calls beyond the first of a user's function."""


MANY = 16
"""How many failing calls are kept at most."""

OUTPUTS = 256_000_000
"""Bytes that are kept of bad results."""


_openings: itertools.count[int] = itertools.count()


@dataclass(slots=True, eq=False)
class KeptCall:
    """A failing call, with its arguments.

    Attributes:
        call: which call it was.
        number: which call of the region it was, of any function.
        jaxpr: its closed jaxpr; None for an AOT call.
        args: its flat arguments, with the values they had before it.
        given: the very arrays that the user passed; the donated ones are deleted.
        names: what the arguments are called.
        paths: for arguments that the user's containers held, where.
        updates: which argument an output of a function replaces in the user's program,
            where that is known: `{(function, output): argument}`.
        bad: the outputs that are bad, by index: what each is called.
        refs: indices of arguments that are Refs, which are written to in place.
        earlier: the calls of its region.
    """

    call: Call
    number: int
    jaxpr: Any
    args: tuple[Any, ...]
    given: tuple[Any, ...]
    names: tuple[str, ...]
    paths: Mapping[int, str]
    updates: Mapping[tuple[Any, int], int]
    bad: Mapping[int, str]
    refs: tuple[int, ...]
    earlier: EarlierCalls

    @classmethod
    def of(
        cls,
        run: Run,
        names: Names,
        site: CallSite,
        bad: Sequence[int],
        earlier: EarlierCalls,
        copy: bool,
    ) -> Self:
        """What to keep of a call that failed.

        Arguments:
            run: the call.
            names: what the user calls things, now.
            site: what the line of the call calls its results.
            bad: indices of its bad results.
            earlier: the calls of its region.
            copy: whether its donated arguments are about to be deleted.
        """
        donated = [i for i in run.layout.donated if not is_gone(run.args[i])]
        outside = names.from_outside()
        paths = {i: outside.of(a) for i, a in enumerate(run.given)}
        function, info = run.call.function.name, run.debug_info
        outputs = output_names(function, run.given, run.outs, info, names, site)
        return cls(
            call=run.call,
            number=run.number,
            jaxpr=run.jaxpr,
            args=copied_at(run.args, donated) if copy else tuple(run.args),
            given=tuple(run.given),
            names=tuple(input_names(function, run.given, info, names)),
            paths={i: path for i, path in paths.items() if path is not None},
            updates=_updates(run, earlier, site),
            bad={i: outputs[i] for i in bad if i < len(run.outs)},
            refs=run.layout.refs,
            earlier=earlier,
        )

    @property
    def lost(self) -> tuple[int, ...]:
        """Indices of the arguments whose values are gone, or written over."""
        gone = {i for i, a in enumerate(self.args) if is_gone(a)}
        return tuple(sorted(gone | set(self.refs)))


@dataclass(slots=True, eq=False)
class KeptCalls:
    """What is kept of one region, in the order in which it failed."""

    calls: list[tuple[Finding, KeptCall]] = field(default_factory=list)
    outputs: list[tuple[Finding, Mapping[str, Any]]] = field(default_factory=list)
    bytes_left: int = field(default_factory=lambda: OUTPUTS)
    opened: int = field(default_factory=lambda: next(_openings))
    closed: int = -1

    def has_room(self, call: Call, args: Sequence[Any]) -> bool:
        """Whether the arguments of a failing call are kept, by the rules above."""
        if len(self.calls) >= MANY:
            return False
        users = [c for _, c in self.calls if c.call.function.user]
        if call.function.user and not users:
            return True
        more = [c.args for _, c in self.calls if c not in users[:1]]
        return nbytes([*more, args]) <= MORE

    def add(self, finding: Finding, call: KeptCall) -> None:
        """Keeps the arguments of a failing call."""
        self.calls.append((finding, call))
        _keep(self)

    def fitting(self, outputs: Mapping[str, Any], copy: bool) -> dict[str, Any]:
        """Those bad results of a failing call that still fit.

        Arguments:
            outputs: by path, the worst first.
            copy: whether the program runs on with them, and may donate them.
        """
        found = {}
        for path, array in outputs.items() if len(self.outputs) < MANY else ():
            size = int(getattr(array, "nbytes", 0))
            if size <= self.bytes_left and not is_gone(array):
                self.bytes_left -= size
                found[path] = array
        arrays = [a for a in found.values() if isinstance(a, jax.Array)]
        if not copy or not arrays:
            return found
        copies = dict(zip(map(id, arrays), copied(arrays), strict=True))
        return {path: copies.get(id(a), a) for path, a in found.items()}

    def add_outputs(self, finding: Finding, outputs: Mapping[str, Any]) -> None:
        """Keeps bad results of a failing call."""
        self.outputs.append((finding, outputs))
        _keep(self)

    def close(self) -> None:
        """The region has ended; a later one may take its place."""
        self.closed = next(_openings)


_lock = threading.Lock()
_latest: KeptCalls | None = None


def _keep(kept: KeptCalls | None) -> None:
    global _latest
    with _lock:
        before, _latest = _latest, kept
        if before is not None and before is not kept:
            before.calls.clear()  # its region may live on
            before.outputs.clear()


def moved_on(kept: KeptCalls) -> None:
    """A region calls a function of the user's: what an earlier one left is dropped."""
    latest = _latest
    if latest is not None and latest is not kept and 0 <= latest.closed < kept.opened:
        _keep(None)


def forget() -> None:
    """Drops all that is kept."""
    _keep(None)


def latest() -> list[tuple[Finding, KeptCall]]:
    """The findings of which something is kept, in order, and what."""
    kept = _latest
    return list(kept.calls) if kept is not None else []


def of(finding: Finding) -> KeptCall | None:
    """What is kept for this very finding; None where nothing is, or no longer."""
    return next((call for known, call in latest() if known is finding), None)


def outputs_of(finding: Finding) -> Mapping[str, Any] | None:
    """The bad results that are kept for this very finding, by path; None for none."""
    kept = _latest
    by_finding = list(kept.outputs) if kept is not None else []
    return next((outputs for known, outputs in by_finding if known is finding), None)


def _updates(
    run: Run, earlier: EarlierCalls, site: CallSite
) -> dict[tuple[Any, int], int]:
    """Outputs of functions that take the place of an argument, where that is known.

    A result of a call that this call takes is, most likely, a variable of the user's
    loop; and a library's jit, or the line of the call, says which output is the new
    value of which argument.
    """
    found: dict[tuple[Any, int], list[int]] = {}
    for i, array in enumerate(run.given):
        if (made := earlier.made(array)) is not None:
            found.setdefault((made.call.function, made.output), []).append(i)
    function = run.call.function
    known = updates(run.given, run.outs, run.debug_info, site)
    for output, i in known.items():
        if i not in found.setdefault((function, output), []):
            found[function, output].append(i)
    return {key: which[0] for key, which in found.items() if len(which) == 1}


def nbytes(calls: Sequence[Sequence[Any]]) -> int:
    """Bytes of the arguments of some calls, each array counted once."""
    arrays = {id(a): a for args in calls for a in args if not is_gone(a)}
    return sum(int(getattr(a, "nbytes", 0)) for a in arrays.values())
