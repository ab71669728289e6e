"""One thing that went wrong in a checked region."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from jaxdbg.records.frames import CallFrame
from jaxdbg.records.keeper import keeper
from jaxdbg.records.origin import Origin
from jaxdbg.records.trees import LeafPicture, LeafStats


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that went wrong in a checked region.

    Attributes:
        kind: "nan", "inf", "check", "index", "div", "traces", "compiles" or
            "compile_seconds".
        function: name of the jitted function, as the user wrote it.
        call: which call of that function in the region, counted from 1.
        path: where the first bad value is, as the user would type it
            (`model.blocks[2].attn.key.kernel`); empty where no value is concerned.
        paths: every bad leaf of the call, in the order of the outputs.
        index: first bad element of the leaf at `path`.
        message: the whole text for the user.
        shape, dtype: of the leaf at `path`.
        nan, inf, size: how many elements of that leaf are NaN, are infinite, are
            there at all.
        location: `file:line` (or `cell 3, line 7`) of the failing check, where known.
        origin: where the bad value was born and the way it took; None where no value
            is concerned or nothing could be found out.
        time: when it was found, in seconds since the epoch; 0 where that is not known.
        outputs: what the failing call returned at each of `paths`; after 200,000 leaves
            of a region, only at `path`.
        pictures: the elements of the first of these, reduced, so that they can be seen
            when the arrays are gone.
        detail: what a failed check says in full, where the message has it in short.
        allow, allow_at: the comment that lets the value be, and the line it goes on;
            empty where none does.
    """

    kind: str
    function: str
    call: int
    message: str
    path: str = ""
    paths: tuple[str, ...] = ()
    index: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    nan: int = 0
    inf: int = 0
    size: int = 0
    location: str = ""
    origin: Origin | None = None
    time: float = 0.0
    outputs: tuple[LeafStats, ...] = field(default=(), repr=False)
    pictures: tuple[LeafPicture, ...] = field(default=(), repr=False)
    detail: str = ""
    allow: str = ""
    allow_at: str = ""

    @property
    def headline(self) -> str:
        """The first line of the message: what is wrong, and where."""
        return self.message.partition("\n")[0]

    @property
    def frames(self) -> tuple[CallFrame, ...]:
        """The user's frames inside the jitted call where the value was born.

        From outside in, each with its variables: those that a debugger walks after the
        failure. Empty where they are not known; `origin.frames_note` then says why.
        """
        return self.origin.frames if self.origin is not None else ()

    def output(self, path: str | None = None) -> Any:
        """The array that the failing call returned, with its bad elements.

        The results of a failing call are not used, so the user's model holds other
        arrays, the last good ones. The bad results of the region that failed last are
        kept beside, up to 256 MB, until a later checked region calls a jitted
        function; what they held is in `outputs` for good.

        Arguments:
            path: of a bad leaf, one of `paths`; by default the one at `path`.

        Returns:
            The array; do not donate it.

        Raises:
            UsageError: the finding is not about a value, or the leaf was not bad.
            RuntimeError: the array is not kept, or not any more.
        """
        return keeper().output(self, path)

    def repro(self, path: str | os.PathLike[str], overwrite: bool = False) -> Any:
        """Writes a folder that shows the failure without jaxdbg, and without you.

        It holds a short script, `repro.py`, and the arrays (npz): the operation that
        failed, alone, and the call it is from. They run with plain JAX and NumPy on
        any machine, and need nothing of your program. What a call was given is kept
        for the first failing calls of the region that failed last.

        Arguments:
            path: of the folder; it is made, and must be empty.
            overwrite: replace what an earlier repro has written there.

        Returns:
            What was written, with the sizes; as text, if printed.

        Raises:
            RuntimeError: the inputs are not kept (any more), or the finding is not
                about a value.
            FileExistsError: the folder is not empty.
        """
        return keeper().repro(self, path, overwrite)
