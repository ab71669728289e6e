"""What JAX remembers of where an equation comes from: frames, scopes, transforms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

import jax

from jaxdbg.jax_internals import fresh_traces as fresh, names as _compat

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_JAX = os.path.dirname(jax.__file__) + os.sep
_TRACING = os.path.join(_JAX, "_src", "interpreters", "partial_eval.py")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the Python stack in which an equation was made.

    Attributes:
        file, function: of the code; `function` is qualified.
        line, end_line: first and last line of the expression, from 1.
        column, end_column: its begin and end in UTF-8 bytes, from 0, the end excluded.
    """

    file: str
    function: str
    line: int
    column: int
    end_line: int
    end_column: int


def frames(eqn: Any) -> Iterator[Frame]:
    """The frames in which an equation was made, from inside out.

    They end where its jaxpr was traced: what lies outside of that belongs to the first
    caller of a jitted function, and this call may be another's. (JAX since 0.10 cuts
    the frames there itself.) Those of a custom derivative rule end with the rule.
    """
    return _frames(_compat.located(eqn.source_info.traceback))


def frames_outside_rule(traceback: Any) -> Iterator[Frame]:
    """The frames of what a rule differentiates: `fresh.Rules.forward`."""
    located = list(_compat.located(traceback))
    rules = [i for i, (code, _) in enumerate(located) if _is_rule(code)]
    return _frames(located[rules[0] + 1 :] if rules else located)


def is_of_jax(source: str) -> bool:
    """Whether a source file, or `file:line`, is one of JAX itself."""
    return source.startswith(_JAX)


def _frames(located: Iterable[tuple[CodeType, Any]]) -> Iterator[Frame]:
    for code, at in located:
        if _is_rule(code):
            return
        if code.co_filename == _TRACING and code.co_name.startswith("trace_to_jaxpr"):
            return
        if not code.co_filename.startswith(_OURS):
            yield Frame(
                code.co_filename,
                code.co_qualname,
                at.start_line,
                at.start_column,
                at.end_line,
                at.end_column,
            )


def _is_rule(code: CodeType) -> bool:
    return code.co_name == fresh.RULE_CODE and code.co_filename == fresh.__file__


def scopes(eqn: Any) -> tuple[str, ...]:
    """The named scopes of an equation, from outside in."""
    return tuple(e.name for e in _stack(eqn) if type(e).__name__ == "Scope")


def transforms(eqn: Any) -> tuple[str, ...]:
    """The transformations that made an equation, as `("transpose", "jvp")`."""
    return tuple(e.name for e in _stack(eqn) if type(e).__name__ == "Transform")


def _stack(eqn: Any) -> tuple[Any, ...]:
    return getattr(eqn.source_info.name_stack, "stack", ())
