"""What to do about a compilation, by its cause: the shortest correct fix.

There is none where the compilation was right: the first, the two of a function that
trains and evaluates, the one after a cell was run again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxdbg.records.compile_event import CompileEvent, Reason


@dataclass(frozen=True, slots=True)
class Fix:
    """What is known of a cause.

    Attributes:
        avoidable: as in `Reason`.
        text: what to do; `{name}` stands for the argument, `{dtype}` for what it was.
    """

    avoidable: bool | None
    text: str = ""


PARTIAL = "partial batch"

MAX_SIZES = 3
"""In how many sizes an argument comes that has a last partial batch, or two."""

_ARRAY = Fix(True, "make it an array of one dtype: jnp.asarray({name}, jnp.{dtype})")

_GROWING = Fix(
    True,
    "give it its final size from the start, or pad it to few sizes (powers of two)",
)

_COUNTER = Fix(
    True,
    "keep it in a variable, nnx.Variable(jnp.asarray(...)): a plain attribute is a "
    "part of the program",
)

FIXES = {
    "shape": Fix(None, "pad it to few sizes: each shape is a program of its own"),
    PARTIAL: Fix(
        True, "drop the last batch, or pad it to the full size and mask what was added"
    ),
    "dtype": _ARRAY,
    "weak type": _ARRAY,
    "Python scalar": _ARRAY,
    "static value": Fix(
        None,
        "pass it as an array, if it may be one: what is in static_argnames (or "
        "static_argnums) compiles once for each value",
    ),
    "static identity": Fix(
        True,
        "use one object, or compare it by what it holds: @dataclass(frozen=True)",
    ),
    "pytree": Fix(
        True, "give it the same keys and types in each call: zeros in place of None"
    ),
    "call form": Fix(True, "pass it in one way in all calls: by position or by name"),
    "new function": Fix(
        True,
        "make and jit the function once, outside the loop, and pass what changes as "
        "an argument",
    ),
    "cell run again": Fix(False),
    "config": Fix(None, "set it once, before the first call"),
    "mesh": Fix(None, "enter the mesh once, around all calls"),
    "sharding": Fix(
        True, "place it before the first call too: jax.device_put({name}, sharding)"
    ),
    "committed": Fix(
        True, "place it before the first call too: jax.device_put({name}, device)"
    ),
    "device": Fix(None, "keep it on one device: jax.device_put({name}, device)"),
    "jit options": Fix(
        True, "jit the function once, with one set of options, and call that"
    ),
    "NNX structure": Fix(
        True,
        "make every variable before the first call (what sow adds, too, or nnx.pop it "
        "after each), and nnx.split and nnx.merge the module in one way",
    ),
    "NNX attribute": Fix(
        False, "give train and eval a jitted function each, with a model.eval() view"
    ),
    "cleared cache": Fix(
        None, "leave out jax.clear_caches(), or what else has made JAX forget it"
    ),
    "failed before": Fix(False),
    "nested": Fix(None),
    "eager loop": Fix(
        True,
        "collect in a list and jnp.stack it once, or fill an array with x.at[i].set",
    ),
    "stale closure": Fix(None, "pass it as an argument: what is closed over is frozen"),
    "unknown": Fix(None),
}
"""By cause, one for each of `CAUSES`."""


def advised(events: Sequence[CompileEvent]) -> tuple[CompileEvent, ...]:
    """The events; a reason without a verdict or an advice has got one.

    What one call can only guess, all of them tell: where an argument comes in many
    sizes, the smaller ones are not the last batch.
    """
    sizes: dict[tuple[str, ...], set[str]] = {}
    for event in events:
        if event.reason is not None and event.reason.cause in ("shape", PARTIAL):
            seen = sizes.setdefault(_argument(event, event.reason), set())
            seen |= {event.reason.before, event.reason.after}
    many = {argument for argument, seen in sizes.items() if len(seen) > MAX_SIZES}
    return tuple(
        event
        if event.reason is None
        else replace(event, reason=_in_sight_of_all(event, event.reason, many))
        for event in events
    )


def _argument(event: CompileEvent, reason: Reason) -> tuple[str, ...]:
    return event.function, event.defined, reason.where


def _in_sight_of_all(
    event: CompileEvent, reason: Reason, many: set[tuple[str, ...]]
) -> Reason:
    if not event.user and reason.cause != "eager loop":
        # Each eager op rightly has a program for each shape and dtype.
        return replace(reason, avoidable=None, advice="")
    if reason.cause == PARTIAL and _argument(event, reason) in many:
        reason = replace(reason, cause="shape", note="", avoidable=None, advice="")
    return judged(reason)


def judged(reason: Reason) -> Reason:
    """The reason, with what is known of its cause."""
    fix = _fix(reason)
    avoidable = fix.avoidable if reason.avoidable is None else reason.avoidable
    return replace(
        reason, avoidable=avoidable, advice=reason.advice or _filled(fix.text, reason)
    )


def _fix(reason: Reason) -> Fix:
    if reason.cause == "shape" and _grows(reason.before, reason.after):
        return _GROWING
    if reason.cause == "NNX attribute" and reason.avoidable:
        return _COUNTER
    return FIXES.get(reason.cause, FIXES["unknown"])


def _filled(text: str, reason: Reason) -> str:
    dtype = _dtype(reason.before) or "float32"
    return text.format(name=reason.where or "x", dtype=dtype)


_DTYPES = {
    "f": "float",
    "i": "int",
    "u": "uint",
    "c": "complex",
    "bf": "bfloat",
    "float": "float",
    "int": "int",
    "uint": "uint",
    "complex": "complex",
    "bfloat": "bfloat",
}


def _dtype(array: str) -> str:
    """`float32` of `f32[8]`; empty where it is not an array of numbers."""
    found = re.match(r"([a-z]+)(\d+)\[", array)
    return f"{_DTYPES[found[1]]}{found[2]}" if found and found[1] in _DTYPES else ""


def _dimensions(array: str) -> tuple[int, ...] | None:
    """`(8, 3)` of `f32[8,3]`; None where it is not such an array."""
    found = re.match(r"\w+\[([\d,]*)\]", array)
    return tuple(int(n) for n in found[1].split(",") if n) if found else None


def _grows(before: str, after: str) -> bool:
    """Whether one dimension has grown by one."""
    old, new = _dimensions(before), _dimensions(after)
    if old is None or new is None or len(old) != len(new):
        return False
    steps = [b - a for a, b in zip(old, new, strict=True) if a != b]
    return steps == [1]
