"""How often the reason of a compilation is found: jaxdbg, JAX itself, and Equinox.

Each program of `tests/programs/compiles.py` and `tests/programs/retraces.py` runs
three times: recorded, under `jax_explain_cache_misses`, and with
`equinox.debug.assert_max_traces` around its functions. What a text must hold to count
is the same for all: the place that changed, and what was there before and after (or
the last step of a path, or other words for the same). Part of it is shown as ~.

Of jaxdbg its advice is judged too, by the pattern that the program states: right, none
where there is one to give, wrong. Where none is to be given, silence is right.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import equinox as eqx
import jax
from _machine import machine_line

from jaxdbg.compiles import recorder
from jaxdbg.records import CompileEvent
from tests.programs.compiles import PROGRAMS, Program, counting
from tests.programs.reported import REPORTED
from tests.programs.retraces import MORE

ALL = [
    program
    for program in (*PROGRAMS, *MORE, *REPORTED)
    if not program.needs or find_spec(program.needs)
]
"""All programs whose libraries are there."""


@dataclass
class Score:
    """What a tool has said of a program.

    Attributes:
        counts: whether it counts the traces right; None where it does not count.
        text: all that it has said of why.
        advice: what it advises; None of a tool that gives no advice.
    """

    counts: bool | None
    text: str
    advice: str | None = None


def recorded(program: Program) -> Score:
    """What jaxdbg says."""
    ran, traced = counting()
    recorder.forget()
    recorder.start()
    try:
        kept = program.run(traced)
        every = recorder.events()
        remarks = recorder.stale()
        del kept
    finally:
        recorder.stop()
    if program.never_cause:
        texts = [reason_text(e) for e in every if cause_of(e) == program.never_cause]
        return Score(True, "\n".join(texts))
    events = [e for e in every if e.function == program.function]
    again = [e for e in events if e.reason is not None]
    told = [reason_text(e) for e in again]
    advice = [e.reason.advice for e in again if e.reason and e.phase == program.phase]
    return Score(
        is_counted(program, ran, events),
        "\n".join([*told, *map(str, remarks)]),
        advice[-1] if advice else None,
    )


def is_counted(
    program: Program, ran: Counter[str], events: Sequence[CompileEvent]
) -> bool:
    """Whether each trace and compilation was seen."""
    phases = Counter(e.phase for e in events)
    right = ran[program.python] == program.traces
    if program.compiles is not None:
        right = right and phases["compile"] == program.compiles
    is_traced = program.python == program.function and program.traces
    return right and (not is_traced or phases["trace"] == program.traces)


def cause_of(event: CompileEvent) -> str:
    return event.reason.cause if event.reason is not None else ""


def reason_text(event: CompileEvent) -> str:
    """A reason as text."""
    r = event.reason
    assert r is not None
    parts = (r.cause, r.where, r.before, r.after, *r.others, r.note)
    return " · ".join(parts)


def explained(program: Program) -> Score:
    """What `jax_explain_cache_misses` says."""
    ran, traced = counting()
    log = logged("jax._src.interpreters.partial_eval")
    with log as lines, jax.explain_cache_misses(True):
        program.run(traced)
    of_it = [t for t in lines if program.python in t]
    misses = sum("TRACING CACHE MISS" in t for t in of_it)
    again = [
        t for t in of_it if "closest previous key" in t or "defined on the same" in t
    ]
    return Score(misses == ran[program.python], "\n".join(again))


def asserted(program: Program) -> Score:
    """What `equinox.debug.assert_max_traces` says as it fails."""
    _, counted = counting()

    def traced(function: Any) -> Any:
        return eqx.debug.assert_max_traces(counted(function), max_traces=1)

    try:
        program.run(traced)
    except Exception as error:
        return Score(None, str(error))
    return Score(None, "")


@contextmanager
def logged(name: str) -> Iterator[list[str]]:
    """What is logged, line by line, and not printed."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda r: lines.append(r.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


# --- judging ------------------------------------------------------------------------

_LONG = {"f32": "float32", "bf16": "bfloat16", "i32": "int32"}

