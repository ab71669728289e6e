"""The story of a bad value as text and HTML: a few lines in a message, or all of it."""

from __future__ import annotations

import html as escaping
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from jaxdbg.records import KINDS, Operand, Origin, SourceFrame, Turn
from jaxdbg.views import reached
from jaxdbg.views.colours import BAD

MAX_LINES = 4
"""How many lines of one expression are shown."""

MAX_TURNS = 3
"""How many turning points a message tells."""

WIDTH = 86
"""Where advice is wrapped."""

MAX_WIDTH = 100
"""A longer line of code is cut down to what is around the expression."""

INDENT = "  "


# -- in a message ----------------------------------------------------------------------


def short(origin: Origin) -> list[str]:
    """The story in a few lines, each indented by two spaces."""
    lines = [_birth(origin), *_code(origin.source)]
    lines += _library(origin)
    lines += _indented(_where(origin))
    lines += _forward(origin)
    told = [o for o in origin.operands if _tells(o)]
    told.sort(key=lambda o: o.role != "denominator")  # it is to blame, as a rule
    lines += _indented([operand(o) for o in told])
    lines += _indented(_facts(origin))
    lines += [f"then {t}" for t in _turns(origin.steps)]
    lines += _made(origin)
    lines += [*_cause(origin), *_notes(origin)]
    return [INDENT + line for line in lines]


def operand(o: Operand) -> str:
    """One line: ``denominator `var` is exactly 0 at [2, 5, 0]; 3 zeros in 512``."""
    name = " ".join([o.role or "operand", *([f"`{o.name}`"] if o.name else [])])
    at = f" at {_index(o.element)}" if o.element else ""
    if not o.value:
        return f"{name}: {_range(o)}, {array(o)}"
    exactly = "exactly 0" if _is_zero(o) else o.value
    counted = _guilty_count(o)
    if o.size == 1:
        return f"{name} is {exactly}"
    return f"{name} is {exactly}{at}; {counted or _range(o)} in {o.size:,}"


def array(o: Operand) -> str:
    """What an operand is: `float32[8, 64]`."""
    return f"{o.dtype}[{','.join(map(str, o.shape))}]"


def place(frame: SourceFrame) -> str:
    """`cell 3, line 7`, or `file.py:7`."""
    if frame.cell is not None:
        return f"cell {frame.cell}, line {frame.line}"
    return f"{frame.file}:{frame.line}"


def marked(frame: SourceFrame | None) -> list[str]:
    """The user's code with the expression marked by `^` below it, without indent."""
    if frame is None or not frame.code:
        return []
    lines = frame.code.splitlines()
    margin = min((_margin(x) for x in lines if x.strip()), default=0)
    shown = [line[margin:].rstrip() for line in lines]
    if not frame.end_line:
        return _cut(shown)
    if len(lines) > 1:
        return _cut(shown)  # all of it is the expression
    start, end = frame.column - margin, frame.end_column - margin
    if not 0 <= start < end <= len(shown[0]):
        return shown
    line, start, end = _window(shown[0], start, end)
    return [line, " " * start + "^" * (end - start)]


def _window(line: str, start: int, end: int) -> tuple[str, int, int]:
    """A long line cut down to what is around the expression."""
    if len(line) <= MAX_WIDTH:
        return line, start, end
    left = max(0, min(start - 16, len(line) - MAX_WIDTH))
    right = min(len(line), max(left + MAX_WIDTH, end))
    before, after = "… " * (left > 0), " …" * (right < len(line))
    shift = len(before) - left
    return before + line[left:right] + after, start + shift, end + shift


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _cut(lines: list[str]) -> list[str]:
    return [*lines[:MAX_LINES], "..."] if len(lines) > MAX_LINES else lines


def _code(frame: SourceFrame | None) -> list[str]:
    return [f"    {line}" for line in marked(frame)]


def _birth(origin: Origin) -> str:
    kind = KINDS.get(origin.kind, origin.kind)
    if origin.verdict == "came in":
        through = f" through {origin.argument}" if origin.argument else ""
        return f"{kind} came in{through}, and spread"
    if origin.verdict == "placed":
        return f"{kind} was placed by a literal or a constant, not born by arithmetic"
    if origin.verdict == "not reproduced":
        return "where it was born is not known"
    what = f" in {_derivative(origin)}`{origin.expression or origin.primitive}`"
    at = f" at {place(origin.source)}" if origin.source else ""
    return f"{kind} was born{what}{at}"


