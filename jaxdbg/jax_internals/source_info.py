"""What JAX remembers of where an equation comes from: frames, scopes, transforms."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.jax_internals import fresh_traces
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.names import is_jax_file
from jaxdbg.jax_internals.requirements import Private, derived, missing, private

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import JaxprEqn

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PLACE = private("jax._src.source_info_util.raw_frame_to_frame", "origin")
_STACK = private("jax._src.source_info_util.NameStack.stack", "modules")
_SCOPE = private("jax._src.source_info_util.Scope", "modules")
private("jax._src.source_info_util.NameStack.stack", "passes")
_TRANSFORM = private("jax._src.source_info_util.Transform", "passes")


def _traces(name: str) -> Private:
    return private(f"jax._src.interpreters.partial_eval.{name}", "origin")


_TRACE = (
    _traces("trace_to_jaxpr"),
    _traces("trace_to_jaxpr_dynamic"),
    _traces("trace_to_jaxpr_nounits"),
)
"""The functions of JAX in which a jaxpr is made."""


def _composes(name: str) -> Private:
    return private(f"jax._src.{name}", "library lines")


_COMPOSED = tuple(
    map(_composes, ("numpy", "nn", "scipy", "random", "image", "third_party"))
)
"""Where JAX writes functions out of others; the rest of it is machinery."""

_CONTROL_FLOW = (_composes("lax.control_flow"),)
"""Where loops and branches are differentiated, whose bodies are the user's."""

_FUNCTIONS = (*_COMPOSED, _composes("lax"), _composes("ops"))
"""Where JAX defines functions that users call."""


def _applies(name: str) -> Private:
    return private(f"jax._src.interpreters.ad.{name}", "forward functions")


_APPLIES_RULE = (
    _applies("JVPTrace.process_primitive"),
    _applies("JVPTrace.process_custom_jvp_call"),
    _applies("LinearizeTrace.process_primitive"),
    _applies("LinearizeTrace.process_custom_jvp_call"),
)
"""The functions of JAX that call the derivative rule of a function."""

_PLUMBING = ("array_methods.py", "ufunc_api.py", "util.py", "reductions.py")


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


def frames(eqn: JaxprEqn) -> Iterator[Frame]:
    """The frames in which an equation was made, from inside out.

    They end where its jaxpr was traced: what lies outside of that belongs to the first
    caller of a jitted function, and this call may be another's. (JAX since 0.10 cuts
    the frames there itself.) Those of a custom derivative rule end with the rule.
    """
    return _frames(_located(eqn.source_info.traceback))


def first_outside_of_jax(eqn: JaxprEqn) -> Frame | None:
    """The innermost frame of an equation that is not of JAX; None if it has none."""
    return next((f for f in frames(eqn) if not is_jax_file(f.file)), None)


def frames_outside_rule(traceback: Any) -> Iterator[Frame]:
    """The frames of what a rule differentiates: `fresh_traces.Rules.forward`."""
    located = list(_located(traceback))
    rules = [i for i, (code, _) in enumerate(located) if _is_rule(code)]
    return _frames(located[rules[0] + 1 :] if rules else located)


def is_composed(file: str) -> bool:
    """Whether code of a file is a function that JAX writes out of others."""
    return file.startswith(_composed()) and os.path.basename(file) not in _PLUMBING


def is_of_functions(file: str) -> bool:
    """Whether code of a file is of functions that users call: JAX's, or a library's."""
    return file.startswith(_public()) or not is_jax_file(file)


def is_of_a_rule(frame: Frame) -> bool:
    """Whether a frame may be of a derivative rule of JAX, and not of a loop's."""
    control_flow = frame.file.startswith(_loops_and_branches())
    return is_of_functions(frame.file) and not control_flow


def applies_a_rule(frame: Frame) -> bool:
    """Whether a frame of JAX calls the derivative rule of a function."""
    return frame.function in _rule_calls() and is_jax_file(frame.file)


def is_derivative(eqn: JaxprEqn) -> bool:
    """Whether the derivative rule of a primitive made an equation, by its frames.

    A rule of the user's, or of a library's `custom_jvp`, gives the result too, and so
    does that of a primitive of matrices: by the primitive itself.
    """
    in_rule = of_primitive = False
    for frame in frames(eqn):
        if is_user_file(frame.file):
            break
        if applies_a_rule(frame):
            of_primitive = in_rule and frame.function.endswith("process_primitive")
        elif frame.file.startswith(_public()):
            if of_primitive:
                return frame.function != str(eqn.primitive.name)
            in_rule = in_rule or is_of_a_rule(frame)
    return of_primitive


