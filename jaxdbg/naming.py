"""Names of arrays as the user would type them: `model.blocks[2].attn.key.kernel`.

JAX knows the arguments of a call as `batch['x']`, and under `nnx.jit` only as
`model.states[0][3]`. But an argument is the very array that the user's modules and
dicts hold, so walking what the user can name finds the path to it. Results have no
name yet: they are `train_step(...)[0]`, except where `nnx.jit` hands back new values
for its arguments; those bear the name of the argument they replace.

The walk runs none of the user's code: it reads instance dicts, slots and builtin
containers, and calls no property, `repr`, `==` or `hash` of theirs.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import (
    BuiltinFunctionType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import jax
import numpy as np

from jaxdbg.hooks.compiles import is_user_file

MAX_VISITS = 60_000
"""How many values a walk looks at; about 0.1 s."""

MAX_AT_ONCE = 256
"""How many values of one container are looked at before the others have their turn."""

MAX_PATH = 240
"""Longest path anyone would type; also ends the walk along a linked list."""

_SHELL = frozenset({"In", "Out", "exit", "quit", "get_ipython"})
_OPAQUE_PACKAGES = re.compile(
    "(jax|jaxlib|numpy|pandas|polars|pyarrow|matplotlib|plotly|sklearn|scipy|torch|"
    "tensorflow|tensorflow_datasets|IPython|ipykernel|ipywidgets|traitlets|tornado|zmq|"
    r"asyncio|threading|logging|concurrent|multiprocessing|_?pytest|jaxdbg)(\.|$)"
)
"""Objects of these hold no array that a user would name by the way to it."""

_PLAIN_VALUES = (str, bytes, bytearray, int, float, complex, type(None), range, slice)
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, FrameType)
_LEAVES = (*_PLAIN_VALUES, *_CODE, set, frozenset)


class Names:
    """What the arrays of some namespaces are called.

    Args:
        namespaces: from name to object, the nearest first: what `frame_namespaces`
            finds, IPython's `user_ns`. They are read when a name is asked for.
    """

    def __init__(self, *namespaces: Mapping[str, object]):
        calls = [n for n in namespaces if isinstance(n, NnxCall)]
        # Names of parameters are not the user's names for what was passed: they come
        # last.
        others = [n for n in namespaces if not isinstance(n, NnxCall)]
        self._namespaces = [*others, *calls]
        self._call = calls[0] if calls else None
        self._found: dict[int, tuple[object, str]] | None = None

    def of(self, array: object) -> str | None:
        """The path to an array, or None where no namespace leads to it."""
        if self._found is None:
            self._found = _Walk().run(self._namespaces)
        known, path = self._found.get(id(array), (None, None))
        return path if known is array else None

    def nnx_call(self, function: str) -> NnxCall | None:
        """The running call of an `nnx.jit` function, if it is that function's."""
        call, name = self._call, function.rpartition(".")[2]
        return call if call is not None and call.function == name else None


def input_names(
    function: str, args: Sequence[Any], debug_info: Any, names: Names
) -> list[str]:
    """One name for each flat argument: the user's path, else that of the parameter.

    Args:
        function: name of the jitted function.
        args: the flat arguments, the very objects the user's containers hold.
        debug_info: of the call's jaxpr; None where there is none.
        names: where to look the arguments up.
    """
    paths = _paths(debug_info, "arg_names", len(args))
    layout = _layout(names.nnx_call(function), debug_info)
    return [
        names.of(arg) or _typed_input(path, i, layout)
        for i, (arg, path) in enumerate(zip(args, paths, strict=True))
    ]


def output_names(
    function: str,
    args: Sequence[Any],
    outs: Sequence[Any],
    debug_info: Any,
    names: Names,
) -> list[str]:
    """One name for each flat output: `f(...)[0]`, or of the argument it updates.

    Args:
        function: name of the jitted function.
        args: the flat arguments, the very objects the user's containers hold.
        outs: the flat outputs.
        debug_info: of the call's jaxpr; None where there is none.
        names: where to look arguments and outputs up.
    """
    paths = _paths(debug_info, "result_paths", len(outs))
    arg_paths = _paths(debug_info, "arg_names", len(args))
    call = names.nnx_call(function)
    layout = _layout(call, debug_info)
    slots = _slots(paths, arg_paths, call, layout)
    inputs = input_names(function, args, debug_info, names)
    result = []
    for i, (out, path) in enumerate(zip(outs, paths, strict=True)):
        name, slot = names.of(out), slots[i]
        if name is None and slot is not None:
            name = inputs[slot]
        result.append(name or _typed_output(function, path, i, len(outs), layout))
    return result


