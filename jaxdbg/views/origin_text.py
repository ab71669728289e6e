"""An origin as text: all that is known of it."""

from __future__ import annotations

import textwrap

from jaxdbg.records import Origin
from jaxdbg.views.excerpt import excerpt
from jaxdbg.views.origin_sections import sections

WIDTH = 86
"""Where a line is wrapped."""


def text(origin: Origin) -> str:
    """The whole story, without a line break at its end."""
    lines = [origin.headline] if origin.headline else []
    for section in sections(origin):
        lines.append(f"  {section.title}")
        for line in section.lines:
            lines += _wrapped(line)
        for said, frame in section.frames:
            lines += [f"    {said}"] if said else []
            lines += [f"      {line}" for line in excerpt(frame)]
    return "\n".join(lines)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line,
        WIDTH,
        initial_indent="    ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )
