"""What `nnx.jit` does to arguments and results, in the paths that JAX has of them.

It takes modules apart: JAX sees `model.states[0][3]`. And it returns new values for the
arguments beside what the user's function returned; they are written back to the modules
after the call.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from jaxdbg.frameworks.jitted_calls import (
    CallPaths,
    RunningCall,
    keyword_names,
    part,
    positional_names,
    typed,
)
from jaxdbg.frameworks.nnx.jitted import jit_class, partial_count
from jaxdbg.records import tree_name

_OPAQUE = re.compile(r"(.*\.states\[\d+\])\[(\d+)\]")
_STATES = re.compile(r"\.states\[\d+\]$")
_STATE = re.compile(r"\.__state__(?=\[)|\.states\[\d+\](?=\[['\"])")
_UPDATE = re.compile(r"(result\[\d+\]\[\d+\]\._values\[\d+\])(.*)")


@dataclass(frozen=True, slots=True)
class ResultLayout:
    """Where the flat results of a call come from, as prefixes of their paths.

    Attributes:
        result: what the user's function returned.
        positional, keyword: new values of its arguments; empty where it has none.
    """

    result: str = "result"
    positional: str = ""
    keyword: str = ""


_PLAIN = ResultLayout()
_GRAPH = ResultLayout("result[2]", "result[0]", "result[1]")
_TREE = ResultLayout("result[0]", "result[1][0]", "result[1][1]")
"""`nnx.jit` returns (args, kwargs, result); with `graph=False` or
`graph_updates=False` it returns (result, updates)."""


@dataclass(frozen=True)
class NnxPaths(CallPaths):
    """The paths of one call of an `nnx.jit` function.

    Attributes:
        layout: of its results.
        positional: JAX's name for each positional argument; None where the frames of
            the call are gone, and the names of the arguments must do.
        keyword: JAX's name for each keyword argument.
        updated: for paths of `flax.nnx.extract.Updates`, JAX's name of what changed.
    """

    layout: ResultLayout
    positional: Sequence[str] | None = None
    keyword: Mapping[str, str] = field(default_factory=dict)
    updated: Mapping[str, str] = field(default_factory=dict)

    def argument(self, path: str) -> str:
        """`model.bn.mean`; of a graph only `variable 3 of model` is known."""
        if self.layout is _GRAPH and (match := _OPAQUE.match(path)):
            return f"variable {int(match[2]) + 1} of {tree_name(path)}"
        return super().argument(self._without_flax(path))

    def result(self, path: str) -> str | None:
        """The steps to a result of the user's function; None for an update."""
        rest = path.removeprefix(self.layout.result)
        if rest == path or (self.layout is _GRAPH and _OPAQUE.match(rest)):
            return None
        return typed(self._without_flax(rest))

    def returned(self, results: Any) -> tuple[Any, int]:
        """What is beside the new values of the arguments."""
        if self.layout is _PLAIN:
            return super().returned(results)
        return part(results, 2 if self.layout is _GRAPH else 0)

    def node(self, path: str) -> str:
        """The path to a Variable of a returned State, where the result is in one."""
        match = _OPAQUE.fullmatch(path)
        return _STATES.sub("", match[1]) if match else path

    def updates(
        self, results: Sequence[str], arguments: Sequence[str]
    ) -> list[int | None]:
        """For each result the argument that flax writes it back to."""
        known = {path: i for i, path in enumerate(arguments) if path}
        heads = self.positional if self.positional is not None else _heads(arguments)
        texts = [self.updated_by(path, heads) for path in results]
        # Variables of a graph are numbered: they correspond as long as there are as
        # many.
        before, after = _variable_counts(arguments), _variable_counts(texts)
        return [
            known.get(t) if before[s] == after[s] else None
            for t, s in ((t, _stem(t)) for t in texts)
        ]

    def updated_by(self, path: str, heads: Sequence[str]) -> str:
        """What JAX calls the argument that a result updates; empty for none."""
        layout = self.layout
        if layout is _PLAIN:
            return ""
        if match := _UPDATE.fullmatch(path):
            return self.updated.get(match[1], "") + match[2]
        if match := re.fullmatch(re.escape(layout.positional) + r"\[(\d+)\](.*)", path):
            i = int(match[1])
            return heads[i] + match[2] if i < len(heads) else ""
        if match := re.fullmatch(re.escape(layout.keyword) + r"\['(\w+)'\](.*)", path):
            return self.keyword.get(match[1], match[1]) + match[2]
        return ""

    def _without_flax(self, path: str) -> str:
        """`model.__state__['bn']['mean'].value` as `model.bn.mean`."""
        if self.layout is _PLAIN:
            return path
        if ".value" in path:
            module, _, inside = path.rpartition(".value")
        else:
            module, inside = path, ""
        head, *state = _STATE.split(module, maxsplit=1)
        keys = (re.sub(r"\['([^\W\d]\w*)'\]", r".\1", s) for s in state)
        return head + "".join(keys) + inside


