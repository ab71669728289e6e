"""Where in the user's program an equation stands: line, expression, module, direction.

Lines, columns and transformations are what JAX remembers of each equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxdbg.hooks import provenance
from jaxdbg.hooks.calls import UserCall
from jaxdbg.naming import Names
from jaxdbg.origins import lines, words
from jaxdbg.origins.births import Site
from jaxdbg.records.origins import SourceFrame


@dataclass(frozen=True, slots=True)
class Where:
    """Where an equation stands; the attributes are those of `records.Origin`.

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
        call: the user's function with its arguments, from `hooks.calls.running_call`
            while the call is on the stack; None where it is not known.
        names: what the user calls arrays.
        function: name of the jitted function.
    """

    jaxpr: Any
    args: Sequence[Any] = ()
    call: UserCall | None = None
    names: Names = field(default_factory=Names)
    function: str = ""


def locate(site: Site, context: Context) -> Where:
    """Where an equation of a call stands.

    The first call for a context may trace the user's function afresh, for the names of
    its modules; nothing is executed.
    """
    eqns = [site.eqn, *reversed(site.outer)]
    source = lines.users(lines.frames_outward(eqns))
    library = lines.librarys(lines.frames_outward(eqns))
    expression, direct = _expression(site.eqn, source, library)
    if direct and library is not None and lines.is_of_jax(library):
        library = None  # how `jnp.log` calls `lax.log` is no news
    direction = _direction(eqns)
    return Where(
        expression=expression,
        source=source,
        library_source=library,
        direction=direction,
        forward_source=source if direction == "backward" else None,
    )


def _expression(
    eqn: Any, source: SourceFrame | None, library: SourceFrame | None
) -> tuple[str, bool]:
    """The operation in words, and whether the user's line says it directly."""
    name = eqn.primitive.name
    told, direct = (
        words.in_source(name, lines.marked(source)) if source else ("", False)
    )
    if told:
        return told, direct
    if library is not None:
        below, said = words.in_source(name, lines.marked(library))
        if said:
            return below, False
    return words.of_primitive(eqn), False


def _direction(eqns: Sequence[Any]) -> str:
    names = {name for eqn in eqns for name in provenance.transforms(eqn)}
    return "backward" if "transpose" in names else "forward"
