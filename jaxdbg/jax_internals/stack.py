"""What JAX does on the Python stack: which call it traces, lowers, compiles or runs.

The frames of JAX are only read; of each function of JAX that is looked for, the
declaration names the variables that are read. One walk outward finds all.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import CodeType, FrameType
from typing import Any

from jaxdbg.jax_internals import libraries
from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import (
    JITTED,
    Function,
    as_called,
    function_of,
    is_between,
    is_user_file,
)
from jaxdbg.jax_internals.interpose import Invocation
from jaxdbg.jax_internals.requirements import Private, derived, private
from jaxdbg.jax_internals.stand_ins import original
from jaxdbg.jax_internals.user_frames import outward, source_frame
from jaxdbg.records.source import SourceFrame, cell_number

_OPTIONS = (
    "donated_invars",
    "keep_unused",
    "compiler_options_kvs",
    "out_shardings",
    "in_layouts",
    "out_layouts",
)

_LOWER = private(
    "jax._src.pjit._pjit_lower",
    "reasons",
    "why a function was compiled again is known in part",
    variables=("jaxpr", "in_shardings", *_OPTIONS),
)
_EXECUTE = private(
    "jax._src.pjit._pjit_call_impl_python",
    "reasons",
    "why a function was compiled again is known in part",
    variables=("jaxpr", "args", *_OPTIONS),
)
_COMPILE = private(
    "jax._src.interpreters.pxla.MeshComputation.compile",
    "reasons",
    "of what is compiled ahead of time only the name is known",
    variables=("self",),
)
_COMPILE_ARGS = private(
    "jax._src.interpreters.pxla.MeshComputation.compile_args",
    "reasons",
    "of what is compiled ahead of time only the name is known",
)
_CALL = private(
    "jax._src.pjit._run_python_pjit",
    "modules",
    variables=("fun", "args", "kwargs"),
)
_CALL_RESULTS = private(
    "jax._src.pjit._run_python_pjit",
    "names",
    variables=("p",),
)
_RESULT_TREE = private(
    "jax._src.pjit.PjitParams.out_tree",
    "names",
)
_PARAMETERS = private("jax._src.pjit.PjitParams.params", "reasons")
_TRACE_FOR_JIT = private(
    "jax._src.pjit._trace_for_jit",
    "counts",
    variables=("fun",),
)
_TRACE = private(
    "jax._src.interpreters.partial_eval.trace_to_jaxpr",
    "counts",
    variables=("fun", "debug_info", "in_avals"),
    constants=("trace_to_jaxpr",),
)
_TRACE_ARGUMENTS = private(
    "jax._src.pjit._trace_for_jit",
    "reasons",
    "why a function was traced again is known in part",
    variables=("ji", "args", "kwargs"),
)
_TRACE_FOR_REMAT = private(
    "jax._src.ad_checkpoint._trace_to_jaxpr",
    "chex",
    variables=("fun",),
)
_EXIT = private(
    "jax._src.dispatch.LogElapsedTimeContextManager.__exit__",
    "phases",
    "a compilation that fails may count as one that ended well",
    variables=("exc_type",),
)


def _option(name: str, capability: str = "reasons") -> Private:
    return private(f"jax._src.pjit.PjitInfo.{name}", capability)


_STATIC_ARGNUMS = _option("static_argnums", "modules")
_STATIC_ARGNAMES = _option("static_argnames", "modules")
_SIGNATURE = _option("fun_signature")
_JIT_OPTIONS = (
    _STATIC_ARGNUMS,
    _STATIC_ARGNAMES,
    _option("donate_argnums"),
    _option("donate_argnames"),
    _option("keep_unused"),
    _option("inline"),
    _option("compiler_options_kvs"),
)


def _pass(name: str) -> Private:
    lost = "the passes of a derivative, and batched traces, are not distinguished"
    return private(name, "reasons", lost)


_ROLES = (
    (_pass("jax._src.interpreters.ad.backward_pass"), "backward"),
    (_pass("jax._src.interpreters.ad.backward_pass3"), "backward"),
    (_pass("jax._src.pjit._pjit_linearize"), "forward"),
    (_pass("jax._src.pjit._pjit_partial_eval"), "forward"),
    (_pass("jax._src.pjit._pjit_jvp"), "forward"),
    (_pass("jax._src.pjit._pjit_batcher"), "batched"),
)
"""Functions of JAX that make other programs of a function, and which."""


class Seen(Enum):
    """What a frame does for the innermost jitted call."""

    LOWERING = "lowering"
    EXECUTING = "executing"
    CALLING = "calling"
    TRACING = "tracing"
    COMPILING = "compiling"
    DERIVING = "deriving"
    LIBRARY = "library"


@dataclass(frozen=True, slots=True)
class JitCall:
    """A jitted call that JAX lowers or executes; the names are those of JAX.

    Attributes:
        jaxpr: its closed jaxpr.
        args: the flat arguments, the constants first; None while it is lowered.
        in_shardings: None while it is executed.
    """

    jaxpr: Any
    args: Sequence[Any] | None = None
    in_shardings: Sequence[Any] | None = None
    donated_invars: Sequence[bool] = ()
    keep_unused: bool | None = None
    compiler_options_kvs: Any = None
    out_shardings: Sequence[Any] = ()
    in_layouts: Any = None
    out_layouts: Any = None


@dataclass(frozen=True, slots=True)
class Stack:
    """What one walk outward from a frame finds.

    Attributes:
        lowering, executing: the innermost call, where JAX does that; else None.
        function: what was passed to jit, of the innermost call; None where not known.
        compiled: what JAX knows of the arguments of what it compiles; None for nothing.
        derived: the user's call, where a region runs it; else None.
        library_call: locals of a running call of a library's jit; else None.
        role: what is made of the function; see `CompileEvent`.
        source: the user's line, None for none.
        cell: IPython's number of the cell that runs, None outside a notebook.
        by_library: whether the innermost code that is not of JAX is a library's.
    """

    lowering: JitCall | None = None
    executing: JitCall | None = None
    function: Any = None
    compiled: Any = None
    derived: Invocation | None = None
    library_call: Mapping[str, Any] | None = None
    role: str = ""
    source: SourceFrame | None = None
    cell: int | None = None
    by_library: bool = False


def read_stack(frame: FrameType | None) -> Stack:
    """What JAX does for the innermost call, and from which line of the user's.

    Arguments:
        frame: where to begin to look, from inside out.
    """
    meaning, of_libraries = _meaning(), libraries.call_codes()
    found: dict[Seen, FrameType] = {}
    role = ""
    users: list[FrameType] = []
    inside = True  # whether we are still in the innermost call
    by_library = False
    for one in outward(frame):
        code = one.f_code
        seen = meaning.get(code)
        if seen is None and code in of_libraries:
            seen = Seen.LIBRARY
        if seen is None:
            if is_user_file(code.co_filename):
                users.append(one)
            elif not users:
                by_library = by_library or not is_between(code.co_filename)
        elif not inside:
            continue
        elif isinstance(seen, str):
            role = role or seen
        elif seen is Seen.TRACING and found:
            inside = False  # the call it is nested in
        else:
            found.setdefault(seen, one)
    return replace(_stack(found, role, users), by_library=by_library)


@derived
def _meaning() -> dict[CodeType, Seen | str]:
    """By code, what a frame of it does; for what it makes of a function, its role."""
    looked_for = (
        (_LOWER, Seen.LOWERING),
        (_EXECUTE, Seen.EXECUTING),
        (_CALL, Seen.CALLING),
        (_TRACE_FOR_JIT, Seen.TRACING),
        (_COMPILE, Seen.COMPILING),
        *_ROLES,
    )
    known: dict[CodeType, Seen | str]
    known = {code: seen for one, seen in looked_for for code in one.codes()}
    return known | {Invocation.run_with.__code__: Seen.DERIVING}


def _stack(
    found: Mapping[Seen, FrameType], role: str, users: Sequence[FrameType]
) -> Stack:
    calling = _read(_CALL, found.get(Seen.CALLING))
    library = found.get(Seen.LIBRARY)
    deriving = found.get(Seen.DERIVING)
    cells = (cell_number(f.f_code.co_filename) for f in reversed(users))
    return Stack(
        lowering=_jit_call(_LOWER, found.get(Seen.LOWERING)),
        executing=_jit_call(_EXECUTE, found.get(Seen.EXECUTING)),
        function=calling.get("fun"),
        compiled=_compiled(found.get(Seen.COMPILING)),
        derived=variables_of(deriving)["self"] if deriving is not None else None,
        library_call=variables_of(library) if library is not None else None,
        role=role,
        source=source_frame(users[0]) if users else None,
        cell=next((n for n in cells if n is not None), None),
    )


def _read(function: Private, frame: FrameType | None) -> Mapping[str, Any]:
    found = function.variables_in(frame) if frame is not None else None
    return found or {}


def _jit_call(function: Private, frame: FrameType | None) -> JitCall | None:
    local = _read(function, frame)
    return JitCall(**local) if local else None


def _compiled(frame: FrameType | None) -> Any:
    computation = _read(_COMPILE, frame).get("self")
    if computation is None or _COMPILE_ARGS.absent:
        return None
    return _COMPILE_ARGS.of(computation).get("all_args_info")


def ended_with_error(frame: FrameType | None) -> bool:
    """Whether the phase whose end a listener hears ended with an error."""
    for one, _ in zip(outward(frame), range(4), strict=False):
        local = _EXIT.variables_in(one)
        if local is not None:
            return local.get("exc_type") is not None
    return sys.exc_info()[0] is not None


# -- calls that run ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserCall:
    """A call of a jitted function, as Python sees it.

    Attributes:
        function: what was jitted.
        args, kwargs: what it is called with.
        static_argnums, static_argnames: which of these jit takes as static.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()


