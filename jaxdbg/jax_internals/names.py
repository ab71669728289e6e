"""What several modules need of JAX by a private name, each behind a typed accessor.

What one module alone needs it declares itself (`requirements.private`); the frames of
JAX are read in `stack`. `jax.extend.core` offers a few of these in public, but
importing it imports pallas in newer JAX, whose config states change the trace context:
every function would be traced again because jaxdbg was loaded.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import jax

from jaxdbg.jax_internals.closures import closed_over
from jaxdbg.jax_internals.requirements import Private, private

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from jaxdbg.jax_internals.types import AnyJaxpr, JaxprEqn, Literal

_LITERAL = private("jax._src.core.Literal", "search")
_AS_FUN = private("jax._src.core.jaxpr_as_fun", "search")
_INPUT_EFFECT = private("jax._src.effects.JaxprInputEffect", "search")
_WRITE = private("jax._src.state.types.WriteEffect", "search")
_ACCUMULATE = private("jax._src.state.types.AccumEffect", "search")
_USER_CONTEXT = private(
    "jax._src.source_info_util.user_context",
    "shard_map origins",
)
_AXIS_EFFECT = private("jax._src.core.NamedAxisEffect", "shard_map origins")
_UNSPECIFIED = private(
    "jax._src.sharding_impls.UNSPECIFIED",
    "chex",
)
_WRAPPED_FUN = private(
    "jax._src.linear_util.WrappedFun",
    "counts",
    "functions under pmap are counted as one",
)
_CHECKIFIED = private(
    "jax._src.checkify.checkify.<locals>.checked_fun",
    "reasons",
    "a function that checkify wraps has the name of the wrapper",
    variables=("f",),
)
_EXECUTABLE = private("jax._src.stages.Compiled._executable", "aot")
_UNSAFE_CALL = private(
    "jax._src.interpreters.pxla.MeshExecutable.unsafe_call",
    "aot",
)
_EXECUTABLE_NAME = private(
    "jax._src.interpreters.pxla.ExecuteReplicated.name",
    "aot",
)
_HIDE = private(
    "jax._src.traceback_util.register_exclusion",
    "reasons",
    "a frame of jaxdbg shows in tracebacks",
)
_HIDE_FROM_LINES = private(
    "jax._src.source_info_util.register_exclusion",
    "reasons",
    "jax.explain_cache_misses() names a line of jaxdbg",
)


def is_jax_file(path: str) -> bool:
    """Whether a source file is one of JAX's."""
    return path.startswith(_JAX)


_JAX = os.path.dirname(jax.__file__) + os.sep


@functools.cache
def hide_from_tracebacks() -> None:
    """JAX leaves frames of jaxdbg out of what it shows of a stack, as its own."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for hide in (_HIDE, _HIDE_FROM_LINES):
        if not hide.absent:
            hide.get()(package + os.sep)


def jax_version() -> str:
    """The installed JAX version."""
    return str(jax.__version__)


# -- jaxprs --------------------------------------------------------------------------


def is_literal(atom: Any) -> TypeIs[Literal]:
    """Whether an operand of an equation is a literal, not a variable."""
    return isinstance(atom, _LITERAL.get())


def jaxpr_as_fun(jaxpr: AnyJaxpr) -> Callable[..., list[Any]]:
    """A closed jaxpr as a function of flat arguments."""
    fun: Callable[..., list[Any]] = _AS_FUN.get()(jaxpr)
    return fun


def as_written(eqn: JaxprEqn) -> AbstractContextManager[Any]:
    """What is bound inside gets the source line and the scopes of an equation."""
    info = eqn.source_info
    context: AbstractContextManager[Any]
    context = _USER_CONTEXT.get()(info.traceback, name_stack=info.name_stack)
    return context


def is_of_input(effect: Any) -> bool:
    """Whether an effect is one on a Ref."""
    return isinstance(effect, _INPUT_EFFECT.get())


def is_of_axis(effect: Any) -> bool:
    """Whether an effect only says that something is done over an axis of a mesh."""
    return isinstance(effect, _AXIS_EFFECT.get())


def is_write(effect: Any) -> bool:
    """Whether an effect changes a Ref."""
    return isinstance(effect, (_WRITE.get(), _ACCUMULATE.get()))


def unspecified_sharding() -> Any:
    """The sharding of an output that leaves it to the compiler."""
    return _UNSPECIFIED.get()


def is_unspecified(sharding: Any) -> bool:
    """Whether a sharding leaves the place of an array to the compiler."""
    if _UNSPECIFIED.absent:
        return not hasattr(sharding, "device_set")
    return sharding is _UNSPECIFIED.get()


# -- what jit and pmap make of a function --------------------------------------------


@functools.cache
def jitted_class() -> type:
    """The class of what `jax.jit` returns."""
    return type(jax.jit(lambda: None))


def pmapped(fun: Any) -> Any:
    """The function that was passed to `pmap`, from what pmap passes to jit, or None."""
    inner = inspect.unwrap(fun)
    owner = getattr(inner, "__self__", None)  # in JAX 0.9 a bound method
    if owner is None and inspect.isfunction(inner):
        owner = closed_over(inner).get("fun")
    if _WRAPPED_FUN.absent or not isinstance(owner, _WRAPPED_FUN.get()):
        return None
    return owner.f


def checkified(fun: Any) -> Any:
    """The function that was passed to `checkify`, from what that returned, or None."""
    if getattr(fun, "__code__", None) not in _CHECKIFIED.codes():
        return None
    return closed_over(fun).get("f")


def executable_name(compiled: Any) -> str:
    """The name of what an AOT-compiled function runs, such as `jit(f)`, or nothing."""
    executable = _EXECUTABLE.of(compiled)
    # Which of the two has it depends on whether the executable is loaded.
    loaded = getattr(executable, "unsafe_call", None)
    return str(getattr(loaded, "name", "") or getattr(executable, "_name", ""))


# -- caches --------------------------------------------------------------------------


def evict_traces(fun: Callable[..., Any]) -> None:
    """Forgets every cached trace of `fun`, as `jit(fun).clear_cache()` would."""
    for evict in _EVICT:
        if not evict.absent:
            evict.get()(fun)


def _evict(cache: str, since: str = "") -> Private:
    return private(f"{cache}.evict_weakref", "chex", since=since)


_EVICT = (
    _evict("jax._src.interpreters.partial_eval.trace_to_jaxpr"),
    _evict("jax._src.pjit._infer_params_cached", since="0.10"),
    _evict("jax._src.ad_checkpoint._trace_to_jaxpr"),
)
