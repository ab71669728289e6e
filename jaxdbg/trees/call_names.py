"""Names of a call's arguments and results, as the user would type them.

An argument has the path where the user's objects hold it, else that of the parameter.
A result is called what the line of the call assigns it to; where it assigns it to
nothing it is `train_step(...)[0]`. What a library's jit returns as a new value for an
argument bears the name of the argument.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxdbg.frameworks.jitted_calls import CallPaths, RunningCall
from jaxdbg.frameworks.loaded import loaded
from jaxdbg.trees.call_site import NOWHERE, CallSite
from jaxdbg.trees.names import Names
from jaxdbg.trees.taken_rows import Taken


def input_names(
    function: str, args: Sequence[Any], debug_info: Any, names: Names
) -> list[str]:
    """One name for each flat argument: the user's path, else that of the parameter.

    Arguments:
        function: name of the jitted function.
        args: the flat arguments, the very objects the user's containers hold.
        debug_info: of the call's jaxpr; None where there is none.
        names: where to look the arguments up.
    """
    found = argument_names(function, args, debug_info, names)
    return [name.shown or f"argument {i + 1}" for i, name in enumerate(found)]


@dataclass(frozen=True, slots=True)
class ArgumentName:
    """What a flat argument is called.

    Attributes:
        user: the user's path to it; empty where none leads there.
        typed: the path from the parameter; empty where JAX has none.
    """

    user: str
    typed: str

    @property
    def shown(self) -> str:
        """The user's path, else the parameter's; empty for neither."""
        return self.user or self.typed

    @property
    def tree(self) -> str:
        """What the argument is called that this one is a leaf of."""
        name, steps = self.shown, self.typed.lstrip(_NAME_CHARACTERS)
        if self.typed and name.endswith(steps):
            return name.removesuffix(steps)
        return name[: len(name) - len(name.lstrip(_NAME_CHARACTERS))]


_NAME_CHARACTERS = f"{string.ascii_letters}{string.digits}_"


def argument_names(
    function: str, args: Sequence[Any], debug_info: Any, names: Names
) -> list[ArgumentName]:
    """What each flat argument is called; the arguments are those of `input_names`."""
    paths = _paths(debug_info, "arg_names", len(args))
    call_paths = _call_paths(names.call_of(function), debug_info)
    return [
        ArgumentName(names.of(arg) or "", call_paths.argument(path))
        for arg, path in zip(args, paths, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class PassedAs:
    """A flat argument whose parameter has another name than what is passed for it.

    Attributes:
        parameter: its name.
        expression: what the line of the call passes.
        is_named_so: whether `input_names` calls the argument by the parameter.
        taken: the rows of the user's data that it is; None where that is not known.
    """

    parameter: str
    expression: str
    is_named_so: bool
    taken: Taken | None = None


def passed_as(
    function: str,
    args: Sequence[Any],
    debug_info: Any,
    names: Names,
    site: CallSite,
) -> list[PassedAs | None]:
    """For each flat argument what the line of the call passes for its parameter.

    Arguments:
        function, args, debug_info, names: as for `input_names`.
        site: what the line says.
    """
    paths = _paths(debug_info, "arg_names", len(args))
    call_paths = _call_paths(names.call_of(function), debug_info)
    found: list[PassedAs | None] = []
    for arg, path in zip(args, paths, strict=True):
        typed = call_paths.argument(path)
        parameter = site.parameter_of(typed)
        text = site.arguments.get(parameter, parameter)
        is_known = text != parameter
        # A running call of a library's jit names its arguments by the parameters.
        is_named_so = is_known and names.of(arg) in (None, typed)
        rows = site.taken.get(parameter) if typed == parameter else None
        one = PassedAs(parameter, text, is_named_so, rows)
        found.append(one if is_known else None)
    return found


def output_names(
    function: str,
    args: Sequence[Any],
    outs: Sequence[Any],
    debug_info: Any,
    names: Names,
    site: CallSite = NOWHERE,
) -> list[str]:
    """One name for each flat output: `f(...)[0]`, or of the argument it updates.

    Arguments:
        function: name of the jitted function.
        args: the flat arguments, the very objects the user's containers hold.
        outs: the flat outputs.
        debug_info: of the call's jaxpr; None where there is none.
        names: where to look arguments and outputs up.
        site: what the line of the call calls them.
    """
    paths = _paths(debug_info, "result_paths", len(outs))
    arg_paths = _paths(debug_info, "arg_names", len(args))
    call_paths = _call_paths(names.call_of(function), debug_info)
    updated = call_paths.updates(paths, arg_paths)
    inputs = input_names(function, args, debug_info, names)
    alone = Counter(map(call_paths.node, paths))
    assigned = site.result_names(call_paths, paths)
    known = [
        names.of(out) or (inputs[slot] if slot is not None else None)
        for out, slot in zip(outs, updated, strict=True)
    ]
    taken = Counter([*filter(None, known), *assigned])
    found = []
    for i, path in enumerate(paths):
        name = known[i] or (assigned[i] if taken[assigned[i]] == 1 else "")
        path = _of_one_variable(path, call_paths, alone)
        found.append(name or _of_result(function, path, i, len(outs), call_paths))
    return found


def updates(
    args: Sequence[Any],
    outs: Sequence[Any],
    debug_info: Any,
    site: CallSite = NOWHERE,
) -> dict[int, int]:
    """From outputs to the argument that each is the new value of.

    A library's jit says so, and the line of the call, which assigns an output to what
    it passes.

    Arguments:
        args: the flat arguments.
        outs: the flat outputs.
        debug_info: of the call's jaxpr; None where there is none.
        site: what the line says.
    """
    paths = _paths(debug_info, "result_paths", len(outs))
    arg_paths = _paths(debug_info, "arg_names", len(args))
    call_paths = _call_paths(None, debug_info)
    updated = call_paths.updates(paths, arg_paths)
    passed = [site.variable(call_paths.argument(path)) for path in arg_paths]
    times, slots = Counter(passed), {text: i for i, text in enumerate(passed)}
    found = {
        i: slots[name]
        for i, name in enumerate(site.result_names(call_paths, paths))
        if name and times[name] == 1
    }
    return found | {i: slot for i, slot in enumerate(updated) if slot is not None}


_PLAIN = CallPaths()


def _call_paths(call: RunningCall | None, debug_info: Any) -> CallPaths:
    """What JAX's paths of a call mean: of a library's jit, or of plain `jax.jit`."""
    if call is not None:
        return call.paths
    arguments = _known_paths(debug_info, "arg_names")
    results = _known_paths(debug_info, "result_paths")
    found = (framework.call_paths(arguments, results) for framework in loaded())
    return next((paths for paths in found if paths is not None), _PLAIN)


def _paths(debug_info: Any, attribute: str, count: int) -> tuple[str, ...]:
    """The paths JAX has, one for each; empty strings where it has none that fit."""
    paths = _known_paths(debug_info, attribute)
    return paths if len(paths) == count else ("",) * count


def _known_paths(debug_info: Any, attribute: str) -> tuple[str, ...]:
    paths = getattr(debug_info, attribute, None)
    if not isinstance(paths, tuple | list):
        return ()
    return tuple(p if isinstance(p, str) else "" for p in paths)


def _of_one_variable(path: str, call_paths: CallPaths, alone: Mapping[str, int]) -> str:
    """The path to a variable where this output is all that it holds."""
    node = call_paths.node(path)
    return node if alone[node] == 1 else path


def _of_result(
    function: str, path: str, i: int, count: int, call_paths: CallPaths
) -> str:
    if not path and count == 1:
        return f"{function}(...)"
    steps = call_paths.result(path)
    if steps is None:
        return f"output {i + 1} of {function}(...)"
    return f"{function}(...){steps}"