def _derivative(origin: Origin) -> str:
    """What stands before an expression that is not itself what failed."""
    own = origin.forward_source is not None and origin.forward_source == origin.source
    return "the derivative of " if origin.direction == "backward" and own else ""


def _library(origin: Origin) -> list[str]:
    frame = origin.library_source
    if frame is None:
        return []
    return [f"  {_inside(frame)}", *_code(frame)]


def _inside(frame: SourceFrame) -> str:
    function = f"{frame.function}, " if frame.function else ""
    return f"inside {function}{_library_place(frame)}"


def _library_place(frame: SourceFrame) -> str:
    for root in ("site-packages/", "dist-packages/"):
        _, found, rest = frame.file.rpartition(root)
        if found:
            return f"{rest}:{frame.line}"
    return place(frame)


def _indented(lines: Sequence[str]) -> list[str]:
    return [INDENT + line for line in lines if line]


def _where(origin: Origin) -> list[str]:
    backward = "in the backward pass" if origin.direction == "backward" else ""
    module = f"in {origin.module}" if origin.module else ""
    ways = [loop(*step) for step in origin.loop]
    ways += [branch(*taken) for taken in origin.branches]
    device = f"on {origin.device}" if origin.device else ""
    together = ([module, backward], ways, [device])
    return [line for parts in together if (line := ", ".join(filter(None, parts)))]


def loop(kind: str, iteration: int, length: int | None) -> str:
    """`scan step 5 of 16`, `while iteration 3`."""
    if length is None:
        return f"{kind} iteration {iteration + 1}"
    return f"{kind} step {iteration + 1} of {length}"


def branch(index: int, count: int) -> str:
    """`true branch of a cond`, `branch 3 of a switch of 5`."""
    if count == 2:
        return f"{('false', 'true')[index]} branch of a cond"
    return f"branch {index} of a switch of {count}"


def _forward(origin: Origin) -> list[str]:
    frame = origin.forward_source
    if frame is None:
        return []
    if origin.source is not None and place(origin.source) == place(frame):
        return []
    return [f"  it differentiates {place(frame)}", *_code(frame)]


def _tells(o: Operand) -> bool:
    """Whether an operand has something to say in a message."""
    return bool(o.value or o.name)


def _facts(origin: Origin) -> list[str]:
    facts = []
    if origin.rows:
        are = "is" if len(origin.rows) == 1 else "are"
        blame = f"{origin.rows_note} {are} to blame"
        facts.append(f"batch {_batches(origin)}: {blame}")
    facts += [origin.wider] if origin.wider else []
    return facts


def _batches(origin: Origin) -> str:
    return ", ".join(dict.fromkeys(name for name, _ in origin.rows))


def _turns(steps: Sequence[Turn]) -> list[str]:
    told = [turn(step) for step in steps[:MAX_TURNS]]
    more = len(steps) - MAX_TURNS
    return told + ([f"{more} more turns"] if more > 0 else [])


def turn(step: Turn) -> str:
    """`NaN at 0 * Inf in the backward pass of cell 3, line 7`."""
    text = step.text or f"{KINDS.get(step.kind, step.kind)} in `{step.primitive}`"
    parts = [text]
    if step.source is not None:
        parts.append(f"at {place(step.source)}")
    elif step.module:
        parts.append(f"in {step.module}")
    if step.direction == "backward":
        parts.append("in the backward pass")
    return " ".join(parts)


def _made(origin: Origin) -> list[str]:
    if not origin.made_by:
        return []
    lines = [f"{_argument_root(origin)} was made by {origin.made_by}"]
    made = origin.made_at
    if made is not None and made.verdict in ("born", "came in"):
        lines.append(f"  there {_birth(made)}")
        lines += _indented([*_code(made.source), *_indented(_where(made))])
        lines += [f"    {operand(o)}" for o in made.operands if _tells(o)]
    return lines


def _argument_root(origin: Origin) -> str:
    return origin.argument.rpartition("[")[0] or origin.argument or "it"


def _cause(origin: Origin) -> list[str]:
    if not origin.cause:
        return []
    head = f"{'likely ' if origin.likely else ''}cause: {origin.cause}"
    growth = [f"  in the last calls: {_series(origin.growth)}"] if _grew(origin) else []
    return [head, *growth, *_wrapped(origin.advice, "  fix: ")]


