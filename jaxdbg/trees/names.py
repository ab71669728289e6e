"""Names of arrays as the user would type them: `model.blocks[2].attn.key.kernel`.

JAX knows the arguments of a call as `batch['x']`, and under `nnx.jit` only as
`model.states[0][3]`. But an argument is the very array that the user's modules and
dicts hold, so walking what the user can name finds the path to it. Results have no
name yet: they are `train_step(...)[0]`, except where `nnx.jit` hands back new values
for its arguments; those bear the name of the argument they replace.

The walk runs none of the user's code: `jaxdbg.frameworks.readers` says how it reads.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Any

import jax

from jaxdbg.frameworks.readers import (
    Children,
    Reader,
    a_variable,
    an_array,
    is_flax_node,
    is_name,
    is_state,
    quoted,
    raw,
    reader_of,
)
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.records import tree_name

MAX_VISITS = 60_000
"""How many values a walk looks at; about 0.1 s."""

MAX_AT_ONCE = 256
"""How many values of one container are looked at before the others have their turn."""

MAX_PATH = 240
"""Longest path anyone would type; also ends the walk along a linked list."""

_SHELL = frozenset({"In", "Out", "exit", "quit", "get_ipython"})


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

    def from_outside(self) -> Names:
        """The same, but what an outer frame calls an array comes first.

        Such a name outlives the functions that run now.
        """
        call = [self._call] if self._call is not None else []
        others = [n for n in self._namespaces if n is not self._call]
        return Names(*reversed(others), *call)

    def paths(self) -> Iterator[tuple[object, str]]:
        """Every array that a namespace leads to, with the path to it."""
        self.of(None)
        return iter((self._found or {}).values())

    @property
    def namespaces(self) -> tuple[Mapping[str, object], ...]:
        """The nearest first."""
        return tuple(self._namespaces)

    def modules(self) -> Iterator[tuple[str, object, bool]]:
        """The modules and optimizers of NNX that have a name, with it.

        The flag tells whether the running call of an `nnx.jit` function was given it.
        These come first; what has no other name bears that of the parameter.
        """
        is_module: dict[int, bool] = {}
        named: dict[int, tuple[str, object]] = {}
        for space in self._namespaces:
            for name, value in _user_names(space) if space is not self._call else ():
                cls = type(value)
                if id(cls) not in is_module:
                    is_module[id(cls)] = is_flax_node(value)
                if is_module[id(cls)]:
                    named.setdefault(id(value), (name, value))
        for parameter, value in (self._call or {}).items():
            if is_flax_node(value):
                yield *named.pop(id(value), (parameter, value)), True
        for name, value in named.values():
            yield name, value, False

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
    alone = Counter(_node(path) for path in paths)
    result = []
    for i, (out, path) in enumerate(zip(outs, paths, strict=True)):
        name, slot = names.of(out), slots[i]
        if name is None and slot is not None:
            name = inputs[slot]
        path = _of_one_variable(path, alone)
        result.append(name or _typed_output(function, path, i, len(outs), layout))
    return result


def updates(
    function: str, args: Sequence[Any], outs: Sequence[Any], debug_info: Any
) -> dict[int, int]:
    """From outputs of an `nnx.jit` call to the argument that each is the new value of.

    Args:
        function: name of the jitted function.
        args: the flat arguments.
        outs: the flat outputs.
        debug_info: of the call's jaxpr; None where there is none.
    """
    paths = _paths(debug_info, "result_paths", len(outs))
    arg_paths = _paths(debug_info, "arg_names", len(args))
    slots = _slots(paths, arg_paths, None, _layout(None, debug_info))
    return {i: slot for i, slot in enumerate(slots) if slot is not None}


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
    snapshot = frame.f_locals
    found = {k: v for k, v in snapshot.items() if k not in passed_on}
    is_function = code.co_flags & inspect.CO_OPTIMIZED
    if is_function and isinstance(snapshot, dict) and sys.getrefcount(snapshot) <= 3:
        # Before Python 3.13 the frame keeps it, and with it what the user deletes: the
        # first parameters of a training loop, to its end. Nobody else holds it.
        snapshot.clear()
    return found


# --- the walk over what the user can name -------------------------------------------


class _Walk:
    """Breadth first, so that the shortest path to an array wins."""

    def __init__(self) -> None:
        self._arrays: dict[int, tuple[object, str]] = {}
        self._containers: dict[int, object] = {}
        self._readers: dict[int, tuple[type, Reader | None]] = {}
        self._queue: deque[tuple[str, Children]] = deque()
        # What is left of long containers: a list of 100,000 arrays must not keep a
        # model from being found.
        self._later: deque[tuple[str, Children]] = deque()
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

    def _advance(self, entry: tuple[str, Children]) -> None:
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
        if reader is a_variable:
            value = raw(value)
            reader = self._reader(type(value))
        if reader is None or id(value) in self._containers:
            return
        path += step
        if reader is an_array:
            self._arrays.setdefault(id(value), (value, path))
        elif len(path) <= MAX_PATH:
            self._containers[id(value)] = value
            # What is in a State is in a module too, which has the name one types.
            queue = self._later if is_state(type(value)) else self._queue
            queue.append((path, reader(value)))

    def _reader(self, cls: type) -> Reader | None:
        # By id: a metaclass may have a hash of its own.
        if id(cls) not in self._readers:
            try:
                reader = reader_of(cls)
            except Exception:
                reader = None  # A class stranger than we know.
            self._readers[id(cls)] = (cls, reader)
        return self._readers[id(cls)][1]


def _user_names(namespace: Mapping[str, object]) -> Children:
    for name, value in list(namespace.items()):
        if is_name(name) and not name.startswith("_") and name not in _SHELL:
            yield name, value


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
_STATES = re.compile(r"\.states\[\d+\]$")
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
    known = {path: i for i, path in enumerate(arg_paths) if path}
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
    return list(dict.fromkeys(map(tree_name, paths)))


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
        return f"variable {int(match[2]) + 1} of {tree_name(path)}"
    return _typed(path, layout)


def _node(path: str) -> str:
    """The graph node that a path leads into; the path itself where it leads to none."""
    match = _OPAQUE.fullmatch(path)
    return _STATES.sub("", match[1]) if match else path


def _of_one_variable(path: str, alone: Mapping[str, int]) -> str:
    """The path to the node where it holds one array: a Variable of a returned State."""
    node = _node(path)
    return node if alone[node] == 1 else path


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
        lambda match: f"[{quoted(ast.literal_eval(match[1]))}]",
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
