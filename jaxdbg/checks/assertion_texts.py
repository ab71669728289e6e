"""What a failed check says, with its large arrays in a few words.

`checkify.check`, and with it chex, put the values of their arguments into the text: of
two arrays of 64x8 that makes 128 lines. What one looks for is how many elements differ,
where, and by how much.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxdbg.jax_internals.arrays import Host, can_be_non_finite
from jaxdbg.views import words

FEW = 8
"""Elements of an array that are still written out."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a failed check.

    Attributes:
        short: with large arrays in a few words.
        full: as the check has it; empty where that is the same.
        differences: lines on how two arrays differ that it compares.
    """

    short: str
    full: str = ""
    differences: tuple[str, ...] = ()


def text_of(exception: Any) -> Text:
    """The text of checkify's exception for a failed check.

    Arguments:
        exception: of a check of the user's (then it holds the values), or any other.
    """
    full = str(exception).removesuffix(" (`check` failed)").strip()
    form = getattr(exception, "fmt_string", None)
    if form is None:
        return Text(full)
    args = [_shown(a) for a in exception.args]
    kwargs = {name: _shown(value) for name, value in exception.kwargs.items()}
    try:
        short = form.format(*args, **kwargs).strip()
    except (AttributeError, LookupError, TypeError, ValueError):
        return Text(full)  # it asks for `{x.shape}` or `{x[0]:.3f}`
    if short == full:
        return Text(full)
    return Text(short, full, tuple(_differences(form, exception.kwargs)))


class _Words:
    """A text in place of an array, also inside a dict or a list."""

    def __init__(self, text: object):
        self._text = text

    def __repr__(self) -> str:
        return str(self._text)


def _shown(value: Any) -> Any:
    """An argument of a text as it is, if it is small; as words, if it is not."""
    if isinstance(value, jax.Array | np.ndarray):
        return value if value.size <= FEW else _in_words(value)
    return jax.tree.map(_in_words, value)


def _in_words(value: Any) -> Any:
    if not isinstance(getattr(value, "dtype", None), np.dtype):
        return value
    array = np.asarray(value)
    if array.size <= FEW:
        return _Words(array)
    text = words.array(str(array.dtype), array.shape)
    good = array[np.isfinite(array)] if can_be_non_finite(array) else array
    if good.size and good.dtype.kind not in "cb":
        text += f" from {good.min()} to {good.max()}"
    if bad := array.size - good.size:
        text += f" with {bad} not finite"
    return _Words(text)


def _differences(form: str, values: dict[str, Any]) -> list[str]:
    """How the two arrays on both sides of a `!=` in the text differ."""
    names = re.search(r"\{(\w+)\} != \{(\w+)\}", form)
    if names is None:
        return []
    one, other = (np.asarray(values[n]) for n in names.groups())
    if one.shape != other.shape or one.dtype != other.dtype or one.dtype.kind == "b":
        return []
    with np.errstate(all="ignore"):
        differ = ~_equal(one, other, form)
        if not differ.any():
            return []
        first = tuple(map(int, np.argwhere(differ)[0]))
        most = (np.maximum(one, other) - np.minimum(one, other))[differ].max()
    at = f" at {list(first)}" if first else ""
    return [
        f"  {differ.sum()} of {one.size} elements differ, by {most} at most; "
        f"the first{at}: {one[first]} != {other[first]}"
    ]


def _equal(one: Host, other: Host, form: str) -> Host:
    """Element by element, by the tolerances that the text names."""
    said = re.search(r"\(rtol=([^,]+), atol=([^)]+)\)", form)
    if said is None:
        same: Host = (one == other) | ((one != one) & (other != other))
        return same
    rtol, atol = map(float, said.groups())
    close: Host = np.isclose(one, other, rtol, atol)
    return close
