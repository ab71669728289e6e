"""The findings of a report in the words that the panel lays out."""

from __future__ import annotations

from collections.abc import Sequence, Set as AbstractSet
from dataclasses import replace
from textwrap import dedent
from typing import Any

from jaxdbg.records import Finding, Origin, Report, SourceFrame, TreeStats
from jaxdbg.records.serial import plain
from jaxdbg.views import answer, reached, words
from jaxdbg.views.origin_sections import Section, sections

MAX_LEAVES = 40
"""How many of the leaves that a value has reached are listed."""

_LOOKED_AT = ("reached", "calls")
"""What the panel has pictures and links for."""

Json = dict[str, Any]


def stories_data(report: Report, trees: Sequence[TreeStats]) -> list[Json]:
    """The stories of all findings, in their order."""
    floats = answer.floats_of(trees, report.histories)
    return [_story(finding, floats) for finding in report.findings]


def _story(finding: Finding, floats: dict[str, AbstractSet[str]]) -> Json:
    origin = finding.origin
    born = answer.origin_of(finding)
    left_out = len(finding.paths) - MAX_LEAVES
    every = sections(_without_module(origin)) if origin else []
    is_growing = any(s.role == "calls" for s in every)
    return {
        "what": answer.what(finding),
        "where": answer.where(finding),
        "effect": answer.effect(finding, floats),
        "module": born.module if born else "",
        "sections": [_section(s) for s in every if _is_news(s, finding)],
        "growth": plain(origin.growth) if origin and is_growing else [],
        "leaves": _leaves(finding)[:MAX_LEAVES],
        "more": words.more(left_out, "leaf") if left_out > 0 else "",
        "text": "" if origin else dedent(finding.message.partition("\n")[2]).strip(),
    }


def _is_news(section: Section, finding: Finding) -> bool:
    """Whether a section says more than the headline, and nothing else shows it."""
    is_headline = not section.frames and section.lines == (answer.what(finding),)
    return section.role not in _LOOKED_AT and not is_headline


def _without_module(origin: Origin) -> Origin:
    """An origin whose module is not said again: `answer.where` has it."""
    return origin if origin.made_at else replace(origin, module="")


def _section(section: Section) -> Json:
    frames = [_frame(*pair) for pair in section.frames]
    return {
        "title": section.title,
        "role": section.role,
        "lines": list(section.lines),
        "frames": frames,
    }


def _frame(said: str, frame: SourceFrame) -> Json:
    return {"said": said, "place": words.place(frame), "frame": plain(frame)}


def _leaves(finding: Finding) -> list[tuple[str, str]]:
    """The bad leaves, each with how much of it is bad, where that is known."""
    known = finding.origin.reached if finding.origin else ()
    if known:
        return [(leaf.path, reached.counts(leaf)) for leaf in known]
    return [(path, "") for path in finding.paths]
