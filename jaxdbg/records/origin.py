"""Where a non-finite value was born, and how it reached the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxdbg.records.frames import CallFrame
from jaxdbg.records.operand import Operand
from jaxdbg.records.shown import ShownAsHtml
from jaxdbg.records.source import SourceFrame


@dataclass(frozen=True, slots=True)
class Turn:
    """An operation on the way of a bad value where it changed what it is, or a birth.

    Attributes:
        kind: what it became: "nan", "inf" or "-inf".
        primitive, source, module, direction, loop: as in `Origin`.
        text: one line for the user, `NaN at 0 * Inf`.
    """

    kind: str
    primitive: str
    source: SourceFrame | None = None
    module: str = ""
    direction: str = ""
    loop: tuple[tuple[str, int, int | None], ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A leaf that the bad value has reached.

    Attributes:
        path: as the user would type it.
        bad, size: how many of its elements are bad, and how many there are.
        kinds: which of "nan", "inf" and "-inf" it holds.
        first: index of the first bad element; None where it is not known.
    """

    path: str
    bad: int
    size: int
    kinds: tuple[str, ...] = ()
    first: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """An argument that a story calls as the function does, as the caller wrote it.

    Attributes:
        parameter: what the function calls it: `x`.
        expression: what the line of the call passes for it: `X[idx]`.
        row: the row of the batch that came in bad through it, or that fails by itself;
            None where it is none.
        data, data_row: the array of which that row is, as the caller wrote it, and its
            row there; empty and None where that is not certain.
    """

    parameter: str
    expression: str
    row: int | None = None
    data: str = ""
    data_row: int | None = None


@dataclass(frozen=True, slots=True)
class Origin(ShownAsHtml):
    """The story of a bad value.

    Attributes:
        verdict: "born" by arithmetic, "placed" by a literal or constant, "came in"
            through an argument, or "not reproduced" by the second evaluation.
        kind: "nan", "inf" or "-inf": what it was at its origin.
        primitive: JAX's name of the operation; of a placed value, of the one that takes
            the literal; else empty.
        expression: the operation in the user's words: `log`, `x / y`,
            `jnp.linalg.cholesky`.
        source: the user's line; None where it is not known.
        library_source: the line below it in flax, optax, jax.numpy; None for none.
        module: path of the module the operation is in, `model.blocks[2].ln1`.
        direction: "forward", "backward", or empty where there is no telling.
        forward_source: for the backward pass, the forward line it differentiates.
        loop: the loops around it, from outside in: (kind, step, length or None), where
            kind is "scan", "while", "fori_loop", or "grid" of a kernel; a loop whose
            first index is not 0 has its bounds, "fori_loop(3, 8)". Steps count from
            0; that of a scan is the index of the data it reads, also where the
            scan goes from the end.
        branches: branches taken on the way in: (index, how many there are).
        operands: what went into the operation.
        element: index of the first bad element in the operation's result.
        steps: turning points, from the origin to the output.
        reached: leaves it reached, in the order of the tree.
        rows: the rows of the batch that make the value bad: `((name, row), ...)`.
        rows_note: "row 17 alone", "many", or why it was not looked for.
        device: which device or shard, where there is more than one.
        wider: what a wider type would do: "finite in float32", or empty.
        argument: path of the element it came in through: `batch['x'][17, 3]`.
        argument_leaf: path of the array which that is an element of: `batch['x']`.
        passed: what the line of the call passes for the parameters that are named here.
        made_by: the earlier call that made that argument, `init_state (call 1)`.
        made_at: the story of that call, where its inputs were still held.
        growth: largest finite magnitude in the last calls, oldest first.
        cause: short name of the classic cause, None where none was recognised.
        likely: whether the cause is likely, not certain.
        advice: what to do about it; empty where there is none to give.
        checked: whether the rewrite that is advised was evaluated on the operands of
            the birth: its value and its gradient are finite.
        notes: what is not certain, and why.
        headline: which value of which call the story is of, in one line.
        candidate: whether the compiled program may have made the value elsewhere: its
            operations, run one by one, give another kind of bad value.
        others: further births in the call that have nothing to do with this one.
        spread: whether what came in was mixed with other elements; True unless it came
            in to an assertion as it was.
        frames: the user's frames inside the jitted call where the value was born, from
            outside in, with their variables; empty where they are not known.
        frames_note: what of them is left out, and why.
    """

    VIEW: ClassVar[str] = "origin"

    verdict: str
    kind: str
    primitive: str = ""
    expression: str = ""
    source: SourceFrame | None = None
    library_source: SourceFrame | None = None
    module: str = ""
    direction: str = ""
    forward_source: SourceFrame | None = None
    loop: tuple[tuple[str, int, int | None], ...] = ()
    branches: tuple[tuple[int, int], ...] = ()
    operands: tuple[Operand, ...] = ()
    element: tuple[int, ...] | None = None
    steps: tuple[Turn, ...] = ()
    reached: tuple[Reached, ...] = ()
    rows: tuple[tuple[str, int], ...] = ()
    rows_note: str = ""
    device: str = ""
    wider: str = ""
    argument: str = ""
    argument_leaf: str = ""
    passed: tuple[Passed, ...] = ()
    made_by: str = ""
    made_at: Origin | None = None
    growth: tuple[float, ...] = ()
    cause: str | None = None
    likely: bool = False
    advice: str = ""
    checked: bool = False
    notes: tuple[str, ...] = ()
    headline: str = ""
    candidate: bool = False
    others: tuple[Turn, ...] = ()
    spread: bool = True
    frames: tuple[CallFrame, ...] = ()
    frames_note: str = ""
