"""The leaves that a bad value has reached, in few lines.

After a step that updates a model, all of it is bad, and a hundred lines that say so
hide the one leaf that is bad in part. So what is bad in part comes first, leaf by leaf,
and of what is wholly bad each tree has one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import KINDS, Reached, tree_name

MAX_LEAVES = 12
"""So many leaves are told one by one."""


def told(reached: Sequence[Reached]) -> list[str]:
    """One line for each leaf; where they are many, for each tree that is wholly bad."""
    if len(reached) <= MAX_LEAVES:
        return [_leaf(leaf) for leaf in reached]
    partly = [leaf for leaf in reached if leaf.bad < leaf.size]
    lines = [_leaf(leaf) for leaf in partly[:MAX_LEAVES]]
    more = len(partly) - MAX_LEAVES
    if more > 0:
        lines.append(f"and {more} more {'leaf' if more == 1 else 'leaves'} in part")
    trees: dict[str, list[Reached]] = {}
    for leaf in reached:
        if leaf.bad == leaf.size:
            trees.setdefault(tree_name(leaf.path), []).append(leaf)
    return lines + [_tree(name, leaves) for name, leaves in trees.items()]


def _leaf(leaf: Reached) -> str:
    in_part = leaf.bad < leaf.size
    first = f", first at {list(leaf.first)}" if in_part and leaf.first else ""
    return f"{leaf.path}: {leaf.bad:,} of {leaf.size:,} ({_kinds(leaf.kinds)}){first}"


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