def element(path: str, index: Sequence[int]) -> str:
    """The path of one element: `loss` for `()`, `kernel[3, 7]` for `(3, 7)`."""
    return f"{path}[{', '.join(str(int(i)) for i in index)}]" if len(index) else path


def frame_namespaces() -> list[Mapping[str, object]]:
    """What the user's running frames can name, the innermost frame first.

    A running call of an `nnx.jit` function is the last of them: it names its
    arguments by the function's parameters.
    """
    namespaces: list[Mapping[str, object]] = []
    call, out_tree = None, None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module == "jax._src.pjit":
            out_tree = getattr(frame.f_locals.get("p"), "out_tree", out_tree)
        elif module == "flax.nnx.transforms.compilation":
            call = call or NnxCall.of_frame(frame.f_locals, out_tree)
        elif is_user_file(frame.f_code.co_filename):
            namespaces += _of_frame(frame, namespaces)
        frame = frame.f_back
    return [*namespaces, call] if call is not None else namespaces


def _of_frame(
    frame: FrameType, known: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    if frame.f_locals is not frame.f_globals:
        found.append(_locals(frame))
    if not any(frame.f_globals is k for k in known):
        found.append(frame.f_globals)
    return found


def _locals(frame: FrameType) -> dict[str, object]:
    code = frame.f_code
    flags = (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)
    stars = sum(bool(code.co_flags & flag) for flag in flags)
    first = code.co_argcount + code.co_kwonlyargcount
    # A wrapper's `args[0]` has a better name where the wrapper was called.
    passed_on = code.co_varnames[first : first + stars]
    return {k: v for k, v in frame.f_locals.items() if k not in passed_on}


# --- the walk over what the user can name -------------------------------------------

_Children = Iterator[tuple[str, object]]
_Reader = Callable[[Any], _Children]


def _array(value: Any) -> _Children:
    raise AssertionError("a mark for types whose values are what we look for")


def _variable(value: Any) -> _Children:
    raise AssertionError("a mark for types that stand for the value inside")


class _Walk:
    """Breadth first, so that the shortest path to an array wins."""

    def __init__(self) -> None:
        self._arrays: dict[int, tuple[object, str]] = {}
        self._containers: dict[int, object] = {}
        self._readers: dict[int, tuple[type, _Reader | None]] = {}
        self._queue: deque[tuple[str, _Children]] = deque()
        # What is left of long containers: a list of 100,000 arrays must not keep a
        # model from being found.
        self._later: deque[tuple[str, _Children]] = deque()
        self._visits = MAX_VISITS

    def run(
        self, namespaces: Sequence[Mapping[str, object]]
    ) -> dict[int, tuple[object, str]]:
        """From the id of an array to that array, kept alive, and its path."""
        for namespace in namespaces:
            self._queue.append(("", _user_names(namespace)))
            while self._queue and self._visits > 0:
                self._advance(self._queue.popleft())
        while (self._queue or self._later) and self._visits > 0:
            self._advance((self._queue or self._later).popleft())
        return self._arrays

    def _advance(self, entry: tuple[str, _Children]) -> None:
        path, children = entry
        taken = 0
        try:
            for step, child in islice(children, MAX_AT_ONCE):
                taken += 1
                self._visit(path, step, child)
        except Exception:
            # A container that another thread changes: the rest goes without a name.
            return
        if taken == MAX_AT_ONCE:
            self._later.append(entry)

    def _visit(self, path: str, step: str, value: Any) -> None:
        self._visits -= 1
        reader = self._reader(type(value))
        if reader is _variable:
            value = _raw(value)
            reader = self._reader(type(value))
        if reader is None or id(value) in self._containers:
            return
        path += step
        if reader is _array:
            self._arrays.setdefault(id(value), (value, path))
        elif len(path) <= MAX_PATH:
            self._containers[id(value)] = value
            self._queue.append((path, reader(value)))

    def _reader(self, cls: type) -> _Reader | None:
        # By id: a metaclass may have a hash of its own.
        if id(cls) not in self._readers:
            try:
                reader = _reader_of(cls)
            except Exception:
                reader = None  # A class stranger than we know.
            self._readers[id(cls)] = (cls, reader)
        return self._readers[id(cls)][1]


def _user_names(namespace: Mapping[str, object]) -> _Children:
    for name, value in list(namespace.items()):
        if _is_name(name) and not name.startswith("_") and name not in _SHELL:
            yield name, value


def _reader_of(cls: type) -> _Reader | None:
    """How to read the values of a type; None where there is nothing to read."""
    if _is_a(cls, *_LEAVES):
        return None
    if _is_a(cls, jax.Array, np.ndarray, getattr(jax, "Ref", np.ndarray)):
        return _array
    if _is_a(cls, dict, list, tuple, deque):
        return _builtin_reader(cls)
    return _flax_reader(cls) or _object_reader(cls)


def _builtin_reader(cls: type) -> _Reader | None:
    base = next(b for b in (dict, list, tuple, deque) if _is_a(cls, b))
    fields = _static(cls, "_fields")
    if base is tuple and type(fields) is tuple:
        return lambda value: _named(fields, value)
    if _static(cls, "__getitem__") is not vars(base)["__getitem__"]:
        return None  # Its `[...]` may lead anywhere.
    return _items if base is dict else lambda value: _indexed(base.__iter__(value))


def _items(value: Any) -> _Children:
    for key, child in dict.items(value):
        if _is_literal(key):
            yield f"[{_quoted(key)}]", child


def _indexed(values: Iterator[object]) -> _Children:
    return ((f"[{i}]", child) for i, child in enumerate(values))


def _named(fields: tuple[str, ...], value: Any) -> _Children:
    return zip([f".{f}" for f in fields], tuple.__iter__(value), strict=False)


def _flax_reader(cls: type) -> _Reader | None:
    # Without flax imported, nobody holds anything of it.
    core, nnx = sys.modules.get("flax.core"), sys.modules.get("flax.nnx")
    if core is not None and _is_a(cls, core.FrozenDict):
        return lambda value: _items(value._dict)
    if nnx is None:
        return None
    if _is_a(cls, nnx.Variable):
        return _variable
    if _is_a(cls, nnx.State):
        methods = frozenset(dir(nnx.State))
        return lambda value: _state_items(value, methods)
    if _is_a(cls, nnx.List):
        return lambda value: ((f"[{k}]", v) for k, v in _own(value) if k.isdecimal())
    if cls.__module__ == "flax.nnx.extract":
        return _taken_apart
    if _is_a(cls, nnx.Dict):
        return lambda value: (
            (f"[{_quoted(k)}]", v) for k, v in _own(value) if k[:8] != "_pytree_"
        )
    return None


def _taken_apart(value: Any) -> _Children:
    """A module as `nnx.jit` hands it on: to the user it is the module still."""
    for child in vars(value).values():
        for part in child if type(child) is tuple else (child,):
            yield "", part


def _raw(variable: Any) -> Any:
    try:
        return variable.get_raw_value()
    except Exception:
        return None  # Not yet initialised, or deleted.


def _state_items(state: Any, methods: frozenset[str], path: str = "") -> _Children:
    """The leaves of a State; its inner dicts become States when one reads them."""
    mapping = state if isinstance(state, dict) else vars(state)["_mapping"]
    for key, child in mapping.items():
        attribute = _is_name(key) and key not in methods
        step = f"{path}.{key}" if attribute else f"{path}[{_quoted(key)}]"
        if _is_a(type(child), dict, type(state)):
            yield from _state_items(child, methods, step)
        else:
            yield step, child


def _object_reader(cls: type) -> _Reader | None:
    """Reads attributes where they lie, so that no property or descriptor runs."""
    intercepts = next(c for c in cls.__mro__ if "__getattribute__" in vars(c))
    if _package(intercepts) not in ("builtins", "flax"):
        return None  # An attribute may lead anywhere.
    if _OPAQUE_PACKAGES.match(cls.__module__):
        return None
    slots, hidden, has_dict = _members(cls)

    def read(value: Any) -> _Children:
        for name, child in _own(value) if has_dict else ():
            if _is_name(name) and name not in hidden and name[:8] != "_pytree_":
                yield f".{name}", child
        for name, slot in slots.items():
            try:
                yield f".{name}", slot.__get__(value)
            except AttributeError:
                continue  # Declared and not set.

    return read


def _members(
    cls: type,
) -> tuple[dict[str, MemberDescriptorType], frozenset[str], bool]:
    """Slots, names a data descriptor answers for, and whether there is a plain dict."""
    slots: dict[str, MemberDescriptorType] = {}
    hidden: set[str] = set()
    has_dict = False
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if name == "__dict__":
                has_dict = type(member) is GetSetDescriptorType
            elif type(member) is MemberDescriptorType and base is not object:
                slots[name] = member
            elif _static(type(member), "__set__") is not None:
                hidden.add(name)
    return slots, frozenset(hidden), has_dict


def _own(value: Any) -> Iterator[tuple[str, object]]:
    return iter(object.__getattribute__(value, "__dict__").items())


def _static(cls: type, name: str) -> Any:
    return next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)


