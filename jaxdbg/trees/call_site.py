"""What the line that makes a call says of its results and its arguments.

`state, loss = step(state, X[idx])` calls the results of `step` `state` and `loss`, and
the argument that `step` calls `x` is its `X[idx]`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import CodeType
from typing import Any

from jaxdbg.frameworks.jitted_calls import (
    CallPaths,
    keyword_names,
    positional_names,
    typed,
)
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.frameworks.reader_parts import quoted
from jaxdbg.jax_internals.direct_calls import (
    Caller,
    DirectCall,
    caller_of,
    direct_call,
    runs,
)
from jaxdbg.jax_internals.user_frames import outward
from jaxdbg.trees.calling_lines import Assigned, CallingLine, Target, calling_line
from jaxdbg.trees.static_values import UNKNOWN, StaticValues
from jaxdbg.trees.taken_rows import Taken, taken

MAX_OUTWARD = 8
"""Through how many functions that return a call the line is looked for."""


@dataclass(frozen=True, slots=True)
class CallSite:
    """The names that the line of a call has for its results and its arguments.

    Attributes:
        assigned: the parts of the result that have names.
        arguments: by parameter, what the line passes for it.
        out_tree: the tree of the results that JAX returns; None where it is not known.
        is_one_line: whether the line that passes the arguments assigns the results.
        taken: by parameter, the rows of the user's data that the line passes; none for
            a call of many.
    """

    assigned: tuple[Assigned, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    out_tree: Any = None
    is_one_line: bool = True
    taken: Mapping[str, Taken] = field(default_factory=dict, compare=False)

    def parameter_of(self, path: str) -> str:
        """The parameter, of those that are known, that a path begins with."""
        return next((p for p in self.arguments if is_below(path, p)), "")

    def variable(self, path: str) -> str:
        """The variable in which an argument is that the function calls by a path.

        Empty where the line passes something else, or assigns the results elsewhere.
        """
        parameter = self.parameter_of(path)
        passed = self.arguments.get(parameter, "") if self.is_one_line else ""
        is_variable = re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", passed)
        return passed + path.removeprefix(parameter) if is_variable else ""

    def result_names(self, paths: CallPaths, results: Sequence[str]) -> list[str]:
        """What the line calls each flat result; empty for those without a name.

        Arguments:
            paths: what JAX's paths of this call mean.
            results: JAX's paths of the flat results.
        """
        names = [""] * len(results)
        if self.out_tree is None or self.out_tree.num_leaves != len(results):
            return names
        tree, first = paths.returned(self.out_tree)
        steps = [paths.result(path) or "" for path in results]
        for one in self.assigned:
            whole = _Part(tree, first, "")
            for i, name in _named(_at(whole, one.steps, steps), one.target, steps):
                names[i] = names[i] or name
        return names


NOWHERE = CallSite()
"""Where no line is known that gets the results as they are."""


MAX_KNOWN = 256
"""Of how many lines that make calls is remembered what they say."""

MAX_FRAMES = 12
"""How many frames, from inside out, say that a call is made from the same line."""

_known: dict[tuple[object, ...], tuple[Sequence[CodeType], CallSite]] = {}
"""With the code of the frames, whose ids are in the key; no value of the user's."""


def call_site(function: object, often: bool = False) -> CallSite:
    """Of the call that runs now.

    Arguments:
        function: the jitted function, as counts know it.
        often: whether what the same line has said before will do, which is quicker.
    """
    call = direct_call(sys._getframe(1))
    if call is None:
        return NOWHERE
    frames = list(islice(outward(call.caller.frame), MAX_FRAMES))
    key = (
        *(function, len(call.args), *call.kwargs),
        *((id(f.f_code), f.f_lasti) for f in frames),
    )
    if not often or key not in _known:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[key] = [f.f_code for f in frames], _said(call)
    # What is remembered of a line holds no array of the user's.
    rows = {} if often else _taken(call)
    return replace(_known[key][1], out_tree=call.out_tree, taken=rows)


def _said(call: DirectCall) -> CallSite:
    """What the line of a call says, without the tree of the results."""
    line = _line(call.caller)
    if line is None:
        return NOWHERE
    found = list(_outward(call.caller, line))
    naming = next((one for one in found if one.assigned), line)
    arguments = _arguments(call, line)
    return CallSite(naming.assigned, arguments, is_one_line=naming is line)


def _outward(caller: Caller, line: CallingLine) -> Iterator[CallingLine]:
    """The line, and those that call functions which return what it returns."""
    for _ in range(MAX_OUTWARD):
        yield line
        outer = caller_of(caller.frame) if line.is_returned else None
        found = _line(outer) if outer is not None else None
        if outer is None or found is None:
            return
        caller, line = outer, found


# -- the call in the line --------------------------------------------------------------


def _line(caller: Caller) -> CallingLine | None:
    """The line of a caller, if what it calls is known to be what runs.

    The call that is written there may be one of `map` or `reduce`, which call it.
    """
    line = calling_line(caller.frame)
    if line is None:
        return None
    values = StaticValues(caller.frame)
    callee = values.of(line.call.func)
    if callee is not UNKNOWN:
        return line if runs(callee, caller.called) else None
    is_made = _makes_jitted(line.call.func, values)
    return line if is_made or _is_passed_on(line.call, values, caller) else None


def _makes_jitted(callee: ast.expr, values: StaticValues) -> bool:
    """Whether what is called is made in the line, by `jax.jit`."""
    return isinstance(callee, ast.Call) and values.of(callee.func) is _jit()


