"""The parameters that control flow is bound with: bodies, and names of operands.

There is no equation where a program calls control flow outside of jit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

THE_BODY = "the body of {name}"
"""What a body of an operation of this name is."""

_BODIES = {
    "jaxpr": THE_BODY,
    "branches": "the branches of {name}",
    "body_jaxpr": THE_BODY,
    "cond_jaxpr": "the condition of {name}",
}


def bodies(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The jaxprs among the parameters, each with what it is to the operation."""
    for name, place in _BODIES.items():
        value = parameters.get(name)
        for jaxpr in value if isinstance(value, tuple | list) else (value,):
            if getattr(jaxpr, "debug_info", None) is not None:
                yield place, jaxpr


def operands(parameters: Mapping[str, Any], count: int) -> list[str]:
    """A name for each operand: `xs`, `init`, or its number."""
    if "num_carry" in parameters:
        parts = {"const": parameters["num_consts"], "init": parameters["num_carry"]}
    elif "ft_in" in parameters:
        consts, carry, _ = parameters["ft_in"].unpack()
        parts = {"const": len(consts), "init": len(carry)}
    elif "body_nconsts" in parameters:
        constants = parameters["cond_nconsts"] + parameters["body_nconsts"]
        parts = {"const": constants, "init": count - constants}
    else:
        return [f"operand {i}" for i in range(1, count + 1)]
    parts["xs"] = count - sum(parts.values())
    return [
        part if size == 1 else f"{part}[{i}]"
        for part, size in parts.items()
        for i in range(size)
    ]
