"""An origin as HTML that reads well in light and dark notebooks."""

from __future__ import annotations

from html import escape

from jaxdbg.records import Origin, SourceFrame
from jaxdbg.views.colours import ADVICE, BAD
from jaxdbg.views.excerpt import excerpt
from jaxdbg.views.origin_sections import Section, sections


def html(origin: Origin) -> str:
    """The whole story; a bare table where the origin has no headline of its own."""
    rows = "".join(map(_section, sections(origin)))
    table = f'<table style="{_STYLE["table"]}"><tbody>{rows}</tbody></table>'
    if not origin.headline:
        return table
    head = f'<div style="{_STYLE["head"]}">{escape(origin.headline)}</div>'
    return f'<div style="{_STYLE["all"]}">{head}{table}</div>'


_STYLE = {
    "all": "background: none; "
    "font-size: var(--jp-code-font-size, 13px); line-height: 1.45; max-width: 62em; "
    "padding: 0 var(--jp-code-padding, 5px)",
    "head": "font-weight: 600; margin-bottom: 0.4em",
    "table": "border-collapse: collapse; border: none; margin: 0",
    "row": "background: none; border: none",
    "fix": f"border: none; background: color-mix(in srgb, {ADVICE} 12%, transparent)",
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


def _section(section: Section) -> str:
    said = "".join(f"<div>{_line(line)}</div>" for line in section.lines)
    code = "".join(_frame(*pair) for pair in section.frames)
    row = _STYLE["fix" if section.role == "fix" else "row"]
    return (
        f'<tr style="{row}">'
        f'<th scope="row" style="{_STYLE["title"]}">{escape(section.title)}'
        f'</th><td style="{_STYLE["cell"]}">{said}{code}</td></tr>'
    )


def _line(line: str) -> str:
    parts = escape(line, quote=False).split("`")
    if len(parts) % 2 == 0:  # a backtick without its other
        return "`".join(parts)
    code = '<code style="background: none; color: inherit; padding: 0">{}</code>'
    return "".join(code.format(p) if i % 2 else p for i, p in enumerate(parts))


def _frame(said: str, frame: SourceFrame) -> str:
    lines = excerpt(frame)
    if not lines:
        return ""
    if len(lines) == 2 and lines[1].strip("^ ") == "" and "^" in lines[1]:
        start, end = lines[1].index("^"), len(lines[1])
        line = lines[0]
        code = (
            f"{escape(line[:start])}"
            f'<span style="{_STYLE["mark"]}">{escape(line[start:end])}</span>'
            f"{escape(line[end:])}"
        )
    else:
        code = escape("\n".join(lines))
    above = f'<div style="{_STYLE["said"]}">{escape(said)}</div>'
    return f'{above if said else ""}<pre style="{_STYLE["pre"]}">{code}</pre>'
