"""One call of a jitted function: which one, where the user made it, how it ran."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxdbg.checks.calls.allowed import allowed_now
from jaxdbg.jax_internals.arrays import spans_processes
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.library_calls import LibraryCall, library_call
from jaxdbg.jax_internals.names import is_jax_file
from jaxdbg.jax_internals.source_info import Frame
from jaxdbg.jax_internals.stack import UserCall, running_call
from jaxdbg.jax_internals.user_frames import functions_below, user_frame
from jaxdbg.options import flag
from jaxdbg.trees.call_names import (
    PassedAs,
    input_names,
    output_names,
    passed_as,
)
from jaxdbg.trees.call_site import NOWHERE, CallSite, call_site
from jaxdbg.trees.names import Names


@dataclass(frozen=True, slots=True)
class Call:
    """Which call a finding is about.

    Attributes:
        function: the jitted function.
        number: which of its calls, from 1.
        scope: where calls are counted, "this cell" or "this region".
    """

    function: Function
    number: int
    scope: str

    @property
    def in_cell(self) -> bool:
        """Whether the user has written `%%checked`, and not Python."""
        return self.scope == "this cell"

    @property
    def name(self) -> str:
        """The function in words: `step`, or `eager op add`."""
        name = self.function.name
        return f"eager op {name}" if self.function.eager else name

    @property
    def short(self) -> str:
        """The call without its scope: `step (call 2)`."""
        return f"{self.name} (call {self.number})"

    @property
    def in_words(self) -> str:
        """The call in words for when its cell has ended: `call 2 of step`."""
        return f"call {self.number} of {self.name}"

    def option(self, name: str, value: str = "=True") -> str:
        """An option of the region as the user would type it.

        Arguments:
            name: its name in Python.
            value: what follows the name in Python.
        """
        return flag(name) if self.in_cell else f"{name}{value}"

    def __str__(self) -> str:
        return f"{self.name} (call {self.number} in {self.scope})"


@dataclass(frozen=True, slots=True)
class UserPlace:
    """Where the user made a call.

    Attributes:
        call: the user's function and its arguments, if jit was running a call.
        line: the user's line, for an eager operation, whose jaxpr knows only the line
            that ran it first.
        inside: names of the library functions between the user's line and the call.
        site: what the user's line calls its results and arguments.
        library: the user's call of a library that the call is a part of.
        allowed: the kinds of values that the user's code allows around it.
    """

    call: UserCall | None = None
    line: Frame | None = None
    inside: tuple[str, ...] = ()
    site: CallSite = NOWHERE
    library: LibraryCall | None = None
    allowed: frozenset[str] = frozenset()

    @classmethod
    def now(cls, function: Function, often: bool = False) -> UserPlace:
        """The place of the call of this function that runs now.

        Arguments:
            function: the function.
            often: whether it is asked for each call, and must be quick.
        """
        frame, site = sys._getframe(1), call_site(function, often)
        if function.user:
            call = running_call(frame)
            return cls(call=call, site=site, allowed=allowed_now())
        # `jit(net.apply)` of a library is called as if it were the user's.
        return cls(
            call=None if is_jax_file(function.source) else running_call(frame),
            line=user_frame(frame),
            inside=functions_below(frame),
            site=site,
            library=library_call(frame),
            allowed=allowed_now(),
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Which arguments and outputs of a jaxpr need a look.

    Attributes:
        floats: indices of the outputs that can hold NaN or Inf.
        donated: indices of the arguments that a call donates.
        refs: indices of the arguments that are Refs, which a call may write to.
    """

    floats: tuple[int, ...] = ()
    donated: tuple[int, ...] = ()
    refs: tuple[int, ...] = ()


@dataclass(slots=True)
class Run:
    """A call that ran: its arguments and its outputs.

    Not frozen, since one is made for each call and that would take three times as long;
    nobody writes to it.

    Attributes:
        call: which call it is.
        number: which call of the region it is, of any function, from 1.
        layout: of its jaxpr.
        params: its parameters for JAX; None for a call of an AOT-compiled function.
        args: its flat arguments, with the values they had before it.
        given: the arrays that the user passed; the donated ones of these are deleted.
        outs: its flat outputs.
        lost: whether an argument that was NaN or Inf has been deleted or written to.
        error: the error value of its checks, where it has any.
        ops: the output of `every_op`, where that is on.
        before: of each Ref among the arguments what it held before the call; empty
            where that is not known.
    """

    call: Call
    number: int
    layout: Layout
    params: dict[str, Any] | None
    args: Sequence[Any]
    given: Sequence[Any]
    outs: list[Any]
    lost: bool = False
    error: Any = None
    ops: Any = None
    before: Sequence[Any] = ()

    @property
    def values(self) -> list[Any]:
        """The arguments, and in place of the Refs what these held before the call."""
        values = list(self.args)
        for i, value in zip(self.layout.refs, self.before, strict=False):
            values[i] = value
        return values

    @property
    def jaxpr(self) -> Any:
        """The closed jaxpr of the call; None for an AOT-compiled function."""
        return self.params["jaxpr"] if self.params is not None else None

    @property
    def debug_info(self) -> Any:
        """What the jaxpr knows of the function: names of arguments and results."""
        return self.params["jaxpr"].jaxpr.debug_info if self.params else None

    @property
    def results(self) -> list[Any]:
        """The outputs, and after them the Refs, which are written to instead."""
        return [*self.outs, *(self.args[i] for i in self.layout.refs)]

    @property
    def spans_processes(self) -> bool:
        """Whether an argument or a result has shards in other processes."""
        return any(map(spans_processes, (*self.args, *self.results)))

    @property
    def can_be_bad(self) -> tuple[int, ...]:
        """Indices of the results that can hold NaN or Inf."""
        before = len(self.outs)
        return (*self.layout.floats, *range(before, before + len(self.layout.refs)))

    def input_names(self, names: Names) -> list[str]:
        """What the user calls each argument."""
        return input_names(self.call.function.name, self.given, self.debug_info, names)

    def passed_as(self, names: Names, site: CallSite) -> list[PassedAs | None]:
        """What the line of the call passes for the parameter of each argument."""
        function, info = self.call.function.name, self.debug_info
        return passed_as(function, self.given, info, names, site)

    def result_names(self, names: Names, site: CallSite = NOWHERE) -> list[str]:
        """What the user calls each result."""
        function, info = self.call.function.name, self.debug_info
        outputs = output_names(function, self.given, self.outs, info, names, site)
        inputs = self.input_names(names) if self.layout.refs else []
        return [*outputs, *(inputs[i] for i in self.layout.refs)]
