"""What JAX's paths of a call's arguments and results are, as the user types them.

JAX calls them `batch['x']` and `result[0]['loss']`. A library whose jit gives JAX other
arguments than the user passed, and other results than the user gets, says here what
these paths stand for.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from jaxdbg.frameworks.reader_parts import quoted


class CallPaths:
    """The paths of a call; the answers here are those of a plain `jax.jit`."""

    def argument(self, path: str) -> str:
        """An argument as the user types it; empty where nothing is known of it."""
        return "" if re.fullmatch(r"flat_args\[\d+\]", path) else typed(path)

    def result(self, path: str) -> str | None:
        """The steps to a result from what the function returned; None if unknown."""
        rest = path.removeprefix("result")
        return None if rest == path else typed(rest)

    def returned(self, results: Any) -> tuple[Any, int]:
        """The tree of what the function returned, and how many leaves are before it.

        Arguments:
            results: the tree of all that `jax.jit` returns.
        """
        return results, 0

    def node(self, path: str) -> str:
        """The path of the one variable a result is in; the path itself for none."""
        return path

    def updates(
        self, results: Sequence[str], arguments: Sequence[str]
    ) -> list[int | None]:
        """For each result the argument it is the new value of, if any."""
        return [None] * len(results)


class RunningCall(dict[str, object]):
    """A running call of a library's jit: from parameter names to arguments.

    Attributes:
        function: name of the user's function.
        paths: what JAX's paths of this call mean.
    """

    function: str
    paths: CallPaths


def part(tree: Any, child: int) -> tuple[Any, int]:
    """A child of a tree, and how many leaves are before it."""
    children = tree.children()
    return children[child], sum(c.num_leaves for c in children[:child])


def typed(path: str) -> str:
    """A path of JAX with its keys quoted as one types them: `batch["x"]`."""
    return re.sub(
        r"""\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""",
        lambda match: f"[{quoted(ast.literal_eval(match[1]))}]",
        path,
    )


def positional_names(signature: inspect.Signature, count: int) -> list[str]:
    """What each positional argument is called inside: `x`, `args[0]`."""
    parameters = signature.parameters.values()
    names = [p.name for p in parameters]
    rest = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
    if not rest:
        return names[:count]
    before = names.index(rest[0])
    return [*names[:before], *(f"{rest[0]}[{i}]" for i in range(count - before))]


def keyword_names(
    signature: inspect.Signature, keywords: Iterable[str]
) -> dict[str, str]:
    """What each keyword argument is called inside: `x`, `kwargs['x']`."""
    known = [*signature.parameters]
    return {k: k if k in known else f"{known[-1]}[{k!r}]" for k in keywords}
