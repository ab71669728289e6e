"""A finding in the order in which a user asks: what, where, in which call, what to do.

The panel and its static twin lay this out; the words come from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set as AbstractSet

from jaxdbg.records import (
    Finding,
    Origin,
    Reached,
    TreeHistory,
    TreeStats,
    tree_name,
)
from jaxdbg.views import words
from jaxdbg.views.origin_wording import in_short
from jaxdbg.views.words import KINDS

MAX_TREES = 4
"""How many trees an effect names."""

_FLOATS = ("float", "complex")


def what(finding: Finding) -> str:
    """``overflow of exp in `jnp.exp` ``; without an origin, what is wrong."""
    origin = origin_of(finding)
    if origin is None or origin.verdict == "not reproduced":
        return _headline(finding)
    return in_short(origin)


def where(finding: Finding) -> str:
    """`cell 3, line 17 · model.blocks[0].attn · train_step, call 10`."""
    origin = origin_of(finding)
    place = words.short_place(origin.source) if origin else ""
    module = origin.module if origin else ""
    parts = (place or finding.location, module, *_calls(finding))
    return " · ".join(filter(None, parts))


def origin_of(finding: Finding) -> Origin | None:
    """The origin of the value; where an earlier call made it, the one in that call."""
    origin = finding.origin
    while origin is not None and origin.made_at is not None:
        origin = origin.made_at
    return origin


def _calls(finding: Finding) -> tuple[str, ...]:
    """The call that failed, and the earlier one that made the value."""
    if not finding.function or what(finding) == _headline(finding):
        return ()  # a headline has it
    call = f", call {finding.call:,}" if finding.call else ""
    failed = f"{finding.function}{call}"
    if finding.origin is not None and finding.origin.made_at is not None:
        return f"made by {finding.origin.made_by}", f"came in to {failed}"
    return (failed,)


def _headline(finding: Finding) -> str:
    return finding.headline.rstrip(":.")


def effect(finding: Finding, floats: Mapping[str, AbstractSet[str]]) -> str:
    """`NaN in 84 leaves: all of model, all of opt`.

    Arguments:
        finding: of a value.
        floats: of each known tree, the paths of the leaves that can hold a NaN.
    """
    if not finding.paths:
        return "" if what(finding) == _headline(finding) else _headline(finding)
    kinds = _kinds(finding)
    if len(finding.paths) == 1:
        return f"{kinds} in {finding.paths[0]}"
    trees: dict[str, list[str]] = {}
    for path in finding.paths:
        trees.setdefault(tree_name(path), []).append(path)
    number = f"{kinds} in {words.count(len(finding.paths), 'leaf')}"
    if len(trees) == len(finding.paths):
        return number
    parts = [_part(name, paths, floats.get(name)) for name, paths in trees.items()]
    return f"{number}: {words.listed(parts, MAX_TREES)}"


def floats_of(
    trees: Sequence[TreeStats], histories: Sequence[TreeHistory]
) -> dict[str, AbstractSet[str]]:
    """Of each tree, the paths of the leaves that can hold a NaN."""
    known: dict[str, AbstractSet[str]] = {h.name: {*h.paths} for h in histories}
    for tree in trees:
        known[tree.name] = {leaf.path for leaf in tree.leaves if leaf.kind in _FLOATS}
    return known


def _part(name: str, paths: Sequence[str], floats: AbstractSet[str] | None) -> str:
    if len(paths) == 1:
        return paths[0]
    if floats and floats <= {*paths}:
        return f"all of {name}"
    of = f" of the {len(floats):,}" if floats and len(floats) > len(paths) else ""
    return f"{len(paths):,}{of} leaves of {name}"


def _kinds(finding: Finding) -> str:
    """The kinds of value in the leaves, the worst first: `NaN`, `NaN or Inf`."""
    reached: Sequence[Reached] = finding.origin.reached if finding.origin else ()
    found = {kind for leaf in reached for kind in leaf.kinds} or {finding.kind}
    return " or ".join(text for kind, text in KINDS.items() if kind in found)
