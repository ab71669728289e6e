"""Where in the user's program an equation is: line, expression, module, direction.

Lines, columns and transformations are what JAX remembers of each equation. What it does
not (paths of modules, lines of custom derivative rules) is read off the same
function traced afresh.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jaxdbg.frameworks.framework import MODULE
from jaxdbg.jax_internals import source_info
from jaxdbg.jax_internals.fresh_traces import FORWARD, RULE, RULES
from jaxdbg.jax_internals.jaxprs.forms import body
from jaxdbg.jax_internals.jaxprs.refs import without_refs
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.requirements import missing
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.jax_internals.stack import UserCall
from jaxdbg.origins.location import source_lines, wording
from jaxdbg.origins.location.dataflow import (
    feeds_results,
    is_first_of_its_frames,
    nearest_argument,
)
from jaxdbg.origins.location.in_a_model import may_be_in_module
from jaxdbg.origins.location.on_a_mesh import as_written
from jaxdbg.origins.location.same_program import equation_at
from jaxdbg.origins.location.trace_afresh import FreshTrace, NotTraced, trace_afresh
from jaxdbg.records.source import SourceFrame
from jaxdbg.trees.call_names import input_names
from jaxdbg.trees.names import Names

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr, JaxprEqn

_NOT_THE_USERS = (MODULE, RULE, "rematted_computation", "checkpoint")
"""How the scopes begin that JAX and we make."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where an equation is; the attributes are those of `records.Origin`.

    Attributes:
        expression: the operation in the user's words.
        source: the user's line; None where it is not known.
        library_source: the line below it in a library; None for none.
        module: path of the module it is in, `model.blocks[2].ln1`, or empty.
        direction: "forward", "backward", or empty where there is no telling.
        forward_source: for the backward pass, the forward line it differentiates.
        notes: what is not certain, and why.
    """

    expression: str = ""
    source: SourceFrame | None = None
    library_source: SourceFrame | None = None
    module: str = ""
    direction: str = ""
    forward_source: SourceFrame | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Context:
    """The call that sites are in; made once for each diagnosis.

    Attributes:
        jaxpr: the closed jaxpr of the call, as it ran.
        args: its flat arguments.
        call: the user's function with its arguments, from `stack.running_call`
            while the call is on the stack; None where it is not known.
        names: what the user calls arrays.
        function: name of the jitted function.
        broke: called with what was being done when a part of jaxdbg broke, and the
            error; None lets the error rise.
        fresh_trace: the function traced afresh, or why it could not be; made when first
            needed.
        without_refs: see `evaluated`; made when first needed.
    """

    jaxpr: ClosedJaxpr
    args: Sequence[Any] = ()
    call: UserCall | None = None
    names: Names = field(default_factory=Names)
    function: str = ""
    broke: Callable[[str, Exception], None] | None = None
    fresh_trace: FreshTrace | NotTraced | None = None
    without_refs: ClosedJaxpr | None = None

    @property
    def evaluated(self) -> ClosedJaxpr:
        """The closed jaxpr that sites are in: Refs that it makes are plain values."""
        if self.without_refs is None:
            self.without_refs = without_refs(self.jaxpr)
        return self.without_refs

    def afresh(self) -> FreshTrace | NotTraced:
        """The function traced afresh, once."""
        if self.fresh_trace is None:
            self.fresh_trace = self._traced_afresh()
        return self.fresh_trace

    def inputs(self) -> list[str]:
        """What the user calls the flat arguments."""
        info = body(self.jaxpr).debug_info
        return input_names(self.function, self.args, info, self.names)

    def _traced_afresh(self) -> FreshTrace | NotTraced:
        if lost := missing("modules"):
            return NotTraced(str(lost[0]))
        if self.call is None:
            return NotTraced("the call is over, or none of jit")
        try:
            return trace_afresh(self.call, self.jaxpr, self.inputs(), self.names.of)
        except NotTraced as reason:
            return reason
        except Exception as error:
            if self.broke is None:
                raise
            self.broke(f"tracing {self.function} again", error)
            return NotTraced("jaxdbg broke while it traced the function again")


def locate(site: Site, context: Context) -> Where:
    """Where an equation of a call is.

    The first call for a context may trace the user's function afresh, for the names of
    its modules; nothing is executed.
    """
    site = as_written(site)
    eqn, outer, failed = _afresh(site, context)
    notes: tuple[str, ...] = ()
    eqns = [eqn, *reversed(outer)]
    module = _module(eqns, site)
    if failed is not None and not module and may_be_in_module(eqns, context.call):
        module, notes = _guessed(site, context, failed)
    forward = _differentiated(eqns)
    frames = [
        *source_lines.frames_outward([eqn]),
        *forward,
        *source_lines.frames_outward(eqns[1:]),
    ]
    source, library = source_lines.users(frames), source_lines.librarys(frames)
    called = source_lines.called(frames)
    expression, direct = _expression(eqn, source, library, called)
    if direct and library is not None and source_lines.is_of_jax(library):
        library = None  # how `jnp.log` calls `lax.log` is no news
    direction = _direction(site, context, eqns)
    return Where(
        expression=expression,
        source=source,
        library_source=library,
        module=module,
        direction=direction,
        forward_source=(source_lines.users(forward) or source)
        if direction == "backward"
        else None,
        notes=notes,
    )


def _afresh(
    site: Site, context: Context
) -> tuple[JaxprEqn, tuple[JaxprEqn, ...], NotTraced | None]:
    """The equation as it is when traced afresh, or as it was and why."""
    new = context.afresh()
    if isinstance(new, FreshTrace):
        found = equation_at(site, context.evaluated, without_refs(new.jaxpr))
        if found is not None:
            return *found, None
        new = NotTraced("traced again it is another program")
    return site.eqn, site.outer, new


def _guessed(
    site: Site, context: Context, failed: NotTraced
) -> tuple[str, tuple[str, ...]]:
    """The module of the parameter that is nearest in the flow of data, and a note."""
    inputs = context.inputs()
    modules = {
        i: name.rpartition(".")[0] for i, name in enumerate(inputs) if "." in name
    }
    if not modules:
        return "", ()
    nearest = nearest_argument(site, context.evaluated, modules)
    if nearest is None:
        return "", (f"its module is not known: {failed}",)
    return modules[nearest], (
        f"its module is that of the nearest parameter, {inputs[nearest]}: {failed}",
    )


def _differentiated(eqns: Sequence[JaxprEqn]) -> list[Frame]:
    """The frames of what a custom derivative rule differentiates."""
    for eqn in eqns:
        for scope in reversed(source_info.scopes(eqn)):
            if scope.startswith(RULE):
                return list(source_info.frames_outside_rule(RULES.forward(scope)))
    return []


def _module(eqns: Sequence[JaxprEqn], site: Site) -> str:
    """The path of the innermost module, or the scopes of a library with its own."""
    names = [name for eqn in reversed(eqns) for name in source_info.scopes(eqn)]
    paths = [n.removeprefix(MODULE) for n in names if n.startswith(MODULE)]
    known = [p for p in paths if not p.startswith("<")]
    if known:
        return _with_steps(known[-1], site)
    if paths:
        return paths[-1].strip("<>")
    return "/".join(n for n in names if not n.startswith(_NOT_THE_USERS))


def _with_steps(path: str, site: Site) -> str:
    """`model.blocks[*12]` as `model.blocks[3]`, in the step of that loop."""
    loops = list(_steps(site))

    def step(match: re.Match[str]) -> str:
        size = int(match[1])
        at = next((i for i, (_, length) in enumerate(loops) if length == size), None)
        return "" if at is None else f"[{loops.pop(at)[0]}]"

    return re.sub(r"\[\*(\d+)\]", step, path)


def _steps(site: Site) -> Iterator[tuple[int, int]]:
    """For each scan around a site the row it is at, and how many there are."""
    for _, row, length in site.loop:
        if length is not None:
            yield row, length


def _expression(
    eqn: JaxprEqn,
    source: SourceFrame | None,
    library: SourceFrame | None,
    called: frozenset[str],
) -> tuple[str, bool]:
    """The operation in words, and whether the user's line says it directly."""
    name = eqn.primitive.name
    words, direct = (
        wording.in_source(name, source_lines.expression_text(source), called)
        if source
        else ("", False)
    )
    if words:
        return words, direct
    if library is not None:
        below, said = wording.in_source(name, source_lines.expression_text(library))
        if said:
            return below, False
    return wording.of_primitive(eqn), False


