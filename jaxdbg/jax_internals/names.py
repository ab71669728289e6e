"""Every private or version-dependent name of JAX and chex that jaxdbg touches.

Nothing else in the package imports `jax._src` or `chex._src`. `REQUIREMENTS` says
which capability rests on which name, so that a JAX that lacks one costs that
capability alone, is reported by `jaxdbg.doctor()`, and fails one readable test.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from jaxdbg.jax_internals.types import Literal

REGION_STATE = "jaxdbg_region"
"""Name of the config state that is part of jit's dispatch key inside a region."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing jaxdbg needs of the installed JAX, and what is lost without it."""

    capability: str
    name: str
    lost: str

    def found(self) -> bool:
        """Whether the installed version offers it."""
        return _is_there(self.name)


REQUIREMENTS = (
    Requirement(
        "interpose",
        "jax._src.pjit._pjit_call_impl_python",
        "jitted calls are not seen: nothing is checked",
    ),
    Requirement(
        "interpose",
        "jax._src.pjit._pjit_call_impl",
        "jitted calls are not seen: nothing is checked",
    ),
    Requirement(
        "interpose",
        "jax._src.config.bool_state",
        "calls of functions that are already compiled are not seen",
    ),
    Requirement(
        "aot", "jax._src.stages.Compiled.__call__", "AOT calls are not checked"
    ),
    Requirement(
        "counts",
        "jax._src.util.test_event_listener",
        "traces are not counted (compilations still are)",
    ),
    Requirement(
        "counts", "jax._src.pjit._trace_for_jit", "traces are not counted exactly"
    ),
    Requirement(
        "reasons",
        "jax._src.pjit._pjit_lower",
        "why a function was compiled again is known in part",
    ),
    Requirement(
        "reasons",
        "jax._src.config.trace_context",
        "changes of JAX's configuration are not named",
    ),
    Requirement(
        "reasons",
        "jax._src.config.config_states",
        "changes of JAX's configuration are not named",
    ),
    Requirement(
        "reasons",
        "jax._src.traceback_util.register_exclusion",
        "a frame of jaxdbg shows in tracebacks",
    ),
    Requirement(
        "chex",
        "jax._src.checkify.error_checks",
        "checkify.check and chex assertions are not live in jitted code",
    ),
    Requirement(
        "chex",
        "jax._src.interpreters.partial_eval.trace_to_jaxpr.evict_weakref",
        "chex assertions are not live in jitted code",
    ),
    Requirement(
        "chex",
        "jax._src.interpreters.batching.fancy_primitive_batchers",
        "chex assertions are not live in jitted code",
    ),
    Requirement(
        "chex",
        "chex._src.asserts_internal.CHEXIFY_STORAGE",
        "chex assertions are not live in jitted code",
    ),
    Requirement(
        "chex counts",
        "chex._src.asserts_internal.TRACE_COUNTER",
        "traces for a diagnosis count for chex.assert_max_traces",
    ),
    Requirement(
        "origin",
        "jax._src.source_info_util.raw_frame_to_frame",
        "the line where a bad value was born is not known",
    ),
    Requirement(
        "modules",
        "jax._src.config.hlo_source_file_canonicalization_regex",
        "paths of modules are not known for what was traced before",
    ),
    Requirement(
        "modules",
        "jax._src.source_info_util._source_info_context",
        "lines of custom derivative rules are not known",
    ),
    Requirement(
        "origins",
        "jax._src.source_info_util.user_context",
        "a value born inside shard_map is not followed into it",
    ),
)


def missing(capability: str) -> tuple[Requirement, ...]:
    """The requirements of a capability that the installed JAX does not meet."""
    return tuple(
        r for r in REQUIREMENTS if r.capability == capability and not r.found()
    )


@functools.cache
def _is_there(dotted: str) -> bool:
    return _lookup(dotted) is not None


def _lookup(dotted: str) -> Any:
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return None
            found = getattr(found, part)
        # A slot that is there but empty (test_event_listener) counts as found.
        return found if found is not None else dotted
    return None


@functools.cache
def pjit() -> Any:
    """The module that holds the call implementation of jit."""
    return importlib.import_module("jax._src.pjit")


@functools.cache
def util() -> Any:
    """The module that holds the slot for the trace listener."""
    return importlib.import_module("jax._src.util")


def checkify() -> Any:
    """Checkify's implementation, for its rules and its transformation of a jaxpr."""
    return importlib.import_module("jax._src.checkify")