def _jit() -> Any:
    return getattr(sys.modules.get("jax"), "jit", None)


def _is_passed_on(call: ast.Call, values: StaticValues, caller: Caller) -> bool:
    """Whether the arguments in the line are what the code that it calls is passed."""
    passed = [*call.args, *(k.value for k in call.keywords)]
    known = [v for v in map(values.of, passed) if v is not UNKNOWN]
    received = {id(value) for value in caller.received}
    return bool(known) and all(id(value) in received for value in known)


def _taken(call: DirectCall) -> dict[str, Taken]:
    """By parameter, the rows of the user's data that are passed."""
    line = _line(call.caller)
    if line is None:
        return {}
    values = StaticValues(call.caller.frame)
    passed = _passed(call, line)
    found = {name: taken(node, text, values) for name, node, text in passed}
    return {name: rows for name, rows in found.items() if rows is not None}


def _arguments(call: DirectCall, line: CallingLine) -> dict[str, str]:
    """By parameter, the expressions that are passed; none where a star is passed."""
    return {name: text for name, _, text in _passed(call, line)}


def _passed(call: DirectCall, line: CallingLine) -> list[tuple[str, ast.expr, str]]:
    """By parameter, what is passed, and its text; nothing where a star is passed."""
    given, named = line.call.args, line.call.keywords
    is_starred = any(isinstance(a, ast.Starred) for a in given)
    before = len(call.args) - len(given)  # of a bound method, or in a partial
    if is_starred or any(k.arg is None for k in named) or before < 0:
        return []
    try:
        signature = _signature(call)
        if signature is None:
            return []
        positional = positional_names(signature, len(call.args))
        keyword = keyword_names(signature, call.kwargs)
    except (TypeError, ValueError):
        return []
    parameters = [*positional[before:], *(keyword.get(k.arg or "") for k in named)]
    nodes = [*given, *(k.value for k in named)]
    passed = zip(parameters, nodes, line.texts, strict=True)
    return [
        (typed(name), node, text)
        for name, node, text in passed
        if name and text and _tells(node)
    ]


def _signature(call: DirectCall) -> inspect.Signature | None:
    if call.library is None:
        return inspect.signature(call.function)
    code, local = call.library
    found = (f.call_signature(local) for f in loaded() if code in f.call_codes())
    return next(found, None)


def _tells(node: ast.expr) -> bool:
    return not isinstance(node, ast.Constant)


# -- the parts of the result -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a tree.

    Attributes:
        tree: the part, as a tree.
        first: the index of its first leaf.
        path: the steps to it.
    """

    tree: Any
    first: int
    path: str

    @property
    def leaves(self) -> range:
        """The indices of its leaves."""
        return range(self.first, self.first + self.tree.num_leaves)

    @property
    def is_unpackable(self) -> bool:
        """Whether unpacking it gives its children; of a dict it gives the keys."""
        kind = (self.tree.node_data() or (None,))[0]
        return isinstance(kind, type) and issubclass(kind, tuple | list)

    def children(self, steps: Sequence[str]) -> list[_Part]:
        """Its children; without those to which no step is known."""
        found, first = [], self.first
        kind, meta = self.tree.node_data() or (None, None)
        for i, child in enumerate(self.tree.children()):
            step = _step(kind, meta, i)
            path = self.path + step if step else None
            inside = steps[first : first + child.num_leaves]
            if path is not None and all(is_below(s, path) for s in inside):
                found.append(_Part(child, first, path))
            first += child.num_leaves
        return found


def _step(kind: Any, meta: Any, i: int) -> str:
    """The step to a child of a node of JAX's own kinds."""
    if kind is dict:
        return f"[{quoted(meta[i])}]"
    fields = getattr(kind, "_fields", None)
    return f".{fields[i]}" if fields else f"[{i}]" if kind in (tuple, list) else ""


def is_below(path: str, above: str) -> bool:
    """Whether a path leads to a part of what another path leads to, or to all of it."""
    rest = path.removeprefix(above)
    return path.startswith(above) and rest[:1] in ("", ".", "[")


def _at(part: _Part, path: Sequence[str], steps: Sequence[str]) -> _Part | None:
    """The part to which a path leads."""
    for step in path:
        below = (p for p in part.children(steps) if p.path == part.path + step)
        found = next(below, None)
        if found is None:
            return None
        part = found
    return part


def _named(
    part: _Part | None, target: Target, steps: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """The leaves of a part that a target names."""
    if part is None:
        return
    if target.name:
        for i in part.leaves:
            if is_below(steps[i], part.path):
                yield i, target.name + steps[i].removeprefix(part.path)
        return
    if part.is_unpackable:
        yield from _unpacked(part, part.children(steps), target, steps)


def _unpacked(
    part: _Part, children: Sequence[_Part], target: Target, steps: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """The leaves of a part that is unpacked into targets."""
    count, parts, star = len(children), target.parts, target.star
    fits = count >= len(parts) - 1 if star is not None else count == len(parts)
    if count != len(part.tree.children()) or not fits:
        return
    for i, one in enumerate(parts):
        if one is None:
            continue
        if star is None or i < star:
            yield from _named(children[i], one, steps)
        elif i > star:
            yield from _named(children[count - len(parts) + i], one, steps)
        else:
            rest = children[star : count - len(parts) + star + 1]
            for k, child in enumerate(rest) if one.name else ():
                yield from _named(child, Target(f"{one.name}[{k}]"), steps)
