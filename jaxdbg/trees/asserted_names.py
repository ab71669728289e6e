"""What the line of an assertion calls the leaves of the trees that it is passed.

`chex.assert_tree_all_finite(nnx.state(model))` is about `model.blocks[3].b.kernel`.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Sequence
from types import FrameType
from typing import Any

import jax
import numpy as np

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.trees.calling_lines import MAX_LENGTH, calling_line
from jaxdbg.trees.leaves import leaves_of
from jaxdbg.trees.static_values import UNKNOWN, StaticValues


def leaf_names(frame: FrameType, trees: Sequence[Any]) -> list[list[str]]:
    """By tree the names of its leaves, in JAX's order; empty where there is none.

    Arguments:
        frame: of the user's, which calls the assertion.
        trees: what its line passes, in order.
    """
    line = calling_line(frame)
    passed = line.call.args if line is not None else []
    values = StaticValues(frame)
    is_known = len(passed) == len(trees) and line is not None and _asserts(line, values)
    if not is_known or any(isinstance(node, ast.Starred) for node in passed):
        return [[""] * len(jax.tree.leaves(tree)) for tree in trees]
    return [_names(*one, values) for one in zip(passed, trees, strict=True)]


def _asserts(line: Any, values: StaticValues) -> bool:
    """Whether the line calls chex, and nothing that calls it."""
    callee = values.of(line.call.func)
    module = getattr(callee, "__module__", None)
    return callee is not UNKNOWN and str(module).partition(".")[0] == "chex"


def _names(node: ast.expr, tree: Any, values: StaticValues) -> list[str]:
    leaves, form = jax.tree.flatten(tree)
    # Of arrays all readers know that they are leaves; of tracers not all do.
    stand_ins = [np.zeros(1) for _ in leaves]
    found: dict[int, str] = {}
    with contextlib.suppress(Exception):  # a class of the user's that refuses them
        _note(node, jax.tree.unflatten(form, stand_ins), values, found)
    return [found.get(id(leaf), "") for leaf in stand_ins]


def _note(
    node: ast.expr, tree: Any, values: StaticValues, found: dict[int, str]
) -> None:
    """Notes the names of leaves by their ids."""
    match node:
        case ast.Dict(keys=keys) if isinstance(tree, dict) and len(keys) == len(tree):
            for key, inside in zip(keys, node.values, strict=True):
                name = key.value if isinstance(key, ast.Constant) else None
                if name in tree:
                    _note(inside, tree[name], values, found)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) if isinstance(
            tree, tuple | list
        ) and len(parts) == len(tree):
            if not any(isinstance(part, ast.Starred) for part in parts):
                for part, inside in zip(parts, tree, strict=True):
                    _note(part, inside, values, found)
        case ast.Call(func=callee, args=[module, *_]) if _is_view(callee, values):
            _note(module, tree, values, found)
        case _:
            text = ast.unparse(node)
            if len(text) <= MAX_LENGTH and not _is_number(node):
                for leaf in leaves_of(tree, text).leaves:
                    found.setdefault(id(leaf.value), leaf.path)


def _is_view(callee: ast.expr, values: StaticValues) -> bool:
    """Whether a function gives a part of a module, under the paths of the module."""
    function = values.of(callee)
    return any(framework.gives_view(function) for framework in loaded())


def _is_number(node: ast.expr) -> bool:
    """Whether this is a literal, which is no name."""
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Constant)
