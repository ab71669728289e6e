"""A call to peek into: traced with its names marked, and not run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import jax
import numpy as np

from jaxdbg.errors import UsageError
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.arrays import REF, spans_processes
from jaxdbg.jax_internals.fresh_traces import fresh_traces
from jaxdbg.jax_internals.functions import is_a_jitted
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.jax_internals.jaxprs.forms import in_avals
from jaxdbg.jax_internals.jaxprs.refs import without_refs
from jaxdbg.jax_internals.requirements import missing
from jaxdbg.jax_internals.taken_calls import NothingTaken, TakenCall, taken_call
from jaxdbg.origins.frames.bound_names import BoundName, BoundNames
from jaxdbg.trees.copies import is_gone

_NOT_JITTED = "{function} is not jitted; it is peeked as if it were."
_NO_FUNCTION = (
    "jaxdbg.peek() takes a function and what to call it with, as in "
    "jaxdbg.peek(train_step, model, batch); it was given {given}."
)
_NOT_TRACED = "{function} cannot be traced with these arguments: {kind}: {error}"
_NOT_SEEN = (
    "No jitted call was seen in {function}: a function that is compiled ahead of time "
    "cannot be peeked. Give the function itself."
)
_SPANS = (
    "{function} takes an array with shards in other processes, which cannot be "
    "evaluated in this one."
)
_TAKES_REFS = "{function} takes a Ref, which a second evaluation would write to again."
_LARGE = "not listed: {name}, which holds {count:,} arrays"


@dataclass(frozen=True, slots=True)
class PeekedCall:
    """A call that was traced, with markers.

    Attributes:
        function: its name.
        jaxpr: closed.
        args: its flat arguments.
        names: what its functions have bound, in this order.
        notes: what is to be said of it.
    """

    function: str
    jaxpr: Any
    args: Sequence[Any]
    names: Sequence[BoundName]
    notes: tuple[str, ...]


def peeked_call(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> PeekedCall:
    """Traces a call, and does not run it.

    Raises:
        UsageError: it cannot be traced with these arguments; says why.
    """
    if not callable(function):
        raise UsageError(_NO_FUNCTION.format(given=type(function).__name__))
    if lost := missing("frames"):
        raise UsageError(str(lost))
    name, notes = _name(function), []
    with our_own_work():
        if not is_a_jitted(function):
            notes.append(_NOT_JITTED.format(function=name))
            function, args, kwargs = _jitted(function, args, kwargs)
        bound = BoundNames()
        call = _taken(name, function, args, kwargs, bound)
        jaxpr = without_refs(call.jaxpr)
        flat = _kept(name, jaxpr, call.args)
    notes += [_LARGE.format(name=n, count=count) for n, count in bound.large.items()]
    return PeekedCall(name, jaxpr, flat, tuple(bound.names), tuple(notes))


def _taken(
    name: str,
    function: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    bound: BoundNames,
) -> TakenCall:
    try:
        with fresh_traces(), bound.watching():
            return taken_call(function, args, kwargs, lambda: bool(bound.names))
    except NothingTaken:
        raise UsageError(_NOT_SEEN.format(function=name)) from None
    except Exception as error:
        kind = type(error).__name__
        first, *_ = str(error).splitlines() or [""]
        said = _NOT_TRACED.format(function=name, kind=kind, error=first)
        raise UsageError(said) from error


def _jitted(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, Sequence[Any], Mapping[str, Any]]:
    """A function as jit takes it: arrays are traced, all else is static."""
    while isinstance(function, functools.partial):
        args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
        function = function.func
    if isinstance(function, MethodType):
        args, function = (function.__self__, *args), function.__func__
    for framework in loaded():
        call = framework.as_pure(function, args, kwargs)
        if call is not None:
            pure, leaves = call
            return jax.jit(pure), (leaves,), {}
    return _of_leaves(function, (tuple(args), dict(kwargs)))


def _of_leaves(
    function: Callable[..., Any], given: Any
) -> tuple[Any, Sequence[Any], Mapping[str, Any]]:
    leaves, tree = jax.tree.flatten((function, given))
    traced = {i: v for i, v in enumerate(leaves) if _is_traced(v)}

    def call(arrays: Mapping[int, Any]) -> None:
        new = [arrays.get(i, leaf) for i, leaf in enumerate(leaves)]
        again, (args, kwargs) = jax.tree.unflatten(tree, new)
        again(*args, **kwargs)

    return jax.jit(call), (traced,), {}


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic)


def _kept(name: str, jaxpr: Any, args: Sequence[Any]) -> list[Any]:
    """The arguments as the call was given them; the user may change NumPy's later."""
    if any(isinstance(a, REF) for a in (*args, *jaxpr.consts)):
        raise UsageError(_TAKES_REFS.format(function=name))
    if any(map(is_gone, args)):
        raise UsageError(_GONE.format(function=name))
    if any(map(spans_processes, (*args, *jaxpr.consts))):
        raise UsageError(_SPANS.format(function=name))
    pairs = zip(args, in_avals(jaxpr), strict=True)
    return [a if isinstance(a, jax.Array) else np.array(a, v.dtype) for a, v in pairs]


_GONE = (
    "{function} cannot be evaluated: an array that it is given is deleted, since it "
    "was donated to a call. Peek before that call, or with the array that it gave."
)


def check_there(call: PeekedCall) -> None:
    """Raises UsageError if an argument was donated to a call since."""
    if any(map(is_gone, call.args)):
        raise UsageError(_GONE.format(function=call.function))


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    named = getattr(function, "__name__", None)
    return named if isinstance(named, str) else type(function).__name__