def batchers() -> dict[Any, Callable[..., Any]]:
    """Vmap's rules for primitives that need to know the axis they are mapped over."""
    batching = importlib.import_module("jax._src.interpreters.batching")
    rules: dict[Any, Callable[..., Any]] = batching.fancy_primitive_batchers
    return rules


def is_jax_file(path: str) -> bool:
    """Whether a source file is one of JAX's."""
    return path.startswith(os.path.dirname(jax.__file__) + os.sep)


@functools.cache
def hide_from_tracebacks() -> None:
    """JAX leaves frames of jaxdbg out of the tracebacks it shows, as its own."""
    traceback_util = importlib.import_module("jax._src.traceback_util")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    traceback_util.register_exclusion(package)


def trace_context() -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """What of the configuration is part of the key of JAX's caches: names and values.

    Before JAX 0.10.2 JAX does not name it: then every setting is looked at.
    """
    config = importlib.import_module("jax._src.config")
    try:
        return config.trace_context_names(), config.trace_context()
    except (AttributeError, NotImplementedError):
        states = config.config_states.items()
        named = {n: s.value for n, s in states if n != REGION_STATE}
        named["abstract_mesh_context_manager"] = jax.sharding.get_abstract_mesh()
        return tuple(named), tuple(named.values())


def chex_internal() -> Any:
    """The module of chex that holds the chexify level."""
    return importlib.import_module("chex._src.asserts_internal")


def compiled_class() -> type:
    """The class whose instances are AOT-compiled functions."""
    return jax.stages.Compiled


# jax.extend.core offers these two in public, but importing it imports pallas in newer
# JAX, whose config states change the trace context: every function would be traced
# again because jaxdbg was loaded.


def is_literal(atom: Any) -> TypeIs[Literal]:
    """Whether an operand of an equation is a literal, not a variable."""
    return isinstance(atom, importlib.import_module("jax._src.core").Literal)


def jaxpr_as_fun(jaxpr: Any) -> Callable[..., list[Any]]:
    """A closed jaxpr as a function of flat arguments."""
    core = importlib.import_module("jax._src.core")
    fun: Callable[..., list[Any]] = core.jaxpr_as_fun(jaxpr)
    return fun


@functools.cache
def jitted_class() -> type:
    """The class of what `jax.jit` returns."""
    return type(jax.jit(lambda: None))


@functools.cache
def region_state() -> Any:
    """The config state that makes fast calls come to Python inside a region.

    It belongs to jit's dispatch key but not to the trace context: calls in a region
    miss the C++ fast path, while traces and executables are shared with the plain
    program. Registering it makes each existing function miss once, so it is made
    once, when jaxdbg is first used.
    """
    config = importlib.import_module("jax._src.config")
    states = config.config_states
    if REGION_STATE in states:  # a second import of jaxdbg in this process
        return states[REGION_STATE]
    return config.bool_state(
        REGION_STATE,
        False,
        "Inside a jaxdbg region, jitted calls come to Python.",
        include_in_jit_key=True,
    )


def _codes(*names: str) -> frozenset[CodeType]:
    found = (_lookup(name) for name in names)
    plain = (inspect.unwrap(f) for f in found if callable(f))
    return frozenset(f.__code__ for f in plain if hasattr(f, "__code__"))


@functools.cache
def jit_trace_codes() -> frozenset[CodeType]:
    """Code of the function in which jit traces the user's function."""
    return _codes("jax._src.pjit._trace_for_jit")


_TRACING = frozenset(
    {"_trace_for_jit", "trace_to_jaxpr", "trace_to_jaxpr_nocache", "_trace_to_jaxpr"}
)


def is_tracing(code: CodeType) -> bool:
    """Whether this is the code of a memoised function of JAX that traces a `fun`.

    By name: the memoised function is an object of C++ that does not give its code.
    """
    return (
        code.co_name in _TRACING and os.path.dirname(jax.__file__) in code.co_filename
    )


@functools.cache
def calling_codes() -> frozenset[CodeType]:
    """Code of the function in which jit runs a call of a callable named `fun`."""
    return _codes("jax._src.pjit._run_python_pjit")


@functools.cache
def chex_assertion_code() -> CodeType:
    """Code of the wrapper that all chex assertions share."""
    import chex

    code: CodeType = chex.assert_tree_all_finite.__code__
    return code


