"""One trace, lowering or compilation, when it ran, and why it ran again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from jaxdbg.records.array_type import ArrayType
from jaxdbg.records.equations import Equations
from jaxdbg.records.read_only import ReadOnly
from jaxdbg.records.shown import Shown
from jaxdbg.records.source import SourceFrame


def _nothing() -> Mapping[str, str]:
    return ReadOnly()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a phase ran again.

    Attributes:
        cause: short name, of the table in `retrace_causes`.
        where: the argument or attribute, as the user would type it.
        before, after: what it was in the earlier call, and what it is now.
        others: further differences, each as one line.
        avoidable: whether a small change of the program would have avoided it; None
            where that cannot be known.
        advice: the shortest correct fix; empty where there is none to give.
        note: what is not certain, or a restriction; `possibly the last partial batch`.
        before_type, after_type: of an array argument its types; None of anything else.
    """

    cause: str
    where: str = ""
    before: str = ""
    after: str = ""
    others: tuple[str, ...] = ()
    avoidable: bool | None = None
    advice: str = ""
    note: str = ""
    before_type: ArrayType | None = None
    after_type: ArrayType | None = None


@dataclass(frozen=True, slots=True)
class CompileEvent:
    """One phase of one compilation.

    Attributes:
        function: name of the function, as the user wrote it.
        phase: "trace", "lower" or "compile".
        start: seconds since the epoch (`time.time()`).
        duration: seconds; `self_time` is without what is nested in it.
        thread: name of the thread.
        parent: index of the event it is nested in, among those of the report; -1 for
            none.
        source: the user's line that asked for it.
        defined: `file:line` where the function was written; empty for an eager op.
        cell: IPython's number of the cell, None outside a notebook.
        signature: by argument, what it was called with; the first hundred of many.
        reason: why it ran again; None the first time.
        cache: the persistent cache: "hit", "miss" or "off".
        saved: seconds that a hit has saved.
        user: whether the user wrote the function.
        failed: whether it ended with an error.
        role: which program made of the function, where it is not the function itself:
            "forward" or "backward" of a gradient, "batched" by vmap; else empty. Of a
            function that control flow outside of jit runs, "body".
        bodies: of that control flow, the names of the user's functions in it.
        equations: of a trace that is no part of another, how many it has made, and
            which lines; None where these are few.
    """

    function: str
    phase: str
    start: float
    duration: float = 0.0
    self_time: float = 0.0
    thread: str = ""
    parent: int = -1
    source: SourceFrame | None = None
    defined: str = ""
    cell: int | None = None
    signature: Mapping[str, str] = field(default_factory=_nothing)
    reason: Reason | None = None
    cache: str = "off"
    saved: float = 0.0
    user: bool = True
    failed: bool = False
    role: str = ""
    bodies: tuple[str, ...] = ()
    equations: Equations | None = None

    @property
    def title(self) -> str:
        """`scan of body` for control flow with the user's functions; else its name."""
        return title(self.function, self.bodies)


def title(function: str, bodies: tuple[str, ...]) -> str:
    """What a function is called, with the functions that it runs as control flow."""
    names = dict.fromkeys(bodies)
    return f"{function} of {', '.join(names)}" if names else function


@dataclass(frozen=True, slots=True)
class Remark(Shown):
    """Something about a compiled function that makes nothing run again.

    Attributes:
        function: name of the function; `defined` is where it was written.
        reason: with the cause "stale closure": the name, what it was when the function
            was traced, and what it is now. With "replaced body", the function has
            another body than when it was traced, as autoreload gives it.
        source, cell: where the function was traced.
    """

    VIEW: ClassVar[str] = "stale_closure"

    function: str
    reason: Reason
    defined: str = ""
    source: SourceFrame | None = None
    cell: int | None = None