def is_of_its_function(eqn: JaxprEqn) -> bool:
    """Whether the function of the same name made an equation, and no derivative rule.

    `cholesky` is, where `jnp.linalg.cholesky` is differentiated.
    """
    innermost = ""
    for frame in frames(eqn):
        if is_user_file(frame.file):
            break
        if applies_a_rule(frame):
            return False
        if frame.file.startswith(_public()):
            innermost = innermost or frame.function
    return innermost == str(eqn.primitive.name)


@derived
def _rule_calls() -> frozenset[str]:
    return frozenset(
        ".".join(rule.name.split(".")[-2:]) for rule in _APPLIES_RULE if not rule.absent
    )


@derived
def _composed() -> tuple[str, ...]:
    return _files(_COMPOSED)


@derived
def _loops_and_branches() -> tuple[str, ...]:
    return _files(_CONTROL_FLOW)


@derived
def _public() -> tuple[str, ...]:
    return _files(_FUNCTIONS)


def _files(modules: Iterable[Private]) -> tuple[str, ...]:
    """How the paths of some modules and packages begin."""
    found = [m.get() for m in modules if not m.absent]
    files = (
        getattr(m, "__file__", None) or f"{m.__path__[0]}/__init__.py" for m in found
    )
    return tuple(f.removesuffix("__init__.py") for f in files)


def is_tracing(code: CodeType) -> bool:
    """Whether code is of JAX's functions in which a jaxpr is made."""
    return code in _tracing()


@derived
def _tracing() -> frozenset[CodeType]:
    return frozenset[CodeType]().union(*(t.codes() for t in _TRACE))


def _frames(located: Iterable[tuple[CodeType, Any]]) -> Iterator[Frame]:
    for code, at in located:
        if _is_rule(code):
            return
        if is_tracing(code):
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
    return code.co_name == fresh_traces.RULE_CODE and (
        code.co_filename == fresh_traces.__file__
    )


def _located(traceback: Any) -> Iterator[tuple[CodeType, Any]]:
    """Each frame of JAX's traceback of an equation, from inside out: code and place.

    The place has `start_line`, `start_column`, `end_line`, `end_column`; lines count
    from 1, columns are UTF-8 bytes from 0.
    """
    if traceback is None or missing("origin"):
        return
    place = _PLACE.get()
    for code, instruction in zip(*traceback.raw_frames(), strict=True):
        yield code, place(code, instruction)


def loop_function(eqn: JaxprEqn) -> str:
    """The function of JAX in whose name the user wrote a loop: `fori_loop`, or empty.

    It makes a scan where the bounds are known, and a while where they are not.
    """
    for code, _ in _located(eqn.source_info.traceback):
        if code is inspect.unwrap(jax.lax.fori_loop).__code__:
            return "fori_loop"
        if is_user_file(code.co_filename):
            break
    return ""


def scopes(eqn: JaxprEqn) -> tuple[str, ...]:
    """The named scopes of an equation, from outside in."""
    return _names_on_stack(eqn, _SCOPE)


def transforms(eqn: JaxprEqn) -> tuple[str, ...]:
    """The transformations that made an equation, as `("transpose", "jvp")`."""
    return _names_on_stack(eqn, _TRANSFORM)


def _names_on_stack(eqn: JaxprEqn, kind: Private) -> tuple[str, ...]:
    if kind.absent or _STACK.absent:
        return ()
    stack = _STACK.of(eqn.source_info.name_stack)
    return tuple(e.name for e in stack if isinstance(e, kind.get()))


def raw_stack(eqn: JaxprEqn) -> tuple[list[CodeType], list[int]]:
    """The code and the instructions in which an equation was made, from inside out."""
    traceback: Any = eqn.source_info.traceback
    return ([], []) if traceback is None else traceback.raw_frames()


def instructions(
    codes: Iterable[CodeType], at: Iterable[int]
) -> Iterator[tuple[CodeType, int]]:
    """The part of a raw stack that ends where a jaxpr was traced, as `frames` does."""
    for code, instruction in zip(codes, at, strict=True):
        if is_tracing(code) or _is_rule(code):
            return
        if not code.co_filename.startswith(_OURS):
            yield code, instruction


def is_transposed(eqn: JaxprEqn) -> bool:
    """Whether an equation is one of a backward pass."""
    return "transpose" in transforms(eqn)
