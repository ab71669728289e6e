"""Tracing a function once more, for what the first trace did not note.

Inside `fresh_traces` JAX finds none of its cached traces, and derivative rules of
`custom_vjp` and `custom_jvp` keep their own lines. What is traced there is for reading:
it is kept under a trace context of its own, which nothing meets later.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from jaxdbg.jax_internals.chex_trace_counter import uncounted
from jaxdbg.jax_internals.config import other_trace_context
from jaxdbg.jax_internals.requirements import Private, private
from jaxdbg.jax_internals.shared_changes import SharedChange

_CONTEXT_NOW = private("jax._src.source_info_util._source_info_context", "modules")
_CURRENT = private("jax._src.source_info_util.current", "modules")
_FORWARD_RULE = private("jax._src.custom_derivatives.custom_vjp.fwd", "modules")
_BACKWARD_RULE = private("jax._src.custom_derivatives.custom_vjp.bwd", "modules")
_TANGENT_RULE = private("jax._src.custom_derivatives.custom_jvp.jvp", "modules")

RULE = "jaxdbg:rule:"
"""How the scope of a derivative rule begins; its number in `Rules` follows."""

FORWARD = ":fwd"
"""How it ends where the rule gives the result, not a derivative."""

RULE_CODE = "run_rule"
"""Name of the code below which the frames of a rule are its own."""

_CONTEXT = "jaxdbg{}|$^"
"""Of a setting that only says how source files are named in HLO; matches no file."""

_number = itertools.count()


MAX_RULES = 10_000
"""How many rules are remembered; a model of a hundred layers runs some hundreds."""


class Rules:
    """The derivative rules that were run while tracing afresh, in all of a process.

    JAX hands the trace of a library's jitted function to later fresh traces, with the
    scopes of the rules that ran in it. So each rule has a number of its own.
    """

    def __init__(self) -> None:
        self._forward: dict[int, Any] = {}
        self._numbers = itertools.count()

    def forward(self, scope: str) -> Any:
        """The traceback of what the rule of a scope differentiates; None if unknown."""
        number = scope.removeprefix(RULE).removesuffix(FORWARD)
        return self._forward.get(int(number)) if number.isdigit() else None

    def _numbered(self, forward: Any, number: int) -> None:
        self._forward[number] = forward
        self._forward.pop(number - MAX_RULES, None)

    def with_own_lines(
        self, rule: Callable[..., Any], ending: str = ""
    ) -> Callable[..., Any]:
        """The rule, whose equations then have its lines and a scope that names it."""

        @functools.wraps(rule)
        def run_rule(*args: Any, **kwargs: Any) -> Any:
            number = next(self._numbers)
            scope = f"{RULE}{number}{ending}"
            with _own_traceback() as forward, jax.named_scope(scope):
                self._numbered(forward, number)
                return rule(*args, **kwargs)

        return run_rule


RULES = Rules()
"""Those of this process."""


@contextlib.contextmanager
def fresh_traces() -> Iterator[None]:
    """While open, this thread traces everything afresh."""
    with contextlib.ExitStack() as undo:
        undo.enter_context(other_trace_context(_CONTEXT.format(next(_number))))
        undo.enter_context(uncounted())
        undo.enter_context(_quiet.kept())
        undo.enter_context(_own_lines.kept())
        yield


class _Quiet(threading.local):
    """What a thread prints that asks for it is dropped: the user has read it before."""

    is_on = False

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        before, self.is_on = self.is_on, True
        try:
            with _DIVERTED.made():
                yield
        finally:
            self.is_on = before


def _divert() -> Callable[[], None]:
    plain = sys.stdout
    sys.stdout = ours = _OfOtherThreads(plain)

    def undo() -> None:
        if sys.stdout is ours:
            sys.stdout = plain

    return undo


class _OfOtherThreads:
    """A stream that takes what threads write that do not ask to be quiet."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if _quiet.is_on else int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _OwnLines(threading.local):
    """For threads that ask, derivative rules keep their own lines."""

    are_asked_for = False

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        before, self.are_asked_for = self.are_asked_for, True
        try:
            with _RULES_REPLACED.made():
                yield
        finally:
            self.are_asked_for = before


def _replace_rules() -> Callable[[], None]:
    plain = {cls: cls.__call__ for cls in _RULES}
    for cls, call in plain.items():
        cls.__call__ = _with_rules(call, _RULES[cls])

    def undo() -> None:
        for cls, call in plain.items():
            cls.__call__ = call

    return undo


def _with_rules(plain: Any, rules: Sequence[Private]) -> Any:
    @functools.wraps(plain)
    def call(custom: Any, *args: Any, **kwargs: Any) -> Any:
        if _own_lines.are_asked_for:
            custom = _with_own_lines(custom, rules)
        return plain(custom, *args, **kwargs)

    return call


_RULES: dict[Any, tuple[Private, ...]] = {
    jax.custom_vjp: (_FORWARD_RULE, _BACKWARD_RULE),
    jax.custom_jvp: (_TANGENT_RULE,),
}
"""The classes, and which of their attributes are rules."""

_own_lines = _OwnLines()
_RULES_REPLACED = SharedChange(_replace_rules)
_quiet = _Quiet()
_DIVERTED = SharedChange(_divert)


def _with_own_lines(custom: Any, rules: Sequence[Private]) -> Any:
    same = object.__new__(type(custom))  # `copy` would ask for a function
    vars(same).update(vars(custom))
    for rule in rules:
        if callable(written := rule.of(custom)):
            ending = FORWARD if rule is _FORWARD_RULE else ""
            setattr(same, rule.attribute, RULES.with_own_lines(written, ending))
    return same


@contextlib.contextmanager
def _own_traceback() -> Iterator[Any]:
    """Equations made inside have their own traceback, not one that JAX has set.

    Gives the one that it would have been.
    """
    here, outside = _CONTEXT_NOW.get(), _CURRENT.get()().traceback
    before = here.context
    here.context = type(before)(None, before.name_stack)
    try:
        yield outside
    finally:
        here.context = before
