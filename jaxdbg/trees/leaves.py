"""The leaves of a tree, each with the path a user would type and the group it is of.

JAX's own paths end at what it calls a leaf; here modules, optimizers and states are
entered as the user writes them, `model.blocks[2].attn.key.kernel`, in the order in
which they are held. What is no data of a module (a size, a function) is left out. A
parameter that is held in two places is one leaf, under the path that comes first.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdbg.frameworks import readers
from jaxdbg.frameworks.reader_parts import (
    Children,
    Reader,
    VariableReader,
    an_array,
    is_a,
    own,
    package_of,
    quoted,
)

_GROUPS = (
    ("gradients", r"(.*_)?grad(s|ients?)?(_.*)?"),
    ("optimizer", r"(.*_)?opt(im|imi[sz]er)?(_states?)?"),
    ("batch stats", r"batch_?stats"),
    ("params", r"(.*_)?(params?|parameters)"),
    ("rng", r"(.*_)?rngs?"),
)
"""What the name of a tree, or of a part of it, says of the leaves in it."""

_END = (None, None)

_MAY_CHANGE = ("", "params")
"""Groups in which a part may be of another: gradients of parameters are gradients."""


def _group_of_word(word: str) -> str:
    return next((g for g, words in _GROUPS if re.fullmatch(words, word)), "")


class Leaf(NamedTuple):
    """A leaf of a tree.

    Attributes:
        path: as the user would type it.
        group: as in `jaxdbg.records.LeafStats`.
        value: the array, or another value.
    """

    path: str
    group: str
    value: Any


class Leaves(NamedTuple):
    """The leaves of a tree, and by which other paths they can be reached.

    Attributes:
        leaves: in the order in which the tree holds them.
        shared: from the path of what is held a second time to its first path.
    """

    leaves: list[Leaf]
    shared: dict[str, str]


def leaves_of(tree: object, name: str) -> Leaves:
    """The leaves of a tree of any kind.

    Arguments:
        tree: any pytree, module, optimizer, State, dataclass, array or value.
        name: what the user calls the tree.
    """
    return _Descent().run(tree, name)


def is_of_optimizer(path: str) -> bool:
    """Whether the names in a path say that it is of the state of an optimizer."""
    return any(_group_of_word(word) == "optimizer" for word in re.findall(r"\w+", path))


class _Inside(NamedTuple):
    """A container that is being read.

    Attributes:
        quiet: whether only arrays and variables in it are leaves.
    """

    path: str
    group: str
    quiet: bool
    children: Children


class _Descent:
    """Depth first, with a stack of its own: a tree may be deeper than Python's."""

    def __init__(self) -> None:
        self._leaves: list[Leaf] = []
        self._shared: dict[str, str] = {}
        # The values are held, so that no other gets the id of one that is gone.
        self._seen: dict[int, tuple[object, str]] = {}
        self._kinds: dict[int, tuple[type, _Kind]] = {}
        self._words: dict[str, str] = {}
        self._stack: list[_Inside] = []

    def run(self, tree: object, name: str) -> Leaves:
        group = self._group_of_step(re.split(r"[(\[]", name)[0].rpartition(".")[2])
        self._visit(name, group, False, tree)
        whole = [*self._leaves] if self._kind(tree).reader is None else []
        if whole:
            self._look_inside(name, group, tree)
        while self._stack:
            inside = self._stack[-1]
            step, child = next(inside.children, _END)
            if step is None:
                self._stack.pop()
                continue
            group = inside.group
            if not inside.quiet and group in _MAY_CHANGE:
                group = self._group_of_step(step) or group
            self._visit(inside.path + step, group, inside.quiet, child)
        found = self._leaves[len(whole) :]
        return Leaves(found or whole, self._shared)

    def _visit(self, path: str, group: str, quiet: bool, value: Any) -> None:
        kind = self._kind(value)
        if isinstance(kind.reader, VariableReader):
            if self._is_seen(value, path):
                return
            group = kind.group if group in _MAY_CHANGE and kind.group else group
            quiet, value = False, kind.reader.raw(value)
            kind = self._kind(value)
        elif kind.reader is an_array and self._is_seen(value, path):
            return
        if kind.reader is None or kind.reader is an_array:
            if kind.reader or not quiet:
                self._leaves.append(Leaf(path, group or "other", value))
        elif not _is_empty(value) and not self._is_seen(value, path):
            self._enter(path, group, quiet, value, kind)

    def _enter(
        self, path: str, group: str, quiet: bool, value: Any, kind: _Kind
    ) -> None:
        assert kind.reader is not None
        if group == "optimizer" and kind.is_module and not kind.group:
            group = ""  # a model that an optimizer holds, whose variables have groups
        if group in _MAY_CHANGE:
            group = kind.group or group
        try:
            children = iter([*kind.reader(value)])
        except Exception:  # its own flattening is broken: it is one thing, to us
            self._leaves.append(Leaf(path, group or "other", value))
            return
        self._stack.append(_Inside(path, group, quiet or kind.is_module, children))

    def _is_seen(self, value: object, path: str) -> bool:
        known = self._seen.setdefault(id(value), (value, path))
        if known[1] != path:
            self._shared[path] = known[1]
        return known[1] != path

    def _kind(self, value: object) -> _Kind:
        cls = type(value)
        if id(cls) not in self._kinds:  # by id: a metaclass may have its own hash
            try:
                kind = _kind_of(value)
            except Exception:
                kind = _Kind()  # a class stranger than we know
            self._kinds[id(cls)] = (cls, kind)
        return self._kinds[id(cls)][1]

    def _group_of_step(self, step: str) -> str:
        if step[1:2].isdigit():  # `[3]`, of which there may be very many
            return ""
        if step not in self._words:
            self._words[step] = _group_of_word(step.strip(".[]\"'"))
        return self._words[step]

    def _look_inside(self, path: str, group: str, tree: object) -> None:
        """Goes for the arrays in an object that JAX does not know: a trainer."""
        try:
            reader = readers.reader_of(type(tree))
        except Exception:
            return
        if reader is not None:
            self._stack.append(_Inside(path, group, True, iter(reader(tree))))