def _is_a(cls: type, *bases: type) -> bool:
    # isinstance asks an object for its `__class__`, issubclass may ask the class's
    # metaclass, and an abstract base class takes its hash.
    return any(c is base for c in cls.__mro__ for base in bases)


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _is_name(key: object) -> bool:
    return type(key) is str and key.isidentifier() and not keyword.iskeyword(key)


def _is_literal(key: object) -> bool:
    if type(key) is tuple:
        return all(_is_literal(k) for k in key)
    return type(key) in (str, int, bool, bytes, type(None))


def _quoted(key: object) -> str:
    """A key as one types it: strings in double quotes, unless they hold some."""
    text = repr(key)
    if type(key) is str and text[0] == "'" and '"' not in key:
        return f'"{text[1:-1]}"'
    return text


# --- what JAX and flax know of a call -----------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the flat outputs of a call come from, as prefixes of their paths.

    Attributes:
        result: what the user's function returned.
        positional, keyword: new values of its arguments; empty where it has none.
    """

    result: str = "result"
    positional: str = ""
    keyword: str = ""


_PLAIN = _Layout()
_GRAPH = _Layout("result[2]", "result[0]", "result[1]")
_TREE = _Layout("result[0]", "result[1][0]", "result[1][1]")
"""`nnx.jit` returns (args, kwargs, result); with `graph=False` or
`graph_updates=False` it returns (result, updates)."""


class NnxCall(dict[str, object]):
    """A running call of an `nnx.jit` function: from parameter names to arguments.

    Attributes:
        function: name of the user's function.
        graph: whether arguments are taken apart as graphs (`_GRAPH`, not `_TREE`).
        positional: JAX's name for each positional argument.
        keyword: JAX's name for each keyword argument.
        updated: for paths of `flax.nnx.extract.Updates`, JAX's name of what changed.
    """

    def __init__(self, fun: Any, args: Any, kwargs: Any, graph: bool):
        signature = inspect.signature(fun)
        bound = signature.bind(*args, **kwargs).arguments
        super().__init__(bound)
        kinds = {name: p.kind for name, p in signature.parameters.items()}
        self.function: str = getattr(fun, "func", fun).__name__
        self.graph = graph
        self.positional = _positional(kinds, len(args))
        self.keyword = {
            k: k if k in kinds else f"{list(kinds)[-1]}[{k!r}]" for k in kwargs
        }
        self.updated: dict[str, str] = {}

    @classmethod
    def of_frame(cls, local: Mapping[str, Any], out_tree: Any) -> NnxCall | None:
        """From the locals of flax's `__call__`; None where they are not as known."""
        try:
            wrapped = local["self"]
            graph = type(wrapped).__name__ == "JitWrapped"
            call = cls(wrapped.fun, local["args"], local["kwargs"], graph)
        except Exception:
            return None
        try:
            call.updated = call._read_updates(out_tree)
        except Exception:
            # An older or newer flax, which names updates otherwise.
            call.updated = {}
        return call

    def _read_updates(self, out_tree: Any) -> dict[str, str]:
        """The keys of flax's `Updates`, which are in no name that JAX makes of it."""
        found = {}
        for group, tree in enumerate(out_tree.children()[1].children()):
            _, (keys,) = tree.node_data()
            for i, (kind, argument, *rest) in enumerate(keys):
                if kind.name == "args":
                    head = self.positional[argument.idx]
                else:
                    head = self.keyword[argument.key]
                path = f"result[1][{group}]._values[{i}]"
                found[path] = head + jax.tree_util.keystr(tuple(rest))
        return found


