"""The names that the user's functions bind while they are traced, in their order.

Python says when a line of the user's begins, and when a function returns: what the
variables hold then that they did not hold before was bound by the line before. Each
tracer among it is marked, so that its value is found when the jaxpr is evaluated.
"""

from __future__ import annotations

import contextlib
import inspect
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import jax
import numpy as np

from jaxdbg.frameworks.jitted_calls import typed
from jaxdbg.frameworks.readers import is_module, variable_reader
from jaxdbg.jax_internals.branches import branches_around
from jaxdbg.jax_internals.frame_variables import variables_of
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.jaxprs.value_markers import is_value, mark
from jaxdbg.origins.frames.module_paths import ModulePaths

MOST_LEAVES = 32
"""A name that holds more arrays than these is not listed."""

_GENERATES = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NO_TREES = (type(None), bool, int, float, complex, str, bytes, type)
_ARRAYS = (jax.Array, np.ndarray)

Leaves = dict[str, Any]
"""By the steps from a variable, the arrays in it; `""` for the variable itself."""


@dataclass(frozen=True, slots=True)
class BoundName:
    """A name that got an array.

    Attributes:
        code: the function.
        line: where the name is bound; of a parameter where the function begins, with
            its first decorator.
        name: with the steps to the array, where the name holds a container.
        key: of the marker; None for what is no tracer.
        constant: the array that is no tracer.
        module: path of the module whose method the function is, or empty.
        branches: how many conds trace the function, one inside the other.
    """

    code: CodeType
    line: int
    name: str
    key: int | None
    constant: Any
    module: str
    branches: int


class BoundNames:
    """Notes what the user's functions bind in this thread.

    Attributes:
        names: in the order in which they were bound.
        large: names that hold more than `MOST_LEAVES` arrays, and how many.
    """

    def __init__(self) -> None:
        self.names: list[BoundName] = []
        self.large: dict[str, int] = {}
        self._frames: dict[FrameType, _Activation] = {}
        self._keys: dict[int, tuple[Any, int | None]] = {}
        self._paths = ModulePaths()
        self._is_users: dict[CodeType, bool] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While open, functions that are called are watched."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)
            self._frames.clear()

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        known = self._is_users.get(code)
        if known is None:
            known = self._is_users[code] = _is_users(frame)
        if not known or event != "call":
            return None
        if frame not in self._frames:
            module, branches = self._paths.of(frame), branches_around(frame)
            here = _Activation(code, module, branches, code.co_firstlineno)
            self._frames[frame] = here
            self._compare(frame, here)
        return self._runs

    def _runs(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        here = self._frames.get(frame)
        if here is not None and event in ("line", "return"):
            self._compare(frame, here)
            here.line = frame.f_lineno
            if event == "return" and not frame.f_code.co_flags & _GENERATES:
                del self._frames[frame]
        return self._runs

    def _compare(self, frame: FrameType, here: _Activation) -> None:
        """Notes what the variables hold that they did not hold before."""
        free = frame.f_code.co_freevars
        for variable, value in variables_of(frame).items():
            if variable in free or not variable.isidentifier():
                continue
            held, flat = here.held.get(variable), _flat(value)
            if held is not None and held.is_unchanged(value, flat):
                continue
            before, now = held.leaves if held is not None else {}, _leaves(value)
            here.held[variable] = _Held(value, flat, now)
            if len(now) > MOST_LEAVES:
                self.large[variable] = len(now)
                continue
            for steps, leaf in now.items():
                if before.get(steps) is not leaf:
                    self._note(here, variable + steps, leaf)

    def _note(self, here: _Activation, name: str, leaf: Any) -> None:
        key, constant = None, None
        if isinstance(leaf, jax.core.Tracer):
            key = self._key(leaf)
            if key is None:
                return
        else:
            constant = np.array(leaf) if isinstance(leaf, np.ndarray) else leaf
        where = here.module, here.branches
        self.names.append(BoundName(here.code, here.line, name, key, constant, *where))

    def _key(self, tracer: Any) -> int | None:
        """The key of a tracer; None where it stands for no array, or is of the past."""
        if id(tracer) not in self._keys:
            self._keys[id(tracer)] = tracer, self._marked(tracer)
        return self._keys[id(tracer)][1]

    def _marked(self, tracer: Any) -> int | None:
        if not is_value(tracer):
            return None
        try:
            mark(tracer, len(self._keys))
        except Exception:
            return None  # its trace is over: the user has kept it from elsewhere
        return len(self._keys)


def _is_users(frame: FrameType) -> bool:
    """Whether a function is the user's, and none that a library has generated."""
    code = frame.f_code
    if code.co_filename != "<string>":
        return is_user_file(code.co_filename)
    name, file = (str(frame.f_globals.get(k, "")) for k in ("__name__", "__file__"))
    if code.co_name.startswith("__") or name.startswith("namedtuple_"):
        return False
    return not file or is_user_file(file)


@dataclass(slots=True)
class _Activation:
    """A call of a function that runs."""

    code: CodeType
    module: str
    branches: int
    line: int
    held: dict[str, _Held] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Held:
    """What a variable held when it was last looked at."""

    value: Any
    flat: list[Any]
    leaves: Leaves

    def is_unchanged(self, value: Any, flat: list[Any]) -> bool:
        same = value is self.value and len(flat) == len(self.flat)
        return same and all(map(operator.is_, flat, self.flat))


def _flat(value: Any) -> list[Any]:
    """What is in a container, which may change; quickly, without the steps to it."""
    if isinstance(value, _NO_TREES + _ARRAYS) or is_module(value):
        return []
    try:
        return jax.tree.leaves(value)
    except Exception:
        return []  # a class of the user's that cannot be flattened


def _leaves(value: Any) -> Leaves:
    """The arrays in a variable; those in modules have the names of the modules."""
    if isinstance(value, _ARRAYS):
        return {"": value}
    if isinstance(value, _NO_TREES) or is_module(value):
        return {}
    try:
        found, _ = jax.tree_util.tree_flatten_with_path(value, is_leaf=_is_leaf)
    except Exception:
        return {}  # a class of the user's that cannot be flattened
    leaves = ((typed(jax.tree_util.keystr(path)), _raw(leaf)) for path, leaf in found)
    return {path: leaf for path, leaf in leaves if isinstance(leaf, _ARRAYS)}


def _is_leaf(value: Any) -> bool:
    return is_module(value) or variable_reader(value) is not None


def _raw(value: Any) -> Any:
    """The array in a variable of a library; any other value itself."""
    reader = variable_reader(value)
    return value if reader is None else reader.raw(value)
