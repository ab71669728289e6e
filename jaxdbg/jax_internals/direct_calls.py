"""The user's line that calls a jitted function, where it gets the results as they are.

A frame between the line and the call may change what is returned, as those of `vmap`,
`value_and_grad` and `jax.tree.map` do. So each must be known to return what it calls
returns: those of `jax.jit`, of a library's jit, and of our own decorators.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

from jaxdbg.jax_internals import libraries
from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import is_own_file, is_user_file
from jaxdbg.jax_internals.names import jitted_class
from jaxdbg.jax_internals.requirements import derived, private
from jaxdbg.jax_internals.stand_ins import original
from jaxdbg.jax_internals.user_frames import outward

_LOST = "results of a call are not named by the line that makes it"

_CALL = private(
    "jax._src.pjit._run_python_pjit",
    "names",
    _LOST,
    variables=("p", "fun", "args", "kwargs"),
)
_OUT_TREE = private("jax._src.pjit.PjitParams.out_tree", "names", _LOST)
_CALLER = private("jax._src.pjit._cpp_pjit.<locals>.cache_miss", "names", _LOST)
_BOUNDARY = private(
    "jax._src.traceback_util.api_boundary.<locals>.reraise_with_filtered_traceback",
    "names",
    _LOST,
)


LATER = (
    inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
"""Functions that return at once, and run later."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A frame of the user's that calls something.

    Attributes:
        frame: the frame.
        called: the code that it calls.
        received: what that code is passed.
    """

    frame: FrameType
    called: CodeType
    received: Sequence[object]


@dataclass(frozen=True, slots=True)
class DirectCall:
    """A call of a jitted function whose results the user's line gets as they are.

    Attributes:
        caller: the line.
        function: what was passed to `jax.jit`.
        args, kwargs: what the line calls its jit with.
        out_tree: the tree of the results of `jax.jit`.
        library: code and locals of the call of a library's jit; None for none.
    """

    caller: Caller
    function: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    out_tree: Any
    library: tuple[CodeType, Mapping[str, Any]] | None = None


def direct_call(frame: FrameType | None) -> DirectCall | None:
    """The call that runs now; None where no line gets its results as they are.

    Arguments:
        frame: one of ours, in which the call runs.
    """
    call = next((f for f in outward(frame) if not is_own_file(_file(f))), None)
    local = _CALL.variables_in(call) if call is not None else None
    if call is None or not local or _OUT_TREE.absent:
        return None
    args, kwargs = local["args"], local["kwargs"]
    between, library = [call], None
    for one in outward(call.f_back):
        if not _passes_on(one):
            break
        between.append(one)
        if one.f_code in libraries.call_codes():
            library = one.f_code, variables_of(one)
    user = between[-1].f_back
    if user is None or not is_user_file(_file(user)):
        return None
    if library is not None:
        args, kwargs = library[1]["args"], library[1]["kwargs"]
    caller = Caller(user, between[-1].f_code, [*args, *kwargs.values()])
    out_tree = _OUT_TREE.of(local["p"])
    return DirectCall(caller, original(local["fun"]), args, kwargs, out_tree, library)


def caller_of(frame: FrameType) -> Caller | None:
    """The user's frame that calls a function of the user's."""
    if frame.f_code.co_flags & LATER:
        return None
    last, user = frame, frame.f_back
    while user is not None and is_own_file(_file(user)) and _passes_on(user):
        last, user = user, user.f_back
    if user is None or not is_user_file(_file(user)):
        return None
    return Caller(user, last.f_code, [*_received(frame)])


def _received(frame: FrameType) -> Iterator[object]:
    for value in variables_of(frame).values():
        yield value
        if type(value) is tuple:
            yield from value
        elif type(value) is dict:
            yield from value.values()


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def _passes_on(frame: FrameType) -> bool:
    """Whether a frame returns what it calls returns."""
    code = frame.f_code
    if code.co_flags & LATER or is_user_file(code.co_filename):
        return False
    passes = code in _codes_of_jit() or code in libraries.passing_codes()
    return passes or is_own_file(code.co_filename)


@derived
def _codes_of_jit() -> frozenset[CodeType]:
    return _CALLER.codes() | _BOUNDARY.codes()


_MEMOISED: Any = type(functools.cache(lambda: None))


def runs(callee: object, code: CodeType) -> bool:
    """Whether calling an object runs this code before any other, and returns the same.

    Only what is known is read of the object; nothing of it is called.
    """
    for _ in range(20):  # partials may be nested
        if isinstance(callee, MethodType):
            callee = callee.__func__
        elif isinstance(callee, functools.partial):
            callee = callee.func
        elif isinstance(callee, _MEMOISED):
            callee = callee.__wrapped__
        else:
            break
    if isinstance(callee, jitted_class()):
        return code in _codes_of_jit()
    if isinstance(callee, FunctionType):
        return callee.__code__ is code
    found = inspect.getattr_static(type(callee), "__call__", None)
    if isinstance(found, jitted_class()):
        return code in _codes_of_jit()
    return isinstance(found, FunctionType) and found.__code__ is code
