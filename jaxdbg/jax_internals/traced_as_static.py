"""What JAX says of a traced value that is used where a number is needed.

The tracer itself is gone when such an error arrives; what JAX knew of it is in the text
of the error alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FUNCTION = re.compile(
    r"while tracing the function (?P<name>\S+) at (?P<file>.+):(?P<line>\d+) for jit\."
)
_ARGUMENTS = re.compile(
    r"depends on the values? of the arguments? (?P<names>.+?)\.(?:\s|$)"
)
_MADE_INSIDE = "This value became a tracer due to JAX operations on these lines"
_UNHASHABLE = re.compile(
    r"Non-hashable static arguments .* trying to hash an object of type "
    r"(?P<value><class '[\w.]+'>, .*?)\. The error was:",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TracedValue:
    """A traced value that is used as a static one.

    Attributes:
        function: whose trace it belongs to.
        file, line: where that is written.
        arguments: of that function, on which the value depends.
        is_made_inside: whether it depends on none, and operations have made it.
    """

    function: str
    file: str
    line: int
    arguments: tuple[str, ...]
    is_made_inside: bool


def traced_value(error: BaseException) -> TracedValue | None:
    """The value that an error of JAX is about; None for any other error."""
    if not isinstance(error, TypeError | IndexError):
        return None
    text = str(error)
    function, arguments = _FUNCTION.search(text), _ARGUMENTS.search(text)
    if function is None:
        return None
    names = re.split(r", and |, | and ", arguments["names"]) if arguments else []
    made_inside = arguments is None and _MADE_INSIDE in text
    return TracedValue(
        function["name"],
        function["file"],
        int(function["line"]),
        tuple(names),
        made_inside,
    )


def unhashable(error: BaseException) -> str:
    """Type and value of a static argument that cannot be hashed; else empty."""
    match = _UNHASHABLE.search(str(error)) if isinstance(error, ValueError) else None
    return match["value"] if match else ""