def _positional(kinds: Mapping[str, Any], count: int) -> list[str]:
    names = list(kinds)
    rest = [n for n in names if kinds[n] is inspect.Parameter.VAR_POSITIONAL]
    if not rest:
        return names[:count]
    before = names.index(rest[0])
    return [*names[:before], *(f"{rest[0]}[{i}]" for i in range(count - before))]


def _paths(debug_info: Any, attribute: str, count: int) -> tuple[str, ...]:
    """The paths JAX has, one for each; empty strings where it has none that fit."""
    paths = _known_paths(debug_info, attribute)
    return paths if len(paths) == count else ("",) * count


def _known_paths(debug_info: Any, attribute: str) -> tuple[str, ...]:
    paths = getattr(debug_info, attribute, None)
    if not isinstance(paths, tuple | list):
        return ()
    return tuple(p if isinstance(p, str) else "" for p in paths)


_OPAQUE = re.compile(r"(.*\.states\[\d+\])\[(\d+)\]")
_STATE = re.compile(r"\.__state__(?=\[)|\.states\[\d+\](?=\[['\"])")
_UPDATE = re.compile(r"(result\[\d+\]\[\d+\]\._values\[\d+\])(.*)")


def _layout(call: NnxCall | None, debug_info: Any) -> _Layout:
    if call is not None:
        return _GRAPH if call.graph else _TREE
    # The frames of the call are gone (or it is none of nnx): what flax does to the
    # arguments still shows.
    args = _known_paths(debug_info, "arg_names")
    results = _known_paths(debug_info, "result_paths")
    updates = [p for p in results if not p.startswith(_GRAPH.result)]
    if any(map(_OPAQUE.match, args)) and updates and all(map(_OPAQUE.match, updates)):
        return _GRAPH
    if any(map(_STATE.search, args)) or any(map(_UPDATE.match, results)):
        return _TREE
    heads = _heads(args)
    variables = {p for p in args if ".value" in p}
    if any(_updated(p, _TREE, heads, {}, {}) in variables for p in results):
        return _TREE
    return _PLAIN