_OTHER_WORDS = {
    "the function": ["never seen function", "defined on the same"],
    "(not there)": ["extra", "missing", "keys", "number of", "length", "no argument"],
    "in JAX's caches": ["never seen function"],
    "not in them any more": ["never seen function"],
    "passed by position": ["positional", "args"],
    "passed by keyword": ["keyword", "kwargs"],
    "the mesh": ["mesh"],
    "none": ["None", "()"],
}
"""What others may say for the same: anything like it counts."""


def parts_said(program: Program, text: str) -> tuple[bool, bool]:
    """Whether a text names the place that changed; and what was before and after."""
    place = _said(program.where, text)
    return place, _said(program.before, text) and _said(program.after, text)


def _said(part: str, text: str) -> bool:
    return not part or any(plain(form) in plain(text) for form in forms(part))


def plain(text: str) -> str:
    """Without the differences of quoting and spacing that nobody minds."""
    return re.sub(r"\s+", "", text).replace("'", '"')


def forms(part: str) -> list[str]:
    """How a place, or a value, may be written: `f32[3]` or `float32[3]`."""
    texts = [part, *_OTHER_WORDS.get(part, [])]
    for short, long in _LONG.items():
        texts += [re.sub(rf"\b{short}\[", f"{long}[", t) for t in texts]
    if part.startswith(("a ", "an ", "another ")) and "equal only" not in part:
        texts.append("defined on the same")
    if part.startswith(("tuple of", "list of", "OrderedDict")):
        texts.append(part.partition(" ")[0])
    if "[" in part or "." in part:  # of a path its last step will do
        texts.append(re.split(r"[.\[]", part)[-1].strip("]"))
    if part.startswith("Python "):
        texts += ["weak_type=True", part.removeprefix("Python ")]
    if ", weakly typed" in part:
        texts.append("weak_type=True")
    return [t for t in texts if t]


def verdict(program: Program, score: Score) -> str:
    if not program.cause:
        return "✓ quiet" if not score.text else "✗ false alarm"
    if not score.text:
        return "– silent"
    if program.cause == "unknown":  # all else would be a guess
        return "✓" if program.cause in score.text else "✗ neither"
    place, values = parts_said(program, score.text)
    if place and values:
        return "✓"
    return "~ the place" if place else "~ the values" if values else "✗ neither"


def advised(program: Program, score: Score) -> str:
    """Whether the advice is right; empty where none is judged."""
    if program.advice is None or score.advice is None:
        return ""
    if not score.advice:
        return "none" if program.advice else "right"
    is_right = program.advice and re.search(program.advice, score.advice)
    return "right" if is_right else "wrong"


def main() -> None:
    warnings.simplefilter("ignore")
    tools = {
        "jaxdbg": recorded,
        "jax_explain_cache_misses": explained,
        "eqx assert_max_traces": asserted,
    }
    print(f"{machine_line()}; Equinox {eqx.__version__}\n")
    print(f"| program | cause | {' | '.join(tools)} | advice |")
    print("| --- " * (3 + len(tools)) + "|")
    advice: Counter[str] = Counter()
    right: Counter[str] = Counter()
    partly: Counter[str] = Counter()
    quiet: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for program in ALL:
        cells, judged = [], ""
        for name, tool in tools.items():
            jax.clear_caches()
            score = tool(program)
            judged = judged or advised(program, score)
            told = verdict(program, score)
            (right if program.cause else quiet)[name] += told.startswith("✓")
            partly[name] += told.startswith("~")
            counts[name] += bool(score.counts)
            wrong = "" if score.counts in (True, None) else " (miscounts)"
            cells.append(told + wrong)
        name = program.name.replace("_", " ")
        print(f"| {name} | {program.cause or '–'} | {' | '.join(cells)} | {judged} |")
        advice[judged] += 1
    causes = sum(bool(p.cause) for p in ALL)
    rows = [
        (f"**reasons named, of {causes}**", right),
        ("**named in part**", partly),
        (f"**quiet where all is well, of {len(ALL) - causes}**", quiet),
        (f"**counts exact, of {len(ALL)}**", counts),
    ]
    for title, found in rows:
        shown = [str(found[n]) for n in tools]
        if found is counts:
            shown[-1] = "does not count"
        print(f"| {title} | | {' | '.join(shown)} | |")
    said = ", ".join(f"{advice[how]} {how}" for how in ("right", "none", "wrong"))
    print(f"| **advice** | | {said} | – | – | |")


if __name__ == "__main__":
    main()