class _Kind(NamedTuple):
    """How values of a class are read.

    Attributes:
        reader: for what is inside; None for a leaf that is no array.
        group: what the class says of the leaves inside.
        is_module: whether it is a module, which holds more than data.
    """

    reader: Reader | None = None
    group: str = ""
    is_module: bool = False


def _kind_of(value: object) -> _Kind:
    cls = type(value)
    if value is None or is_a(cls, str, bytes):
        return _Kind()
    reader = readers.reader_of(cls)
    if is_a(cls, np.generic, jax.ShapeDtypeStruct) or reader is an_array:
        return _Kind(an_array)
    if cls is dict:
        return _Kind(_items)
    if is_a(cls, dict, list, tuple, deque) and reader:
        return _Kind(reader, _group_of_package(cls))
    if library_reader := readers.library_reader(cls):
        return _Kind(library_reader, readers.group(cls), readers.is_module(value))
    if readers.is_module(value):
        return _Kind(readers.object_reader(cls), readers.group(cls), True)
    if _is_node(value):
        return _Kind(_pytree, _group_of_package(cls) or readers.group(cls))
    if dataclasses.is_dataclass(cls):
        return _Kind(readers.object_reader(cls))
    return _Kind()


def _group_of_package(cls: type) -> str:
    # A state of optax may be nested in a user's own class, and the reverse.
    return "optimizer" if package_of(cls) == "optax" else ""


def _items(value: Any) -> Children:
    return ((f"[{quoted(key)}]", child) for key, child in dict.items(value))


def _is_empty(value: object) -> bool:
    return type(value) is tuple and not value  # there is only one of these


def _is_node(value: object) -> bool:
    level = _one_level(value)
    return not level or level[0][0] != ()


def _one_level(value: object) -> list[tuple[Any, Any]]:
    """The children of a pytree node with their key paths; of a leaf the leaf itself."""
    found: list[tuple[Any, Any]] = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda child: child is not value
    )[0]
    return found


def _pytree(value: Any) -> Children:
    names: dict[int, str] | None = None
    for (key,), child in _one_level(value):
        if isinstance(key, jax.tree_util.FlattenedIndexKey):
            names = names or {id(v): k for k, v in _attributes(value)}
        yield _step(key, (names or {}).get(id(child))), child


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    return own(value) if hasattr(value, "__dict__") else iter(())


def _step(key: Any, attribute: str | None) -> str:
    util = jax.tree_util
    match key:
        case util.DictKey(key=name):
            return f"[{quoted(name)}]"
        case util.SequenceKey(idx=i):
            return f"[{i}]"
        case util.GetAttrKey(name=name):
            return f".{name}"
    return f".{attribute}" if attribute else str(key)
