"""What a failed assertion over trees is about, in words: the leaf, the element, values.

`1 of 36 leaves is not finite: model.blocks[3].b.kernel[2, 5] is NaN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxdbg.jax_internals.chex.asserted import Asserted, Failed
from jaxdbg.origins import numbers
from jaxdbg.origins.bad_elements import kinds_in
from jaxdbg.trees.paths import element_path
from jaxdbg.views import words


def in_words(asserted: Asserted, failed: Sequence[Failed]) -> str:
    """One line on an assertion that failed."""
    count, of = len(failed), len(asserted.rows)
    leaves = words.count(of, "leaf") if of == 1 else f"{of} leaves"
    worst = named_first(failed)
    if len(worst.values) > 1:
        verb = "differs" if count == 1 else "differ"
        said = _both(worst)
    else:
        verb = "is not finite" if count == 1 else "are not finite"
        said = f"{_path(worst, 0)} is {words.KINDS[kinds_in(worst.values[0])[0]]}"
    within = f" ({asserted.tolerance})" if asserted.tolerance else ""
    note = f". Custom message: {asserted.note}." if asserted.note else ""
    return f"{count} of {leaves} {verb}: {said}{within}{note}"


def named_first(failed: Sequence[Failed]) -> Failed:
    """Of leaves that are compared the one that differs most; else the first."""
    return max(failed, key=_apart) if len(failed[0].values) > 1 else failed[0]


def counted(failed: Failed) -> str:
    """How many elements of a leaf are bad, or differ; empty where it has but one."""
    size = 1
    for n in failed.row.shape:
        size *= n
    if size == 1:
        return ""
    what = words.array(failed.row.dtype, failed.row.shape)
    many = failed.count != 1
    if len(failed.values) > 1:
        verb = "differ, this one most" if many else "differs"
    else:
        verb = "are not finite, this is the first" if many else "is not finite"
    noun = "elements" if size != 1 else "element"
    return f"{failed.count} of its {size} {noun} {verb}: {what}"


def _apart(failed: Failed) -> float:
    a, b = (complex(value) for value in failed.values)
    apart = abs(a - b)
    return apart if apart == apart else float("inf")


def _both(failed: Failed) -> str:
    a, b = (numbers.said(value[()]) for value in failed.values)
    if not any(failed.row.paths):
        return f"{_path(failed, 0)} is {a} in one and {b} in the other"
    if not all(failed.row.paths):
        named = 0 if failed.row.paths[0] else 1
        a, b = (a, b) if failed.row.paths[0] else (b, a)
        return f"{_path(failed, named)} is {a} and the other is {b}"
    return f"{_path(failed, 0)} is {a} and {_path(failed, 1)} is {b}"


def _path(failed: Failed, i: int) -> str:
    path = failed.row.paths[i]
    if path:
        return element_path(path, failed.index)
    place = f" {list(failed.index)}" if failed.index else ""
    return f"the element{place}" if failed.row.shape else "the value"


def leaf_of(failed: Failed) -> dict[str, Any]:
    """What a finding says of the leaf."""
    return {
        "path": failed.row.paths[0],
        "index": failed.index,
        "shape": failed.row.shape,
        "dtype": failed.row.dtype,
    }