def _grew(origin: Origin) -> bool:
    return bool(origin.growth) and (origin.cause or "").startswith("exploding")


def _series(values: Sequence[float]) -> str:
    return ", ".join(f"{v:.3g}" for v in values)


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


def _index(element: Sequence[int] | None) -> str:
    return f"[{', '.join(map(str, element))}]" if element else ""


def _is_zero(o: Operand) -> bool:
    return o.value in ("0", "-0", "0.0")


def _guilty_count(o: Operand) -> str:
    """How many elements are as the guilty one: `3 zeros`."""
    if _is_zero(o):
        return _some(o.zeros, "zero")
    if o.value == "NaN":
        return f"{o.nan:,} NaN"
    if o.value == "Inf":
        return f"{o.posinf:,} Inf"
    if o.value == "-Inf":
        return f"{o.neginf:,} -Inf"
    if o.value.startswith("-") and o.negatives:
        return _some(o.negatives, "negative")
    return ""


def _range(o: Operand) -> str:
    if o.low is None or o.high is None:
        return "no finite value"
    if o.low == o.high and not o.nan + o.posinf + o.neginf:
        return f"all {o.low:.4g}"
    return f"{o.low:.4g} to {o.high:.4g}"


def _some(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


# -- all of it -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the whole story.

    Attributes:
        title: one word.
        lines: what it says.
        frames: code to show below, each with what is said of it.
    """

    title: str
    lines: tuple[str, ...] = ()
    frames: tuple[tuple[str, SourceFrame], ...] = ()


def sections(origin: Origin) -> list[Section]:
    """The whole story, in the order it is told."""
    found = [
        Section(_verdict(origin), (_birth(origin),), _frames(origin)),
        Section("where", tuple(_where(origin))),
        Section("operands", tuple(map(_whole_operand, origin.operands))),
        Section("batch", _rows(origin)),
        Section("range", (origin.wider,) if origin.wider else ()),
        Section(
            "then",
            tuple(map(turn, origin.steps)),
            tuple(("", t.source) for t in origin.steps if t.source is not None),
        ),
        Section("made by", (origin.made_by,) if origin.made_by else ()),
        *_there(origin.made_at),
        Section("likely cause" if origin.likely else "cause", _advice(origin)),
        Section("last calls", _last_calls(origin)),
        Section("reached", tuple(reached.told(origin.reached))),
        Section("note", origin.notes),
    ]
    return [s for s in found if s.lines or s.frames]


def _there(made: Origin | None) -> list[Section]:
    """The story of the earlier call that made what came in."""
    if made is None:
        return []
    return [
        Section(f"there: {s.title}", s.lines, s.frames)
        for s in sections(made)
        if s.title not in ("reached", "last calls")
    ]


def _last_calls(origin: Origin) -> tuple[str, ...]:
    values = [abs(v) for v in origin.growth]
    if not values or max(values) < 10 * max(min(values), 1e-30):
        return ()
    return (_series(origin.growth),)


def whole(origin: Origin) -> str:
    """The whole story as text, without a line break at its end."""
    lines = [origin.headline] if origin.headline else []
    for section in sections(origin):
        lines.append(f"{INDENT}{section.title}")
        for line in section.lines:
            lines += _folded(line)
        for said, frame in section.frames:
            lines += [f"    {said}"] if said else []
            lines += [f"      {line}" for line in marked(frame)]
    return "\n".join(lines)


def _folded(line: str) -> list[str]:
    return textwrap.wrap(
        line,
        WIDTH,
        initial_indent="    ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def html(origin: Origin) -> str:
    """The whole story as HTML that reads well in light and dark notebooks."""
    head = f'<div style="{_STYLE["head"]}">{escaping.escape(origin.headline)}</div>'
    return f'<div style="{_STYLE["all"]}">{head}{body(origin)}</div>'


def body(origin: Origin) -> str:
    """The same without the headline."""
    rows = "".join(map(_html_section, sections(origin)))
    return f'<table style="{_STYLE["table"]}"><tbody>{rows}</tbody></table>'


_STYLE = {
    "all": "background: none; "
    "font-size: var(--jp-code-font-size, 13px); line-height: 1.45; max-width: 62em; "
    "padding: 0 var(--jp-code-padding, 5px)",
    "head": "font-weight: 600; margin-bottom: 0.4em",
    "table": "border-collapse: collapse; border: none; margin: 0",
    "row": "background: none; border: none",
    "title": "opacity: 0.72; text-align: left; "
    "vertical-align: top; font-weight: normal; white-space: nowrap; "
    "padding: 0.15em 1.2em 0.15em 0; background: none; border: none",
    "cell": "text-align: left; vertical-align: top; padding: 0.15em 0; "
    "background: none; border: none; white-space: normal",
    "pre": "margin: 0.2em 0; padding: 0.25em 0.6em; overflow-x: auto; "
    "font-family: var(--jp-code-font-family, monospace); font-size: inherit; "
    "color: inherit; background: var(--jp-cell-editor-background, "
    "rgba(127, 127, 127, 0.12)); "
    f"border-left: 3px solid var(--jp-error-color1, {BAD})",
    "mark": "background: none; color: inherit; font-weight: 600; "
    f"text-decoration: underline wavy var(--jp-error-color1, {BAD}); "
    "text-underline-offset: 3px",
    "said": "opacity: 0.72",
}


def _html_section(section: Section) -> str:
    said = "".join(f"<div>{_html_line(line)}</div>" for line in section.lines)
    code = "".join(_html_frame(*pair) for pair in section.frames)
    return (
        f'<tr style="{_STYLE["row"]}">'
        f'<th scope="row" style="{_STYLE["title"]}">{escaping.escape(section.title)}'
        f'</th><td style="{_STYLE["cell"]}">{said}{code}</td></tr>'
    )


def _html_line(line: str) -> str:
    parts = escaping.escape(line, quote=False).split("`")
    if len(parts) % 2 == 0:  # a backtick without its other
        return "`".join(parts)
    code = '<code style="background: none; color: inherit; padding: 0">{}</code>'
    return "".join(code.format(p) if i % 2 else p for i, p in enumerate(parts))


def _html_frame(said: str, frame: SourceFrame) -> str:
    lines = marked(frame)
    if not lines:
        return ""
    if len(lines) == 2 and lines[1].strip("^ ") == "" and "^" in lines[1]:
        start, end = lines[1].index("^"), len(lines[1])
        line = lines[0]
        code = (
            f"{escaping.escape(line[:start])}"
            f'<span style="{_STYLE["mark"]}">{escaping.escape(line[start:end])}</span>'
            f"{escaping.escape(line[end:])}"
        )
    else:
        code = escaping.escape("\n".join(lines))
    above = f'<div style="{_STYLE["said"]}">{escaping.escape(said)}</div>'
    return f'{above if said else ""}<pre style="{_STYLE["pre"]}">{code}</pre>'


def _verdict(origin: Origin) -> str:
    return "not known" if origin.verdict == "not reproduced" else origin.verdict


def _frames(origin: Origin) -> tuple[tuple[str, SourceFrame], ...]:
    frames = [("", origin.source)]
    if origin.library_source is not None:
        frames.append((_inside(origin.library_source), origin.library_source))
    if origin.forward_source is not None and origin.forward_source != origin.source:
        said = f"it differentiates {place(origin.forward_source)}"
        frames.append((said, origin.forward_source))
    return tuple((said, frame) for said, frame in frames if frame is not None)


def _whole_operand(o: Operand) -> str:
    counts = [
        (o.zeros, "zero", True),
        (o.negatives, "negative", True),
        (o.subnormals, "subnormal", True),
        (o.nan, "NaN", False),
        (o.posinf, "Inf", False),
        (o.neginf, "-Inf", False),
    ]
    told = [_some(n, w) if plural else f"{n:,} {w}" for n, w, plural in counts if n]
    about = [array(o), *([_range(o)] if o.size > 1 else []), *told]
    return f"{_operand_head(o)} ({', '.join(about)})"


def _operand_head(o: Operand) -> str:
    name = " ".join([o.role or "operand", *([f"`{o.name}`"] if o.name else [])])
    if not o.value:
        return name
    at = f" at {_index(o.element)}" if o.element else ""
    return f"{name} is {'exactly 0' if _is_zero(o) else o.value}{at}"


def _rows(origin: Origin) -> tuple[str, ...]:
    if not origin.rows_note:
        return ()
    names = _batches(origin)
    return (f"{names}: {origin.rows_note}" if names else origin.rows_note,)


def _advice(origin: Origin) -> tuple[str, ...]:
    if not origin.cause:
        return ()
    return (origin.cause, *([f"fix: {origin.advice}"] if origin.advice else []))
