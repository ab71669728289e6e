"""What a function was traced for: the signature of a call, and how two differ.

Shapes, dtypes and plain static values only: a value of the user's is never asked for
its `repr` or compared, which could be slow, wrong, or raise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import FrameType
from typing import Any

Signature = Mapping[str, str]
"""By name of the argument or leaf, what it was: `float32[64,8]`, or a static value."""

_PLAIN = (int, float, complex, str, bytes, bool, type(None))


def signature_of(tracing: FrameType, calling: FrameType) -> Signature:
    """The signature of a trace that begins.

    Arguments:
        tracing: JAX's frame in which the function is about to be traced.
        calling: its caller, which holds the arguments of the jitted call.
    """
    local = tracing.f_locals
    names = local["debug_info"].arg_names or ()
    avals = list(local["in_avals"])
    if len(names) != len(avals):
        names = [f"argument {i + 1}" for i in range(len(avals))]
    shapes = {n: _aval(a) for n, a in zip(names, avals, strict=True)}
    return shapes | dict(_statics(calling.f_locals))


def closest(now: Signature, earlier: Sequence[Signature]) -> list[str]:
    """How `now` differs from the earlier signature that is most like it.

    Of several that are alike, the latest counts.

    Returns:
        Lines such as `x: float32[64,8] → float32[5,8]`; empty where nothing differs.
    """
    differences = [list(_differences(now, before)) for before in reversed(earlier)]
    return min(differences, key=len, default=[])


def _differences(now: Signature, before: Signature) -> Iterator[str]:
    for name in dict.fromkeys((*now, *before)):
        new, old = now.get(name, "(not there)"), before.get(name, "(not there)")
        if new != old:
            yield f"{name}: {old} → {new}"


def _aval(aval: Any) -> str:
    weak = ", weakly typed" if getattr(aval, "weak_type", False) else ""
    return f"{aval.str_short()}{weak}"


def _statics(call: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    info, args, kwargs = call["ji"], call["args"], call["kwargs"]
    parameters = list(info.fun_signature.parameters) if info.fun_signature else []
    for i in info.static_argnums:
        if -len(args) <= i < len(args):
            i %= len(args)
            name = parameters[i] if i < len(parameters) else f"argument {i + 1}"
            yield name, _static(args[i])
    for name in info.static_argnames:
        if name in kwargs:
            yield name, _static(kwargs[name])


def _static(value: Any, depth: int = 2) -> str:
    if type(value) in _PLAIN:
        text = repr(value)
        return text if len(text) < 60 else f"{text[:56]}..."
    if type(value) is tuple and depth:
        inner = ", ".join(_static(v, depth - 1) for v in islice(value, 8))
        return f"({inner}{', ...' if len(value) > 8 else ''})"
    return f"{type(value).__name__} object at {id(value):#x}"