def running_call(frame: FrameType | None) -> UserCall | None:
    """The innermost call on the stack that jit is running, or None.

    Arguments:
        frame: where to begin to look, from inside out.
    """
    for one in outward(frame):
        local = _CALL.variables_in(one)
        if local is not None and callable(local.get("fun")):
            return UserCall(
                original(local["fun"]),
                tuple(local["args"]),
                dict(local["kwargs"]),
                *_statics(_read(JITTED, one.f_back).get("jit_info")),
            )
    return None


def _statics(info: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if info is None or _STATIC_ARGNUMS.absent or _STATIC_ARGNAMES.absent:
        return (), ()
    return _STATIC_ARGNUMS.of(info), _STATIC_ARGNAMES.of(info)


def functions_called(frame: FrameType | None) -> Iterator[Any]:
    """The callables that jit is running a call of, from inside out."""
    for one in outward(frame):
        fun = _read(_CALL, one).get("fun")
        if callable(fun):
            yield fun


def function_called(debug_info: Any, frame: FrameType) -> Function:
    """The function of a call that is on the stack, where it may be one of `pmap`."""
    function = function_of(debug_info)
    if function.user:
        return function
    return as_called(function, next(functions_called(frame), None), frame)


def library_calls(
    frame: FrameType | None,
) -> Iterator[tuple[CodeType, Mapping[str, Any], Any]]:
    """Each running call of a library's jit, from inside out: code, locals and a tree.

    The tree is that of the results of the call of `jax.jit` inside; None for none.
    """
    out_tree, of_libraries = None, libraries.call_codes()
    for one in outward(frame):
        parameters = _read(_CALL_RESULTS, one).get("p")
        if parameters is not None and not _RESULT_TREE.absent:
            out_tree = _RESULT_TREE.of(parameters)
        if one.f_code in of_libraries:
            yield one.f_code, variables_of(one), out_tree


# -- traces that run -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JitInfo:
    """What was passed to jit beside the function.

    Attributes:
        parameters: of the function; empty where they are not known.
        static_argnums, static_argnames: which arguments are static.
        options: by name, of jit.
    """

    parameters: tuple[inspect.Parameter, ...]
    static_argnums: tuple[int, ...]
    static_argnames: tuple[str, ...]
    options: Mapping[str, Any]


def _jit_info(info: Any) -> JitInfo | None:
    if info is None or any(o.absent for o in (_SIGNATURE, *_JIT_OPTIONS)):
        return None
    signature = _SIGNATURE.of(info)
    return JitInfo(
        tuple(signature.parameters.values()) if signature else (),
        _STATIC_ARGNUMS.of(info),
        _STATIC_ARGNAMES.of(info),
        {o.attribute: o.of(info) for o in _JIT_OPTIONS},
    )


@dataclass(frozen=True, slots=True)
class JitTrace:
    """A trace that jit begins.

    Attributes:
        fun: what is traced.
        debug_info: of the jaxpr to be.
        in_avals: types of the flat arguments.
        caller: the frame of JAX that asks for the trace.
        info: what was passed to jit beside the function; None where it is not known.
        args, kwargs: of the jitted call; empty where `info` is None.
    """

    fun: Any
    debug_info: Any
    in_avals: Sequence[Any]
    caller: FrameType
    info: JitInfo | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def read_jit_trace(frame: FrameType) -> JitTrace | None:
    """The trace that begins in a frame; None where that is none, or not one of jit."""
    caller = frame.f_back
    if caller is None or caller.f_code not in _TRACE_FOR_JIT.codes():
        return None
    local = _TRACE.variables_in(frame)
    if local is None:
        return None
    asked = _read(_TRACE_ARGUMENTS, caller)
    return JitTrace(
        local["fun"],
        local["debug_info"],
        local["in_avals"],
        caller,
        _jit_info(asked.get("ji")),
        asked.get("args", ()),
        asked.get("kwargs", {}),
    )


def read_other_trace(frame: FrameType) -> JitTrace | None:
    """The trace that begins in a frame, of what is not jit; None where it is none."""
    caller, local = frame.f_back, _TRACE.variables_in(frame)
    if caller is None or local is None or caller.f_code in _TRACE_FOR_JIT.codes():
        return None
    types = local["fun"], local["debug_info"], local["in_avals"]
    return JitTrace(*types, caller, None, (), {})


def traced_jaxpr(result: Any) -> Any:
    """The jaxpr in what JAX's function in which jit traces gives; None if not known."""
    if _PARAMETERS.absent:
        return None
    # Before JAX 0.10 the arguments come with it.
    return _PARAMETERS.of(result if hasattr(result, "params") else result[0])["jaxpr"]


def is_tracing(frame: FrameType | None) -> bool:
    """Whether jit is tracing the function of this frame, or one that calls it."""
    codes = _TRACE_FOR_JIT.codes()
    return any(one.f_code in codes for one in outward(frame))


def functions_traced(frame: FrameType | None) -> Iterator[Callable[..., Any]]:
    """The callables that jit and remat are tracing, from inside out."""
    for one in outward(frame):
        for function in (_TRACE, _TRACE_FOR_JIT, _TRACE_FOR_REMAT):
            fun = _read(function, one).get("fun")
            if callable(fun):
                yield fun
