"""The leaves that a bad value has reached, in few lines.

After a step that updates a model, all of it is bad, and a hundred lines that say so
hide the one leaf that is bad in part. So what is bad in part comes first, leaf by leaf,
and of what is wholly bad each tree has one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import Reached, tree_name
from jaxdbg.views import words
from jaxdbg.views.words import KINDS

MAX_LEAVES = 12
"""Up to how many leaves have a line each."""


def lines(reached: Sequence[Reached]) -> list[str]:
    """One line for each leaf; where they are many, for each tree that is wholly bad."""
    if len(reached) <= MAX_LEAVES:
        return [_leaf(leaf) for leaf in reached]
    partly = [leaf for leaf in reached if leaf.bad < leaf.size]
    shown = [_leaf(leaf) for leaf in partly[:MAX_LEAVES]]
    more = len(partly) - MAX_LEAVES
    if more > 0:
        shown.append(f"and {words.more(more, 'leaf')} in part")
    trees: dict[str, list[Reached]] = {}
    for leaf in reached:
        if leaf.bad == leaf.size:
            trees.setdefault(tree_name(leaf.path), []).append(leaf)
    return shown + [_tree(name, leaves) for name, leaves in trees.items()]


def counts(leaf: Reached) -> str:
    """`3 of 4 (NaN, Inf), first at [1]`."""
    in_part = leaf.bad < leaf.size
    first = f", first at {list(leaf.first)}" if in_part and leaf.first else ""
    return f"{leaf.bad:,} of {leaf.size:,} ({_kinds(leaf.kinds)}){first}"


def _leaf(leaf: Reached) -> str:
    return f"{leaf.path}: {counts(leaf)}"


def _tree(name: str, leaves: Sequence[Reached]) -> str:
    if len(leaves) == 1:
        return _leaf(leaves[0])
    kinds = _kinds(dict.fromkeys(kind for leaf in leaves for kind in leaf.kinds))
    first, last = leaves[0].path, leaves[-1].path
    return (
        f"{name}: every element of {len(leaves)} leaves ({kinds}), "
        f"from {first} to {last}"
    )


def _kinds(kinds: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(KINDS[kind] for kind in kinds)