def _slots(
    paths: Sequence[str],
    arg_paths: Sequence[str],
    call: NnxCall | None,
    layout: _Layout,
) -> list[int | None]:
    """For each output the argument it updates, if any."""
    known = {path: i for i, path in enumerate(arg_paths)}
    heads = call.positional if call else _heads(arg_paths)
    keywords = call.keyword if call else {}
    updated = call.updated if call else {}
    texts = [_updated(p, layout, heads, keywords, updated) for p in paths]
    # Slots are numbered: they correspond as long as there are as many.
    before, after = _slot_counts(arg_paths), _slot_counts(texts)
    return [
        known.get(t) if before[s] == after[s] else None
        for t, s in ((t, _stem(t)) for t in texts)
    ]


def _updated(
    path: str,
    layout: _Layout,
    heads: Sequence[str],
    keywords: Mapping[str, str],
    updated: Mapping[str, str],
) -> str:
    """What JAX calls the argument that an output updates; empty if it updates none."""
    if layout is _PLAIN:
        return ""
    if match := _UPDATE.fullmatch(path):
        return updated.get(match[1], "") + match[2]
    if match := re.fullmatch(re.escape(layout.positional) + r"\[(\d+)\](.*)", path):
        i = int(match[1])
        return heads[i] + match[2] if i < len(heads) else ""
    if match := re.fullmatch(re.escape(layout.keyword) + r"\['(\w+)'\](.*)", path):
        return keywords.get(match[1], match[1]) + match[2]
    return ""


def _heads(paths: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(_head, paths)))


def _head(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _stem(path: str) -> str:
    match = _OPAQUE.match(path)
    return match[1] if match else ""


def _slot_counts(paths: Sequence[str]) -> Counter[str]:
    return Counter(stem for stem in map(_stem, paths) if stem)


# --- JAX's paths as one types them --------------------------------------------------


def _typed_input(path: str, i: int, layout: _Layout) -> str:
    if not path or re.fullmatch(r"flat_args\[\d+\]", path):
        return f"argument {i + 1}"
    if layout is _GRAPH and (match := _OPAQUE.match(path)):
        return f"variable {int(match[2]) + 1} of {_head(path)}"
    return _typed(path, layout)


def _typed_output(function: str, path: str, i: int, count: int, layout: _Layout) -> str:
    rest = path.removeprefix(layout.result)
    if not path and count == 1:
        return f"{function}(...)"
    if not path or rest == path or (layout is _GRAPH and _OPAQUE.match(rest)):
        return f"output {i + 1} of {function}(...)"
    return f"{function}(...){_typed(rest, layout)}"


def _typed(path: str, layout: _Layout) -> str:
    if layout is not _PLAIN:
        path = _without_flax(path)
    return re.sub(
        r"""\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""",
        lambda match: f"[{_quoted(ast.literal_eval(match[1]))}]",
        path,
    )


def _without_flax(path: str) -> str:
    """`model.__state__['bn']['mean'].value` as `model.bn.mean`."""
    if ".value" in path:
        module, _, inside = path.rpartition(".value")
    else:
        module, inside = path, ""
    head, *state = _STATE.split(module, maxsplit=1)
    keys = (re.sub(r"\['([^\W\d]\w*)'\]", r".\1", s) for s in state)
    return head + "".join(keys) + inside
