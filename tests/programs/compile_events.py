"""Compilations as they happen in real notebooks, for the tests of what shows them.

Each function returns events as the recorder gives them: in the order they began, with
self times, parents, cells and reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from jaxdbg.records import ArrayType, CompileEvent, Reason, SourceFrame

Events = tuple[CompileEvent, ...]

T0 = 1_700_000_000.0
"""When the first of the events began, in seconds since the epoch."""


def of_arrays(
    cause: str, where: str, before: str, after: str, *others: object, **more: object
) -> Reason:
    """A reason about an array argument; `f32[8,3]` gives its type, too."""
    types = {"before_type": _type(before), "after_type": _type(after)}
    return Reason(cause, where, before, after, *others, **types, **more)  # type: ignore[arg-type]


def _type(text: str) -> ArrayType:
    dtype, _, shape = text.partition("]")[0].partition("[")
    return ArrayType(dtype, tuple(int(n) for n in shape.split(",") if n))


PARTIAL = of_arrays(
    "partial batch",
    'batch["x"]',
    "f32[32,8,8]",
    "f32[17,8,8]",
    ('batch["y"] i32[32] → i32[17]',),
    note="possibly the last partial batch",
)
TRAIN_EVAL = Reason("NNX attribute", "model.drop.deterministic", "False", "True")


def frame(cell: int | None, line: int, code: str = "") -> SourceFrame:
    """A line of a cell, or of a script."""
    file = "<ipython-input>" if cell is not None else "/somewhere/train.py"
    return SourceFrame(file, line, "<module>", code, cell)


def built(
    function: str = "train_step",
    start: float = 0.0,
    phases: Sequence[tuple[str, float]] = (
        ("trace", 0.1),
        ("lower", 0.05),
        ("compile", 0.26),
    ),
    *,
    reason: Reason | None = None,
    cell: int | None = 12,
    line: int = 7,
    **changes: object,
) -> Events:
    """The phases of one function, one after the other from `start` on."""
    events, at = [], T0 + start
    for phase, seconds in phases:
        event = CompileEvent(
            function,
            phase,
            at,
            seconds,
            self_time=seconds,
            thread="MainThread",
            source=frame(cell, line),
            defined="<ipython-input>:3",
            cell=cell,
            reason=reason,
        )
        events.append(replace(event, **changes))  # type: ignore[arg-type]
        at += seconds
    return tuple(events)


def joined(*parts: Iterable[CompileEvent]) -> Events:
    """Events of several functions, none nested in another, in the order they began."""
    return tuple(sorted((e for p in parts for e in p), key=lambda e: e.start))


def partial_batch() -> Events:
    """A last batch of 17 where there were 32."""
    return joined(
        built(start=0.0, phases=(("trace", 0.2), ("lower", 0.1), ("compile", 0.6))),
        built(start=2.0, reason=PARTIAL),
    )


def train_and_eval() -> Events:
    """One function for training and for evaluation: twice, and rightly so."""
    return joined(
        built("forward", 0.0),
        built("forward", 1.0, reason=replace(TRAIN_EVAL, avoidable=False), line=9),
    )


def lambda_in_a_loop(times: int = 5) -> Events:
    """`jax.jit(lambda ...)` made again in each iteration."""
    again = Reason("new function", avoidable=True)
    parts = [
        built(
            "<lambda>", 0.2 * i, (("trace", 0.01), ("compile", 0.03)), reason=r, line=4
        )
        for i in range(times)
        for r in [again if i else None]
    ]
    return joined(*parts)


def eager(function: str, start: float, seconds: float = 0.01, **how: object) -> Events:
    """An operation outside any jitted function."""
    phases = (
        ("trace", seconds / 5),
        ("lower", seconds / 5),
        ("compile", seconds * 0.6),
    )
    changes = {"user": False, "defined": "", **how}
    return built(function, start, phases, **changes)  # type: ignore[arg-type]


def growing_loop(times: int = 8) -> Events:
    """An array that grows by one with each `jnp.append`, outside any jit."""
    parts = []
    for n in range(1, times + 1):
        reason = of_arrays("eager loop", "operand 1", f"f32[{n - 1}]", f"f32[{n}]")
        how = {"reason": reason} if n > 1 else {}
        parts.append(eager("concatenate", 0.1 * n, **how))  # type: ignore[arg-type]
    return joined(eager("iota", 0.0), *parts)


def cached() -> Events:
    """A compilation that the persistent cache has saved."""
    trace, lower, compiled = built("big_step", 0.0)
    return trace, lower, replace(compiled, cache="hit", saved=12.5)


def nested() -> Events:
    """A jitted function that needs an eager op while it is traced."""
    trace, lower, compiled = built(
        "outer", 0.0, (("trace", 1.0), ("lower", 0.1), ("compile", 0.4))
    )
    inner = eager("sin", 0.2, 0.5, parent=0)
    return replace(trace, self_time=0.5), *inner, lower, compiled


def failed() -> Events:
    """A trace that raised, and the one that went well after it."""
    broken = replace(built("loss_of", 0.0, (("trace", 0.3),))[0], failed=True)
    raised = Reason("failed before", avoidable=None)
    return joined((broken,), built("loss_of", 1.0, reason=raised))


def two_threads() -> Events:
    """The main thread and a loader, at the same time."""
    return joined(built(), built("load", 0.05, thread="loader", cell=None))


def recompiled() -> Events:
    """The same trace, compiled once more for a committed argument."""
    again = Reason("committed", "x", "not committed", "committed to cpu:1")
    phases = (("lower", 0.02), ("compile", 0.1))
    return joined(built("predict"), built("predict", 1.0, phases, reason=again))


def everything() -> Events:
    """A notebook in which all of it has happened, one after the other."""
    stories = (
        partial_batch(),
        train_and_eval(),
        lambda_in_a_loop(),
        growing_loop(),
        cached(),
        nested(),
        failed(),
        two_threads(),
        recompiled(),
    )
    events: list[CompileEvent] = []
    for cell, story in enumerate(stories, 3):
        first = len(events)
        for event in story:
            parent = event.parent + first if event.parent >= 0 else -1
            at, source = event.start + 30 * cell, event.source
            if event.cell is not None and source is not None:
                source = replace(source, cell=cell)
                event = replace(event, cell=cell, source=source)
            events.append(replace(event, start=at, parent=parent))
    return tuple(events)
