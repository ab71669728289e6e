"""An origin in the few lines that a failure's message has."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from jaxdbg.records import Origin, SourceFrame, Turn
from jaxdbg.views import words
from jaxdbg.views.excerpt import excerpt
from jaxdbg.views.origin_wording import (
    batches,
    birth,
    cause,
    fix,
    inside,
    magnitudes,
    operand,
    others,
    passed,
    turn,
    where,
)

MAX_TURNS = 3
"""How many turning points a message lists."""

WIDTH = 86
"""Where advice is wrapped."""

INDENT = "  "


def text(origin: Origin) -> str:
    """The lines, each indented by two spaces."""
    lines = [birth(origin), *_code(origin.source)]
    lines += _library(origin)
    lines += _indented(where(origin))
    lines += _forward(origin)
    operands = [o for o in origin.operands if o.value or o.name]
    operands.sort(key=lambda o: o.role != "denominator")  # as a rule the one at fault
    lines += _indented(map(operand, operands))
    lines += _indented(map(passed, origin.passed))
    lines += _indented(_facts(origin))
    lines += [f"then {step}" for step in _turns(origin.steps)]
    lines += _made(origin)
    lines += [*_cause(origin), *_wrapped(others(origin), ""), *_notes(origin)]
    return "\n".join(INDENT + line for line in lines)


def _code(frame: SourceFrame | None) -> list[str]:
    return [f"    {line}" for line in excerpt(frame)]


def _library(origin: Origin) -> list[str]:
    frame = origin.library_source
    if frame is None:
        return []
    return [f"  {inside(frame)}", *_code(frame)]


def _forward(origin: Origin) -> list[str]:
    frame = origin.forward_source
    if frame is None:
        return []
    if origin.source is not None and words.place(origin.source) == words.place(frame):
        return []
    return [f"  it differentiates {words.place(frame)}", *_code(frame)]


def _facts(origin: Origin) -> list[str]:
    facts = []
    if origin.rows:
        causes = "causes" if len(origin.rows) == 1 else "cause"
        facts.append(f"batch {batches(origin)}: {origin.rows_note} {causes} it")
    facts += [origin.wider] if origin.wider else []
    return facts


def _turns(steps: Sequence[Turn]) -> list[str]:
    left_out = len(steps) - MAX_TURNS
    more = [words.more(left_out, "turn")] if left_out > 0 else []
    return [*map(turn, steps[:MAX_TURNS]), *more]


def _made(origin: Origin) -> list[str]:
    if not origin.made_by:
        return []
    leaf = origin.argument_leaf or origin.argument or "it"
    lines = [f"{leaf} was made by {origin.made_by}"]
    made = origin.made_at
    if made is not None and made.verdict in ("born", "came in"):
        lines.append(f"  there {birth(made)}")
        lines += _indented([*_code(made.source), *_indented(where(made))])
        lines += [f"    {operand(o)}" for o in made.operands if o.value or o.name]
    return lines


def _cause(origin: Origin) -> list[str]:
    if not origin.cause:
        return []
    growth = (
        [f"  in the last calls: {magnitudes(origin.growth)}"] if _grew(origin) else []
    )
    return [cause(origin), *growth, *_wrapped(origin.advice, f"  {fix(origin)}: ")]


def _grew(origin: Origin) -> bool:
    return bool(origin.growth) and (origin.cause or "").startswith("exploding")


def _wrapped(text: str, head: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        text,
        WIDTH - len(INDENT),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _notes(origin: Origin) -> list[str]:
    return [line for note in origin.notes for line in _wrapped(note, "note: ")]


def _indented(lines: Iterable[str]) -> list[str]:
    return [INDENT + line for line in lines if line]