@dataclass(frozen=True)
class PartialPaths(NnxPaths):
    """The paths of one call of an `nnx.jit_partial` function.

    Attributes:
        names: from what JAX calls an argument of the call to its parameter.
        variables_of: the parameters whose variables are in JAX's first argument.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    variables_of: str = ""

    def argument(self, path: str) -> str:
        """As the user types it; of the list only `variable 3 of model` is known."""
        head = re.match(r"(?:args|kwargs)\[[^]]*\]|\w+", path)
        name, steps = (head[0], path[head.end() :]) if head else (path, "")
        if name in self.names:
            return super().argument(self.names[name] + steps)
        if listed := re.match(r"\[(\d+)\]", steps):
            return f"variable {int(listed[1]) + 1} of {self.variables_of}"
        return super().argument(path)


class NnxCall(RunningCall):
    """A running call of an `nnx.jit` function: from parameter names to arguments."""

    def __init__(self, fun: Any, args: Any, kwargs: Any, graph: bool, out_tree: Any):
        signature = inspect.signature(fun)
        super().__init__(signature.bind(*args, **kwargs).arguments)
        self.function = _name(fun)
        positional = positional_names(signature, len(args))
        keyword = keyword_names(signature, kwargs)
        self.paths = NnxPaths(
            _GRAPH if graph else _TREE,
            positional,
            keyword,
            _updates(out_tree, positional, keyword),
        )

    @classmethod
    def of_frame(cls, local: Mapping[str, Any], out_tree: Any) -> RunningCall | None:
        """From the locals of flax's `__call__`; None where they are not as known."""
        try:
            known, fun = jit_class(local), local["self"].fun
            args, kwargs = local["args"], local["kwargs"]
            if known is None:
                return None
            if known.is_partial:
                return NnxPartialCall(fun, args, kwargs, out_tree)
            return cls(fun, args, kwargs, known.has_graphs, out_tree)
        except Exception:
            return None


class NnxPartialCall(RunningCall):
    """A running call of an `nnx.jit_partial` function.

    JAX sees one list of variables in place of the first arguments, and so calls the
    others after parameters that are not theirs.
    """

    def __init__(self, fun: Any, args: Any, kwargs: Any, out_tree: Any):
        signature, count = inspect.signature(fun), partial_count(fun)
        names = positional_names(signature, count + len(args))
        super().__init__({**dict(zip(names[count:], args, strict=True)), **kwargs})
        self.function = _name(fun)
        positional, keyword = _as_jax_names(signature, args, kwargs)
        self.paths = PartialPaths(
            _TREE,
            positional,
            keyword,
            _partial_updates(out_tree, positional[0]),
            names={
                **dict(zip(positional[1:], names[count:], strict=True)),
                **{name: key for key, name in keyword.items()},
            },
            variables_of=", ".join(names[:count]),
        )


def _as_jax_names(
    signature: inspect.Signature, args: Any, kwargs: Any
) -> tuple[list[str], dict[str, str]]:
    """What JAX calls the list of variables and the arguments after it."""
    count = 1 + len(args)
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError:  # as a rule: fewer arguments than the signature says
        named = {key: f"kwargs['{key}']" for key in kwargs}
        return [f"args[{i}]" for i in range(count)], named
    return positional_names(signature, count), keyword_names(signature, kwargs)


def _name(fun: Any) -> str:
    return str(getattr(fun, "func", fun).__name__)


def recognised(arguments: Sequence[str], results: Sequence[str]) -> NnxPaths | None:
    """The paths of a call by what flax has done to the arguments; None for no flax."""
    layout = _result_layout(arguments, results)
    if layout is _PLAIN and not any(map(_OPAQUE.fullmatch, results)):
        return None
    return NnxPaths(layout)


def _result_layout(arguments: Sequence[str], results: Sequence[str]) -> ResultLayout:
    updates = [p for p in results if not p.startswith(_GRAPH.result)]
    graph = [*map(_OPAQUE.match, updates)]
    if any(map(_OPAQUE.match, arguments)) and graph and all(graph):
        return _GRAPH
    if any(map(_STATE.search, arguments)) or any(map(_UPDATE.match, results)):
        return _TREE
    heads = _heads(arguments)
    variables = {p for p in arguments if ".value" in p}
    updated = (NnxPaths(_TREE).updated_by(path, heads) for path in results)
    return _TREE if any(path in variables for path in updated) else _PLAIN


def _updates(
    out_tree: Any, positional: Sequence[str], keyword: Mapping[str, str]
) -> dict[str, str]:
    """The keys of flax's `Updates`, which are in no name that JAX makes of it."""
    found = {}
    try:
        for group, tree in enumerate(out_tree.children()[1].children()):
            _, (keys,) = tree.node_data()
            for i, (kind, argument, *rest) in enumerate(keys):
                if kind.name == "args":
                    head = positional[argument.idx]
                else:
                    head = keyword[argument.key]
                path = f"result[1][{group}]._values[{i}]"
                found[path] = head + jax.tree_util.keystr(tuple(rest))
    except Exception:
        return {}  # An older or newer flax, which names updates otherwise.
    return found


def _partial_updates(out_tree: Any, listed: str) -> dict[str, str]:
    """The variables of the list that flax's `Updates` are the new values of."""
    found = {}
    try:
        for group, tree in enumerate(out_tree.children()[1].children()):
            _, (keys,) = tree.node_data()
            for i, key in enumerate(keys):
                path = f"result[1][{group}]._values[{i}]"
                found[path] = f"{listed}[{int(key)}].value"
    except Exception:
        return {}  # An older or newer flax, which names updates otherwise.
    return found


def _heads(paths: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(tree_name, paths)))


def _stem(path: str) -> str:
    match = _OPAQUE.match(path)
    return match[1] if match else ""


def _variable_counts(paths: Sequence[str]) -> Counter[str]:
    return Counter(stem for stem in map(_stem, paths) if stem)
