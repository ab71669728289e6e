"""Private names of JAX and other packages: a lookup is a declaration of its purpose.

`private(...)` declares a name and is the only way to what it refers to. `REQUIREMENTS`
is what was declared, so that `jaxdbg.doctor()` and the report of a region say what is
lost where an installed version lacks a name; the code that needs it gets `NotOffered`,
whose text is that same sentence.

Nothing is looked up, and no module imported, before a name is first asked for.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple, ParamSpec, TypedDict, TypeVar, Unpack, cast

from jaxdbg.errors import NotOffered
from jaxdbg.jax_internals.frame_variables import variables_of


class Capability(NamedTuple):
    """Something that jaxdbg can do where each name it rests on is there."""

    works: str
    lost: str
    since: str = ""  # the first version of JAX with which it works


CAPABILITIES = {
    "interpose": Capability(
        "jitted calls and eager ops are checked",
        "jitted calls are not seen: nothing is checked",
    ),
    "contexts": Capability(
        "a region is left alone by jax.no_tracing() and jax.debug_nans()",
        "jax.no_tracing() and jax.debug_nans() may act otherwise in a region",
    ),
    "aot": Capability("AOT-compiled calls are checked", "AOT calls are not checked"),
    "phases": Capability(
        "lowerings and compilations are counted",
        "lowerings and compilations are not counted",
    ),
    "counts": Capability(
        "traces are counted exactly",
        "traces are not counted (compilations still are)",
    ),
    "reasons": Capability(
        "why a function was traced or compiled again is known",
        "why a function was traced or compiled again is known in part",
    ),
    "chex": Capability(
        "chex assertions and checkify.check are live in jitted code",
        "checkify.check and chex assertions are not live in jitted code",
    ),
    "stand-ins": Capability(
        "a trace with chex assertions serves later regions too",
        "a function with chex assertions is traced again in each region",
        since="0.10",
    ),
    "chex counts": Capability(
        "a diagnosis does not count for chex.assert_max_traces",
        "traces for a diagnosis count for chex.assert_max_traces",
    ),
    "search": Capability(
        "the operation that produced a bad value is found",
        "the operation that produced a bad value is not known",
    ),
    "origin": Capability(
        "the line where a bad value was born is found",
        "the line where a bad value was born is not known",
    ),
    "library lines": Capability(
        "the line of a library below the user's line is shown",
        "the line of a library below the user's line may be missing",
    ),
    "modules": Capability(
        "the module in which it was born is found",
        "modules, and lines of custom derivative rules, are not known",
    ),
    "frames": Capability(
        "frames and values inside a jitted function are given where a value is born",
        "frames and values inside a jitted function are not given",
    ),
    "passes": Capability(
        "the forward and the backward pass are distinguished",
        "whether a bad value was born in the backward pass is not known",
    ),
    "forward functions": Capability(
        "causes in the backward pass name the function that is differentiated",
        "causes in the backward pass may not be known",
    ),
    "shard_map origins": Capability(
        "a value born inside shard_map is followed into it",
        "a value born inside shard_map is not followed into it",
    ),
    "devices": Capability(
        "the device is known on which a value inside shard_map or pmap was born",
        "the device on which a value inside shard_map or pmap was born is not known",
    ),
    "refs": Capability(
        "a value in a Ref that a call makes is followed",
        "a value in a Ref that a call makes is not followed",
    ),
    "kernels": Capability(
        "a value born in an interpreted kernel of pallas is followed into it",
        "a value born in an interpreted kernel of pallas is not followed into it",
    ),
    "libraries": Capability(
        "modules of a library of models, and calls of its jit, are read",
        "arrays in modules of a library, and calls of its jit, are known in part",
    ),
    "names": Capability(
        "the arguments that a call of a library's jit updates are named",
        "the arguments that a call of a library's jit updates may have no name",
    ),
    "processes": Capability(
        "the processes of a job learn of each other's findings",
        "a process does not learn what another process of its job has found",
    ),
}
"""What jaxdbg can do, and what is lost where a name is missing that it rests on."""

REQUIREMENTS: list[Private] = []
"""Each private name that a loaded module of jaxdbg uses."""

_ABSENT: dict[Private, str] = {}
"""What was looked up: the part that is not there, or nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Private:
    """A private name that jaxdbg uses, and what is lost without it.

    Attributes:
        name: dotted, the module first. `f.<locals>.g` is a function inside another; an
            attribute that instances get in `__init__` counts as one of the class.
        capability: key of `CAPABILITIES`.
        lost: what does not work without it.
        variables: of the function, which are read in its frames or closures.
        constants: constants and names of attributes that its code holds.
        since: the first version to have it, where not every supported one does.
        until: the first version without it, where a later one has something else.
        apart: whether its module is not loaded for a lookup. The config states of
            pallas change the context of traces: all would be traced again.
    """

    name: str
    capability: str
    lost: str
    variables: tuple[str, ...] = ()
    constants: tuple[object, ...] = ()
    since: str = ""
    until: str = ""
    apart: bool = False

    def __str__(self) -> str:
        return f"{_installed(self.name)} has no {self.absent or self.name}: {self.lost}"

    @property
    def absent(self) -> str:
        """The part of it that the installed version lacks; empty for none."""
        known = _ABSENT.get(self)
        if known is None:
            if not self.is_asked:
                return ""
            known = _ABSENT[self] = _absent(self)
        return known

    @property
    def attribute(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    @property
    def is_asked(self) -> bool:
        """Whether there is a version to ask: no other package is loaded for it."""
        parts = self.name.split(".")
        if self.apart:
            return self.name.rpartition(".")[0] in sys.modules
        return parts[0] in ("jax", "chex") or ".".join(parts[:2]) in sys.modules

    @property
    def is_due(self) -> bool:
        """Whether the installed version is one of those that have it."""
        package = self.name.partition(".")[0]
        is_over = self.until and is_as_new_as(self.until, package)
        return is_as_new_as(self.since, package) and not is_over

    def get(self) -> Any:
        """What the name refers to now.

        Raises:
            NotOffered: the installed version lacks it.
        """
        return getattr(_owner(self), self.attribute)

    def put(self, value: Any) -> None:
        """Has the name refer to something else.

        Raises:
            NotOffered: the installed version lacks it.
        """
        setattr(_owner(self), self.attribute, value)

    def of(self, instance: Any) -> Any:
        """The attribute of an instance, where the name is one of its class.

        Raises:
            NotOffered: the installed version lacks it.
        """
        if self.absent:
            raise NotOffered(str(self))
        return getattr(instance, self.attribute)

    def codes(self) -> frozenset[CodeType]:
        """The code of the function; empty where the installed version lacks it."""
        return _codes(self) if self.is_asked else frozenset()

    def variables_in(self, frame: FrameType) -> dict[str, Any] | None:
        """The declared variables of a frame; None where it is not of this function."""
        if frame.f_code not in self.codes():
            return None
        local = variables_of(frame)
        return {name: local[name] for name in self.variables if name in local}


class _Parts(TypedDict, total=False):
    """What else `Private` says of a name."""

    variables: tuple[str, ...]
    constants: tuple[object, ...]
    since: str
    until: str
    apart: bool


def private(
    name: str, capability: str, lost: str = "", **parts: Unpack[_Parts]
) -> Private:
    """Declares a private name; see `Private`.

    Arguments:
        lost: by default what the capability says.
    """
    lost = lost or CAPABILITIES[capability].lost
    new = Private(name, capability, lost, **parts)
    REQUIREMENTS.append(new)
    return new


def missing(capability: str) -> tuple[Private, ...]:
    """The requirements of a capability that the installed versions do not meet."""
    return _missing(len(REQUIREMENTS)).get(capability, ())


def all_missing() -> tuple[Private, ...]:
    """The requirements of all capabilities that the installed versions do not meet."""
    return tuple(r for r in REQUIREMENTS if r.absent and r.is_due)


_P = ParamSpec("_P")
_T = TypeVar("_T")
_DERIVED: list[Callable[[], None]] = []


def derived(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Remembers what a function makes of declarations."""
    remembering = functools.cache(function)
    _DERIVED.append(remembering.cache_clear)
    return cast("Callable[_P, _T]", remembering)


def forget() -> None:
    """Forgets what was derived from declarations, for a test that takes one away."""
    for clear in _DERIVED:
        clear()


@derived
def _missing(declared: int) -> dict[str, tuple[Private, ...]]:
    """By capability, what is missing; anew when more is declared."""
    lost = all_missing()
    return {
        r.capability: tuple(o for o in lost if o.capability == r.capability)
        for r in lost
    }


def is_as_new_as(version: str, package: str = "jax") -> bool:
    """Whether what is installed is of a version or a later one; "" is the first."""
    return not version or _numbers(_version(package)) >= _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _version(package: str) -> str:
    return str(getattr(sys.modules.get(package), "__version__", ""))


# -- the lookup ----------------------------------------------------------------------

_NOTHING: Any = object()
_IN_INSTANCES: Any = object()


def _installed(name: str) -> str:
    package = name.partition(".")[0]
    return f"{'JAX' if package == 'jax' else package} {_version(package)}"


def _absent(requirement: Private) -> str:
    found = _found(requirement.name)
    if found is _NOTHING:
        return requirement.name
    if not (requirement.variables or requirement.constants):
        return ""
    code = _code(found)
    if code is None:
        return f"Python code of {requirement.name}"
    known = {*code.co_varnames, *code.co_freevars, *code.co_cellvars}
    wanting = [v for v in requirement.variables if v not in known]
    held = {*code.co_consts, *code.co_names} if requirement.constants else ()
    wanting += [repr(c) for c in requirement.constants if c not in held]
    return f"{wanting[0]} in {requirement.name}" if wanting else ""


@functools.cache
def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return _NOTHING


@functools.cache
def _path(name: str) -> tuple[Any, tuple[str, ...]]:
    """The module that a dotted name begins with, and the steps from there."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        module = _module(".".join(parts[:cut]))
        if module is not _NOTHING:
            return module, tuple(parts[cut:])
    return _NOTHING, ()


def _found(name: str) -> Any:
    """What a dotted name refers to now, or `_NOTHING`."""
    found, steps = _path(name)
    for step in steps:
        found = _step(found, step)
        if found is _NOTHING:
            break
    return found


def _step(owner: Any, name: str) -> Any:
    if name == "<locals>":
        code = _code(owner)
        return _NOTHING if code is None else code
    if isinstance(owner, CodeType):
        return next((c for c in _codes_in(owner) if c.co_name == name), _NOTHING)
    if hasattr(owner, name):
        return getattr(owner, name)
    return _IN_INSTANCES if _is_in_instances(owner, name) else _NOTHING


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    return (c for c in code.co_consts if isinstance(c, CodeType))


def _is_in_instances(owner: Any, name: str) -> bool:
    """Whether instances of a class get an attribute as a field or in `__init__`."""
    if not isinstance(owner, type):
        return False
    code = getattr(inspect.getattr_static(owner, "__init__"), "__code__", None)
    fields = getattr(owner, "__dataclass_fields__", {})
    return name in fields or (code is not None and name in code.co_names)


def _code(found: Any) -> CodeType | None:
    """The code of a function, of what is wrapped in it, or memoised by JAX in C++."""
    if isinstance(found, CodeType):
        return found
    found = inspect.unwrap(found)
    if isinstance(found, FunctionType):
        return found.__code__
    # What JAX memoises in C++ shows its function to the garbage collector alone.
    inside = (f for f in gc.get_referents(found) if isinstance(f, FunctionType))
    return next((f.__code__ for f in inside if f.__name__ != "<lambda>"), None)


@derived
def _owner(requirement: Private) -> Any:
    """The module or the class that has a name."""
    if requirement.absent:
        raise NotOffered(str(requirement))
    return _found(requirement.name.rpartition(".")[0])


@derived
def _codes(requirement: Private) -> frozenset[CodeType]:
    if requirement.absent:
        return frozenset()
    code = _code(_found(requirement.name))
    return frozenset() if code is None else frozenset({code})
