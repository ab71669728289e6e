"""The sentences about an origin: what each part of the record says."""

from __future__ import annotations

from collections.abc import Sequence

from jaxdbg.records import Operand, Origin, Passed, SourceFrame, Turn
from jaxdbg.records.source import path_in_packages
from jaxdbg.views import words
from jaxdbg.views.words import KINDS

MAX_OTHERS = 3
"""How many further births are listed."""


def birth(origin: Origin) -> str:
    """`NaN was born in `x / y` at cell 3, line 7`."""
    return _birth(origin, f" at {words.place(origin.source)}" if origin.source else "")


def in_short(origin: Origin) -> str:
    """``overflow of exp in `jnp.exp` ``; where no cause is known, the birth alone."""
    is_certain = origin.verdict == "born" and not origin.candidate
    if not origin.cause or not is_certain:
        return _birth(origin, "")
    likely = "likely " if origin.likely else ""
    return f"{likely}{origin.cause} in {_operation(origin)}"


def _birth(origin: Origin, at: str) -> str:
    kind = KINDS.get(origin.kind, origin.kind)
    if origin.verdict == "came in":
        through = f" through {origin.argument}" if origin.argument else ""
        return f"{kind} came in{through}{', and spread' if origin.spread else ''}"
    if origin.verdict == "placed":
        placed = f"{kind} was placed by a literal or a constant"
        inside = f" in `{origin.expression}`{at}, and spread"
        return f"{placed}{inside if origin.source else ', not born by arithmetic'}"
    if origin.verdict == "not reproduced":
        return "where it was born is not known"
    sure = "a candidate, not certain: " if origin.candidate else ""
    return f"{sure}{kind} was born in {_operation(origin)}{at}"


def cause(origin: Origin) -> str:
    """`cause: division by zero`, `likely cause: ...`; empty where it is not known."""
    if not origin.cause:
        return ""
    return f"{'likely ' if origin.likely else ''}cause: {origin.cause}"


def others(origin: Origin) -> str:
    """`2 more births: NaN in `x / y` at cell 3, line 7; ...`, or empty."""
    if not origin.others:
        return ""
    shown = [turn(other) for other in origin.others[:MAX_OTHERS]]
    left_out = len(origin.others) - len(shown)
    shown += [f"and {left_out:,} more"] if left_out else []
    return f"{words.more(len(origin.others), 'birth')}: {'; '.join(shown)}"


def _operation(origin: Origin) -> str:
    return f"{_derivative(origin)}`{origin.expression or origin.primitive}`"


def _derivative(origin: Origin) -> str:
    """The word before an expression that is not itself what failed."""
    own = origin.forward_source is not None and origin.forward_source == origin.source
    return "the derivative of " if origin.direction == "backward" and own else ""


def passed(one: Passed) -> str:
    """`` `x` is your `X[idx]`: row 22 of the batch, row 1830 of `X```."""
    row = f": row {one.row} of the batch" if one.row is not None else ""
    if one.data_row is not None:
        row += f", row {one.data_row} of `{one.data}`"
    return f"`{one.parameter}` is your `{one.expression}`{row}"


def inside(frame: SourceFrame) -> str:
    """`inside Linear.__call__, flax/nnx/nn/linear.py:422`."""
    outer, _, local = frame.function.partition(".<locals>")
    # Of a function that another one makes, its name says little: `wrapped`.
    name = "" if local and outer.startswith("_") else outer
    return f"inside {name}{', ' if name else ''}{_library_place(frame)}"


def _library_place(frame: SourceFrame) -> str:
    path = path_in_packages(frame.file)
    return f"{path}:{frame.line}" if path else words.place(frame)


def where(origin: Origin) -> list[str]:
    """The module and the pass, the loops and branches around it, the device."""
    backward = "in the backward pass" if origin.direction == "backward" else ""
    module = f"in {origin.module}" if origin.module else ""
    ways = [loop(*step) for step in origin.loop]
    ways += [branch(*taken) for taken in origin.branches]
    device = f"on {origin.device}" if origin.device else ""
    together = ([module, backward], ways, [device])
    return [line for parts in together if (line := ", ".join(filter(None, parts)))]


def loop(kind: str, iteration: int, length: int | None) -> str:
    """`scan step 5 of 16`, `while iteration 3`."""
    if length is None:
        return f"{kind} iteration {iteration + 1}"
    return f"{kind} step {iteration + 1} of {length}"


def branch(index: int, count: int) -> str:
    """`true branch of a cond`, `branch 3 of a switch of 5`."""
    if count == 2:
        return f"{('false', 'true')[index]} branch of a cond"
    return f"branch {index} of a switch of {count}"


def turn(step: Turn) -> str:
    """`NaN at 0 * Inf in the backward pass of cell 3, line 7`."""
    text = step.text or f"{KINDS.get(step.kind, step.kind)} in `{step.primitive}`"
    parts = [text]
    if step.source is not None:
        parts.append(f"at {words.place(step.source)}")
    elif step.module:
        parts.append(f"in {step.module}")
    if step.direction == "backward":
        parts.append("in the backward pass")
    return " ".join(parts)


def operand(o: Operand) -> str:
    """``denominator `var` is exactly 0 at [2, 5, 0]; 3 zeros in 512``."""
    name = operand_name(o)
    if not o.value:
        return f"{name}: {finite_range(o)}, {array(o)}"
    if o.size == 1:
        return f"{name} is {operand_value(o)}"
    at = f" at {words.index(o.element)}" if o.element else ""
    alike = _alike(o) or finite_range(o)
    return f"{name} is {operand_value(o)}{at}; {alike} in {o.size:,}"


def _alike(o: Operand) -> str:
    """How many elements are like the one at fault: `3 zeros`."""
    if _is_zero(o):
        return words.count(o.zeros, "zero")
    counts = {"NaN": o.nan, "Inf": o.posinf, "-Inf": o.neginf}
    if o.value in counts:
        return f"{counts[o.value]:,} {o.value}"
    if o.value.startswith("-") and o.negatives:
        return words.count(o.negatives, "negative")
    return ""


def operand_name(o: Operand) -> str:
    """``denominator `var` ``."""
    return " ".join([o.role or "operand", *([f"`{o.name}`"] if o.name else [])])


def operand_value(o: Operand) -> str:
    """`exactly 0`, or the value."""
    return "exactly 0" if _is_zero(o) else o.value


def _is_zero(o: Operand) -> bool:
    """Whether the element from which the first bad value was made is 0."""
    return o.value in ("0", "-0", "0.0")


def array(o: Operand) -> str:
    """`float32[8,64]`."""
    return words.array(o.dtype, o.shape)


def finite_range(o: Operand) -> str:
    """`0 to 2.5`, of the finite elements."""
    if o.low is None or o.high is None:
        return "no finite value"
    if o.low == o.high and not o.nan + o.posinf + o.neginf:
        return f"all {o.low:.4g}"
    return f"{o.low:.4g} to {o.high:.4g}"


def batches(origin: Origin) -> str:
    """The arguments whose rows are listed."""
    return ", ".join(dict.fromkeys(name for name, _ in origin.rows))


def magnitudes(values: Sequence[float]) -> str:
    """`0.5, 3, 2e+04`."""
    return ", ".join(f"{v:.3g}" for v in values)


def fix(origin: Origin) -> str:
    """What an advice is called: a fix only where it was tried."""
    return "fix" if origin.checked else "likely fix"
