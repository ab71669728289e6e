"""How often the reason of a compilation is found: jaxdbg, JAX itself, and Equinox.

Each program of `tests/programs/compiles.py` runs three times: recorded, under
`jax_explain_cache_misses`, and with `equinox.debug.assert_max_traces` around its
functions. What a text must hold to count is the same for all: the place that changed,
and what was there before and after (or the last step of a path, or other words for the
same). Part of it is shown as ~.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass
class Score:
    """What a tool has said of a program.

    Attributes:
        counts: whether it counts the traces right; None where it does not count.
        text: all that it has said of why.
    """

    counts: bool | None
    text: str


def recorded(program: Program) -> Score:
    """What jaxdbg says."""
    ran, traced = counting()
    recorder.forget()
    recorder.start()
    try:
        kept = program.run(traced)
        events = [e for e in recorder.events() if e.function == program.function]
        remarks = recorder.stale()
        del kept
    finally:
        recorder.stop()
    phases = Counter(e.phase for e in events)
    right = phases["compile"] == program.compiles
    if program.traces or phases["lower"] == 0:
        right = right and phases["trace"] == ran[program.function] == program.traces
    told = [reason_text(e) for e in events if e.reason is not None]
    return Score(right, "\n".join([*told, *map(str, remarks)]))


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
    of_it = [t for t in lines if program.function in t]
    misses = sum("TRACING CACHE MISS" in t for t in of_it)
    again = [
        t for t in of_it if "closest previous key" in t or "defined on the same" in t
    ]
    return Score(misses == ran[program.function], "\n".join(again))


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
    return any(plain(form) in plain(text) for form in forms(part))


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
    place, values = parts_said(program, score.text)
    if place and values:
        return "✓"
    return "~ the place" if place else "~ the values" if values else "✗ neither"


def main() -> None:
    warnings.simplefilter("ignore")
    tools = {
        "jaxdbg": recorded,
        "jax_explain_cache_misses": explained,
        "eqx assert_max_traces": asserted,
    }
    print(f"{machine_line()}; Equinox {eqx.__version__}\n")
    print(f"| program | cause | {' | '.join(tools)} |")
    print("| --- " * (2 + len(tools)) + "|")
    right: Counter[str] = Counter()
    partly: Counter[str] = Counter()
    quiet: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for program in PROGRAMS:
        cells = []
        for name, tool in tools.items():
            jax.clear_caches()
            score = tool(program)
            told = verdict(program, score)
            (right if program.cause else quiet)[name] += told.startswith("✓")
            partly[name] += told.startswith("~")
            counts[name] += bool(score.counts)
            wrong = "" if score.counts in (True, None) else " (miscounts)"
            cells.append(told + wrong)
        name = program.name.replace("_", " ")
        print(f"| {name} | {program.cause or '–'} | {' | '.join(cells)} |")
    causes = sum(bool(p.cause) for p in PROGRAMS)
    rows = [
        (f"**reasons named, of {causes}**", right),
        ("**named in part**", partly),
        (f"**quiet where all is well, of {len(PROGRAMS) - causes}**", quiet),
        (f"**counts exact, of {len(PROGRAMS)}**", counts),
    ]
    for title, found in rows:
        shown = [str(found[n]) for n in tools]
        if found is counts:
            shown[-1] = "does not count"
        print(f"| {title} | | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
