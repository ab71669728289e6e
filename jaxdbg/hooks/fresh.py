"""Tracing a function once more, for what the first trace did not note.

Inside `fresh_traces` JAX finds none of its cached traces, and derivative rules of
`custom_vjp` and `custom_jvp` keep their own lines. What is traced there is for reading:
it is kept under a trace context of its own, which no program meets.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from jaxdbg.hooks import _compat

RULE = "jaxdbg:rule:"
"""How the scope of a derivative rule begins; its number in `Rules` follows."""

FORWARD = ":fwd"
"""How it ends where the rule gives the result, not a derivative."""

RULE_CODE = "run_rule"
"""Name of the code below which the frames of a rule are its own."""

_CONTEXT = "jaxdbg|$^"
"""Of a setting that only says how source files are named in HLO; matches no file."""


class Rules:
    """The derivative rules that were run while tracing."""

    def __init__(self) -> None:
        self._forward: list[Any] = []

    def forward(self, scope: str) -> Any:
        """The traceback of what the rule of a scope differentiates, or None."""
        number = scope.removeprefix(RULE).removesuffix(FORWARD)
        return self._forward[int(number)] if number.isdigit() else None

    def with_own_lines(
        self, rule: Callable[..., Any], ending: str = ""
    ) -> Callable[..., Any]:
        """The rule, whose equations then have its lines and a scope that names it."""

        @functools.wraps(rule)
        def run_rule(*args: Any, **kwargs: Any) -> Any:
            scope = f"{RULE}{len(self._forward)}{ending}"
            with _compat.own_traceback() as forward, jax.named_scope(scope):
                self._forward.append(forward)
                return rule(*args, **kwargs)

        return run_rule


@contextlib.contextmanager
def fresh_traces() -> Iterator[Rules]:
    """While open, this thread traces everything afresh."""
    rules = Rules()
    with contextlib.ExitStack() as undo:
        undo.enter_context(_compat.other_trace_context(_CONTEXT))
        undo.enter_context(_compat.uncounted_by_chex())
        undo.enter_context(_own_lines(jax.custom_vjp, ("fwd", "bwd"), rules))
        undo.enter_context(_own_lines(jax.custom_jvp, ("jvp",), rules))
        yield rules


@contextlib.contextmanager
def _own_lines(cls: Any, names: Sequence[str], rules: Rules) -> Iterator[None]:
    plain, thread = cls.__call__, threading.get_ident()

    @functools.wraps(plain)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == thread:
            same = object.__new__(type(self))  # `copy` would ask for a function
            vars(same).update(vars(self))
            for name in names:
                if callable(rule := getattr(self, name, None)):
                    ending = FORWARD if name == "fwd" else ""
                    setattr(same, name, rules.with_own_lines(rule, ending))
            self = same
        return plain(self, *args, **kwargs)

    cls.__call__ = call
    try:
        yield
    finally:
        cls.__call__ = plain