def as_written(eqn: Any) -> Any:
    """What is bound inside is said to stand where an equation was written."""
    util = importlib.import_module("jax._src.source_info_util")
    info = eqn.source_info
    return util.user_context(info.traceback, name_stack=info.name_stack)


def is_of_input(effect: Any) -> bool:
    """Whether an effect is one on a Ref."""
    effects = importlib.import_module("jax._src.effects")
    return isinstance(effect, effects.JaxprInputEffect)


def is_write(effect: Any) -> bool:
    """Whether an effect changes a Ref."""
    types = importlib.import_module("jax._src.state.types")
    return isinstance(effect, types.WriteEffect | types.AccumEffect)


def executable_name(compiled: Any) -> str:
    """The name of what an AOT-compiled function runs, such as `jit(f)`, or nothing."""
    executable = compiled._executable
    # Which of the two has it depends on whether the executable is loaded.
    loaded = getattr(executable, "unsafe_call", None)
    return str(getattr(loaded, "name", "") or getattr(executable, "_name", ""))


def pmapped(fun: Any) -> Any:
    """The function that was given to `pmap`, from what pmap gives to jit, or None."""
    inner = inspect.unwrap(fun)
    owner = getattr(inner, "__self__", None)  # in JAX 0.9 a bound method
    if owner is None and inspect.isfunction(inner):
        names, cells = inner.__code__.co_freevars, inner.__closure__ or ()
        found = [c for n, c in zip(names, cells, strict=True) if n == "fun"]
        owner = found[0].cell_contents if found else None
    wrapped = importlib.import_module("jax._src.linear_util").WrappedFun
    return owner.f if isinstance(owner, wrapped) else None


def unspecified_sharding() -> Any:
    """The sharding of an output that leaves it to the compiler."""
    return importlib.import_module("jax._src.sharding_impls").UNSPECIFIED


def evict_traces(fun: Callable[..., Any]) -> None:
    """Forgets every cached trace of `fun`, as `jit(fun).clear_cache()` would."""
    for name in (
        "jax._src.interpreters.partial_eval.trace_to_jaxpr",
        "jax._src.pjit._infer_params_cached",
        "jax._src.ad_checkpoint._trace_to_jaxpr",
    ):
        cache = _lookup(name)
        if hasattr(cache, "evict_weakref"):
            cache.evict_weakref(fun)


def tells_of_cleared_caches() -> bool:
    """Whether `caches_were_cleared` can know; since JAX 0.10."""
    return _lookup("jax._src.pjit._infer_params_cached") is not None


_epochs: dict[Any, Any] = {}


def caches_were_cleared() -> bool:
    """Whether any jitted function's cache was cleared since this was last asked.

    JAX clears the memo of this function with them, and it makes a new value for us.
    The memo is kept by trace context, and so are the values we have seen.
    """
    context = importlib.import_module("jax._src.config").trace_context()
    memo = pjit()._infer_params_cached
    now = memo(caches_were_cleared, None, None, (), None)
    before = _epochs.setdefault(context, now)
    _epochs[context] = now
    return before is not now


def located(traceback: Any) -> Iterator[tuple[CodeType, Any]]:
    """Each frame of JAX's traceback of an equation, from inside out: code and place.

    The place has `start_line`, `start_column`, `end_line`, `end_column`; lines count
    from 1, columns are UTF-8 bytes from 0.
    """
    if traceback is None or missing("origin"):
        return
    place = importlib.import_module("jax._src.source_info_util").raw_frame_to_frame
    for code, instruction in zip(*traceback.raw_frames(), strict=True):
        yield code, place(code, instruction)


def other_trace_context(value: str) -> contextlib.AbstractContextManager[Any]:
    """A context in which this thread finds none of its cached traces.

    It changes a setting that is part of the key of a trace and has no part in it: how
    source files are named when a trace is lowered.
    """
    config = importlib.import_module("jax._src.config")
    context: contextlib.AbstractContextManager[Any]
    context = config.hlo_source_file_canonicalization_regex(value)
    return context


@contextlib.contextmanager
def own_traceback() -> Iterator[Any]:
    """Equations made inside have their own traceback, not one that JAX has set.

    Gives the one that it would have been.
    """
    util = importlib.import_module("jax._src.source_info_util")
    here, outside = util._source_info_context, util.current().traceback
    before = here.context
    here.context = type(before)(None, before.name_stack)
    try:
        yield outside
    finally:
        here.context = before


def jax_version() -> str:
    """The installed JAX version."""
    return str(jax.__version__)