def _direction(site: Site, context: Context, eqns: Sequence[JaxprEqn]) -> str:
    """Of which pass an equation is.

    The derivative of `sqrt` is prepared in the forward pass, as `0.5 / sqrt(x)`: an
    equation with the frames of the `sqrt`, after it, that no result but derivatives
    depend on. To the user it is backward. That `sqrt` itself may be gone, where only
    derivatives are asked for: then the rule that made the equation says so.
    """
    if missing("passes"):
        return ""
    jaxpr = context.evaluated
    names = {name for eqn in eqns for name in source_info.transforms(eqn)}
    if "transpose" in names:
        return "backward"
    scopes = (scope for eqn in eqns for scope in source_info.scopes(eqn))
    in_rule = any(s.startswith(RULE) and not s.endswith(FORWARD) for s in scopes)
    in_rule = in_rule or any(map(source_info.is_derivative, eqns))
    if in_rule or ("jvp" in names and not _is_first(site, jaxpr)):
        feeds = feeds_results(site, jaxpr)
        return "forward" if feeds else "backward"
    return "forward"


def _is_first(site: Site, jaxpr: ClosedJaxpr) -> bool:
    """Whether an equation is what was written, and no derivative of it."""
    return source_info.is_of_its_function(site.eqn) or is_first_of_its_frames(
        site, jaxpr
    )
